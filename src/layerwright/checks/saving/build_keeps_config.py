"""LW705."""

from layerwright.checks.saving._config import changes, config_of, copied
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.models import build
from layerwright.trial.trial import Trial

FIX = "Keep what the constructor was given as it is, and what build() or call() makes of it under another attribute."


@check("LW705", "build-keeps-config", requires=("LW701",))
def build_keeps_config(trial: Trial) -> Finding:
    """`get_config()` says the same before and after building and calling.

    What it proves:
        Neither building the layer nor calling it in training rewrites what the constructor was given.

    Why it matters:
        A config stands for the layer before it met data. If build() turns axis=-1 into 2, a layer rebuilt from the
        config of a used one refuses, or treats wrongly, inputs of another rank; and two layers made alike no longer
        compare as equal.

    How it is tested:
        The config of a new layer is compared, serialised, with its config once it is built and once it has been
        called with training=True. What inner layers were built on does not count.

    Exempt when:
        The layer is a `keras.Model`, whose config records its inputs once they are known.

    References:
        keras.io, Layer API, get_config. In Keras 3.15, RMSNormalization.build turns `axis` into a list.
    """
    import keras

    layer = trial.construct()
    if isinstance(layer, keras.Model):
        return skipped("a model's config records its inputs once they are known")
    before = copied(config_of(layer))
    altered = changes(before, config_of(build(trial, layer)), ignore=())
    if altered:
        return failed(f"building the layer changed its config: {altered}", FIX)
    trial.call(layer, trial.usual, training=True)
    altered = changes(before, config_of(layer), ignore=())
    if altered:
        return failed(f"a call with training=True changed the config: {altered}", FIX)
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
