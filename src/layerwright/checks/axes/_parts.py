"""Which parts of the inputs, such as a feature, have an effect on what a layer does."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from layerwright.checks.axes._influence import replacement_samples
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import Call, replaced
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial, restore, snapshot

Part = tuple[int, int, Any]
"""The position of a tensor, one of its axes, and an index on that axis."""


def parts_without_effect(trial: Trial, parts: list[Part]) -> list[Part]:
    """Return the parts whose replacement changes nothing in any draw: no output, no loss, no state."""
    bounded = any(spec.low is not None or spec.high is not None for spec in trial.case.specs())
    scales = (1.0,) if bounded else (1.0, 10.0, 100.0)
    modes: list[tuple[Callable[[Trial, bool], Call], bool, tuple[float, ...]]]
    modes = [(caller, False, scales), (caller, True, scales), (_side_effects_caller, True, (1.0,))]
    for (make_call, training, mode_scales), seed in product(modes, (1, 2)):
        for scale in mode_scales if parts else ():
            usual, other = trial.arguments(scale=scale), replacement_samples(trial, seed, scale)
            call = make_call(trial, training)
            base = _outputs_or_none(call, usual)
            if base is not None:
                parts = [
                    part
                    for part in parts
                    if not _changes_something(base, call, replaced(usual, other, part[:1], *part[1:]))
                ]
    return parts


def _changes_something(base: list[Array], call: Call, arguments: Arguments) -> bool:
    outputs = _outputs_or_none(call, arguments)
    return outputs is None or largest_difference(base, outputs) > 0


def _outputs_or_none(call: Call, arguments: Arguments) -> list[Array] | None:
    try:
        return call(arguments)
    except LayerError:
        return None


def _side_effects_caller(trial: Trial, training: bool) -> Call:
    """Return a function from arguments to what a call leaves behind besides its outputs: state and losses."""
    import keras

    layer = lively(trial)

    def call(arguments: Arguments) -> list[Array]:
        before = snapshot(layer.non_trainable_variables)
        trial.call(layer, arguments, training=training, keep_state=True)
        after = [value for _, value in snapshot(layer.non_trainable_variables)]
        restore(before)
        return [*after, *(np.asarray(keras.ops.convert_to_numpy(loss)) for loss in layer.losses)]

    return call
