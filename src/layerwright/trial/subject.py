"""Provide the layer that most checks call: its weights moved off their initial values, every call repeatable."""

from typing import Any

import numpy as np

from layerwright.trial.arguments import Array
from layerwright.trial.compare import bitwise_equal, leaves
from layerwright.trial.slices import Call, calling
from layerwright.trial.trial import Trial, once_per_trial, restore, snapshot

LOW_PRECISION = {"float16": 2e-2, "bfloat16": 2e-1}


@once_per_trial
def lively(trial: Trial) -> Any:
    """Return a built layer whose trainable weights are moved off their initial values.

    A gate that is initialised at zero would hide the influence of other inputs and weights. Each weight's constraint is
    applied. If the moved weights make finite outputs NaN or infinite, the initial values are restored.
    """
    layer = trial.construct()
    as_built = leaves(trial.call(layer, trial.usual))
    initial = snapshot(layer.trainable_variables)
    rng = np.random.default_rng(trial.seed)
    for weight, value in initial:
        if "float" in str(weight.dtype):
            weight.assign(np.asarray(value + 0.1 * rng.uniform(0.5, 1.0, value.shape), value.dtype))
            if weight.constraint is not None:
                weight.assign(weight.constraint(weight.value))
    if initial and _count_not_finite(leaves(trial.call(layer, trial.usual))) > _count_not_finite(as_built):
        restore(initial)
    return layer


@once_per_trial
def caller(trial: Trial, training: bool) -> Call:
    """Return the layer from `lively` as a function that takes arguments and returns the list of output arrays."""
    return calling(trial, lively(trial), trial.usual, training)


def larger(trial: Trial) -> int:
    """Return a batch size larger than the usual one: 7 if possible, which other checks also use and so compile."""
    usual = trial.usual.batch
    return 7 if usual < 7 else 2 * usual


def tolerance(trial: Trial) -> float:
    """Return how much outputs may differ, relative to their scale, because of rounding in different kernels."""
    return LOW_PRECISION.get(str(lively(trial).compute_dtype), 1e-5)


def draws(trial: Trial, *, training: bool = False) -> bool:
    """Whether the layer's outputs, by default in inference mode, depend on seeds or on earlier calls."""
    layer = lively(trial)
    before = snapshot(layer.non_trainable_variables)
    first = trial.call(layer, trial.usual, training=training, keep_state=True)
    second = Trial(trial.case, trial.seed + 1).call(layer, trial.usual, training=training)
    restore(before)
    return not bitwise_equal(first, second)


def _count_not_finite(outputs: list[Array]) -> int:
    return sum(int((~np.isfinite(leaf)).sum()) for leaf in outputs if leaf.dtype.kind == "f")
