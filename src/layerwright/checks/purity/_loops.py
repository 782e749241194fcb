"""Call a layer with a loop many times, without compiling the loop at each call."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, once_per_trial


def uncompiled_loops(trial: Trial) -> AbstractContextManager[Any]:
    """Return the context for many calls of the layer. On JAX it runs a loop step by step instead of compiling it."""
    return trial.backend.stepwise() if _has_loop(trial) else nullcontext()


@once_per_trial
def _has_loop(trial: Trial) -> bool:
    if trial.backend.NAME != "jax":
        return False
    layer = lively(trial)
    try:
        program = trial.backend.trace(pure(layer, trial.usual), tensors_of(layer, trial.usual))
    # A layer may raise anything while it is traced. LW801 compiled-equals-eager reports that.
    except Exception:
        return False
    return "scan[" in program or "while[" in program
