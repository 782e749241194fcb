"""Parts of the inputs, such as a feature, and whether anything that a layer does depends on them."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from layerwright.checks.axes._influence import other_samples
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import Call, replaced
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial, restore, snapshot

Part = tuple[int, int, Any]
"""Which tensor, along which of its axes, which index."""


def silent_parts(trial: Trial, parts: list[Part]) -> list[Part]:
    """Return those parts whose replacement moves nothing in any draw: no output, no loss, no state."""
    bounded = any(spec.low is not None or spec.high is not None for spec in trial.case.specs())
    scales = (1.0,) if bounded else (1.0, 10.0, 100.0)
    looks: list[tuple[Callable[[Trial, bool], Call], bool, tuple[float, ...]]]
    looks = [(caller, False, scales), (caller, True, scales), (_effects, True, (1.0,))]
    for (look, training, sizes), seed in product(looks, (1, 2)):
        for scale in sizes if parts else ():
            usual, other = trial.arguments(scale=scale), other_samples(trial, seed, scale)
            call = look(trial, training)
            base = _unless_refused(call, usual)
            if base is not None:
                parts = [part for part in parts if not _moves(base, call, replaced(usual, other, part[:1], *part[1:]))]
    return parts


def _moves(base: list[Array], call: Call, arguments: Arguments) -> bool:
    outputs = _unless_refused(call, arguments)
    return outputs is None or largest_difference(base, outputs) > 0


def _unless_refused(call: Call, arguments: Arguments) -> list[Array] | None:
    try:
        return call(arguments)
    except LayerError:
        return None


def _effects(trial: Trial, training: bool) -> Call:
    """Return what a call leaves behind besides its outputs: the layer's state and its losses."""
    import keras

    layer = lively(trial)

    def call(arguments: Arguments) -> list[Array]:
        before = snapshot(layer.non_trainable_variables)
        trial.call(layer, arguments, training=training, keep_state=True)
        after = [value for _, value in snapshot(layer.non_trainable_variables)]
        restore(before)
        return [*after, *(np.asarray(keras.ops.convert_to_numpy(loss)) for loss in layer.losses)]

    return call
