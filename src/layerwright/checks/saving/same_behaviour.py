"""LW703."""

import math
from typing import Any

import numpy as np

from layerwright.checks.saving._config import file_config, revive
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.models import TOLERANCE, build, repeats
from layerwright.trial.trial import Trial, copy_weights

WAYS = ((False, 1.0), (True, 10.0))
"""Training or not, and what the inputs are multiplied by."""
FIX = (
    "Let the constructor do all that the outputs depend on, from what get_config() returns; keep arrays drawn at "
    "random as non-trainable weights."
)


@check("LW703", "same-behaviour", requires=("LW701", "LW104"))
def same_behaviour(trial: Trial) -> Finding:
    """A layer rebuilt from its config computes the same, once it has the same weights.

    What it proves:
        The outputs are equal in inference on inputs of ordinary size, and in training on inputs ten times as large; so
        are the losses that the layer adds.

    Why it matters:
        Weights come out of a file, everything else out of the config and the constructor. What is in neither (a
        constant drawn at random, an attribute set after construction, a from_config() that skips a step of the
        constructor) makes a loaded model answer differently, and nothing says so.

    How it is tested:
        The config goes through JSON and back into a layer, under other global seeds, as in a new process. Every
        variable is copied, the states of random generators too, and both layers are called from the same seeds; the
        outputs must agree to 1e-6 of their size.

    Exempt when:
        The layer does not repeat its own outputs, from the same variables and seeds: nothing can be compared.

    References:
        keras.io, "Save, serialize, and export models"; keras.io, Layer API, get_config and from_config.
    """
    layer = build(trial, trial.construct())
    twin = build(trial, revive(trial, layer, file_config(layer)))
    copy_weights(layer, twin)
    for training, scale in WAYS:
        arguments = trial.usual if scale == 1.0 else trial.arguments(scale=scale)
        outputs, theirs = [trial.call(one, arguments, training=training) for one in (layer, twin)]
        difference = largest_difference(outputs, theirs)
        where = f"training={training}, inputs times {scale:g}"
        if difference > TOLERANCE and not repeats(trial, layer, arguments, outputs, training=training):
            return inconclusive(
                f"the layer does not repeat its own outputs ({where})", "See LW901 inference-is-repeatable."
            )
        if difference > TOLERANCE:
            return failed(
                f"with equal weights, the rebuilt layer's outputs differ by {difference:.3g} ({where}), expected 0", FIX
            )
    before, after = _losses(layer), _losses(twin)
    if len(before) != len(after) or not all(map(math.isclose, before, after)):
        return failed(
            f"with equal weights, the layer adds the losses {before}, the rebuilt layer {after}",
            "Return regularizers from get_config() and take them up again in the constructor.",
        )
    return passed()


def _losses(layer: Any) -> list[float]:
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
