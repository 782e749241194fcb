"""Calling a layer many times where each call would compile its loop anew."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, once_per_trial


def many_calls(trial: Trial) -> AbstractContextManager[Any]:
    """Return the context to call the layer many times in: loops run step by step if the layer has one, on JAX."""
    return trial.backend.stepwise() if _has_loop(trial) else nullcontext()


@once_per_trial
def _has_loop(trial: Trial) -> bool:
    if trial.backend.NAME != "jax":
        return False
    layer = lively(trial)
    try:
        program = trial.backend.trace(pure(layer, trial.usual), tensors_of(layer, trial.usual))
    except Exception:  # a layer may raise anything under a trace; LW801 compiled-equals-eager says so
        return False
    return "scan[" in program or "while[" in program
