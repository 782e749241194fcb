"""LW703 same-behaviour."""

import math
from typing import Any

import numpy as np

from layerwright.checks.saving._config import config_through_json, rebuild
from layerwright.checks.saving._copies import copy_fix
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.models import TOLERANCE, build, repeats
from layerwright.trial.trial import Trial, copy_weights

MODES = ((False, 1.0), (True, 10.0))
"""Whether the layer is in training, and the factor by which its inputs are multiplied."""
FIX = (
    "Return from `get_config()` everything that the outputs depend on, and set it up in the constructor. Store "
    "randomly drawn arrays in non-trainable weights: `self.add_weight(…, trainable=False)`."
)


@check("LW703", "same-behaviour", requires=("LW701", "LW104"))
def same_behaviour(trial: Trial) -> Finding:
    """A layer rebuilt from its config gives the same outputs once it has the same weights.

    What it proves:
        The outputs are equal in inference on ordinary inputs, and in training on inputs ten times as large. The losses
        that the layer adds are equal too.

    Why it matters:
        A loaded model gets its weights from the file and everything else from the config and the constructor. If the
        layer depends on anything else, the loaded model gives other outputs, without an error. Examples are a constant
        drawn at random, an attribute set after construction, and a step of the constructor that `from_config()` skips.

    How it is tested:
        The check rebuilds the layer from its config, which goes through JSON, under other global seeds, as in a new
        process. It copies all variables, including the states of random generators, and calls both layers with the
        same seeds. The outputs may differ by at most 1e-6 of their largest value.

    Exempt when:
        The layer gives other outputs when it is called again with the same variables and seeds. The result is then
        inconclusive.

    References:
        keras.io, "Save, serialize, and export models"; keras.io, Layer API, `get_config` and `from_config`.
    """
    layer = build(trial, trial.construct())
    twin = build(trial, rebuild(trial, layer, config_through_json(layer)))
    copy_weights(layer, twin)
    for training, scale in MODES:
        arguments = trial.usual if scale == 1.0 else trial.arguments(scale=scale)
        outputs, rebuilt = [trial.call(one, arguments, training=training) for one in (layer, twin)]
        difference = largest_difference(outputs, rebuilt)
        mode = f"training={training}" + ("" if scale == 1.0 else f", inputs multiplied by {scale:g}")
        if difference > TOLERANCE and not repeats(trial, layer, arguments, outputs, training=training):
            return inconclusive(
                f"two calls of the layer with the same inputs, variables and seeds gave different outputs ({mode})",
                "See LW901 inference-is-repeatable.",
            )
        if difference > TOLERANCE:
            return failed(
                f"with the same weights, the outputs of the rebuilt layer differ by {difference:.3g} ({mode}); "
                "expected no difference",
                copy_fix(trial) or FIX,
            )
    before, after = _loss_values(layer), _loss_values(twin)
    if len(before) != len(after) or not all(map(math.isclose, before, after)):
        return failed(
            f"with the same weights, the rebuilt layer adds the losses {after}; expected {before}",
            "Return regularizers from `get_config()`, such as "
            "`keras.regularizers.serialize(self.kernel_regularizer)`, and accept them in the constructor.",
        )
    return passed()


def _loss_values(layer: Any) -> list[float]:
    import keras

    return [float(np.asarray(keras.ops.convert_to_numpy(loss)).sum()) for loss in layer.losses]


def bad() -> Case:
    import math

    import keras

    class Turn(keras.layers.Layer):
        def __init__(self, degrees=90.0, **kwargs):
            super().__init__(**kwargs)
            self.degrees = degrees
            self.radians = math.radians(degrees)

        def call(self, inputs):
            return inputs * math.cos(self.radians) + math.sin(self.radians)

        def get_config(self):
            return {**super().get_config(), "degrees": self.degrees}

        @classmethod
        def from_config(cls, config):
            layer = cls(name=config["name"], trainable=config["trainable"])
            layer.degrees = config["degrees"]
            return layer

    return Case(Turn, init={"degrees": 30.0}, inputs=(None, 5))


def good() -> Case:
    import math

    import keras

    class Turn(keras.layers.Layer):
        def __init__(self, degrees=90.0, **kwargs):
            super().__init__(**kwargs)
            self.degrees = degrees
            self.radians = math.radians(degrees)

        def call(self, inputs):
            return inputs * math.cos(self.radians) + math.sin(self.radians)

        def get_config(self):
            return {**super().get_config(), "degrees": self.degrees}

    return Case(Turn, init={"degrees": 30.0}, inputs=(None, 5))
