"""LW705 build-keeps-config."""

from layerwright.checks.saving._config import config_of, copy_containers, describe_changes
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.models import build
from layerwright.trial.trial import Trial

FIX = (
    "Leave the attributes that `get_config()` returns as the constructor set them. Store what `build()` or `call()` "
    "derives from them under another name, such as `self._positive_axis = self.axis % len(input_shape)`."
)


@check("LW705", "build-keeps-config", requires=("LW701",))
def build_keeps_config(trial: Trial) -> Finding:
    """Building or calling the layer does not change its config.

    What it proves:
        `get_config()` returns the same values before and after the layer is built and called.

    Why it matters:
        A config describes the layer before it has seen any data. Suppose `build()` changes `axis=-1` to `axis=2`. A
        layer rebuilt from that config then raises, or computes the wrong result, on inputs of another rank. Also, two
        layers constructed with the same arguments no longer have equal configs.

    How it is tested:
        The check serialises the config of a new layer. It compares it with the config after building, and again after
        a call with `training=True`. The shapes with which sublayers were built are ignored.

    Exempt when:
        The layer is a `keras.Model`. A model's config records its inputs once they are known.

    References:
        keras.io, Layer API, `get_config`. In Keras 3.15, `RMSNormalization.build` turns `axis` into a list.
    """
    import keras

    layer = trial.construct()
    if isinstance(layer, keras.Model):
        return skipped("a model's config records its inputs once they are known")
    before = copy_containers(config_of(layer))
    changed = describe_changes(before, config_of(build(trial, layer)), ignore=())
    if changed:
        return failed(f"building the layer changed its config: {changed}; expected no change", FIX)
    trial.call(layer, trial.usual, training=True)
    changed = describe_changes(before, config_of(layer), ignore=())
    if changed:
        return failed(f"a call with training=True changed the config: {changed}; expected no change", FIX)
    return passed()


def bad() -> Case:
    import keras

    class Total(keras.layers.Layer):
        def __init__(self, axis=-1, **kwargs):
            super().__init__(**kwargs)
            self.axis = axis

        def build(self, input_shape):
            self.axis = self.axis % len(input_shape)

        def call(self, inputs):
            return keras.ops.sum(inputs, axis=self.axis, keepdims=True)

        def get_config(self):
            return {**super().get_config(), "axis": self.axis}

    return Case(Total, inputs=(None, 10, 5))


def good() -> Case:
    import keras

    class Total(keras.layers.Layer):
        def __init__(self, axis=-1, **kwargs):
            super().__init__(**kwargs)
            self.axis = axis

        def call(self, inputs):
            return keras.ops.sum(inputs, axis=self.axis, keepdims=True)

        def get_config(self):
            return {**super().get_config(), "axis": self.axis}

    return Case(Total, inputs=(None, 10, 5))
