"""Floating-point inputs at values of one's choosing, as far as the case's specs allow them."""

from collections.abc import Callable

import numpy as np

from layerwright.core.case import InputSpec
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.trial import Trial


def specs(trial: Trial) -> list[InputSpec]:
    """Return the spec of each of `trial.usual.arrays()`, in that order."""
    import keras

    case = trial.case
    found: list[InputSpec] = keras.tree.flatten([case.inputs, [case.call[name] for name in trial.usual.tensors]])
    return found


def is_bounded(spec: InputSpec) -> bool:
    """Whether the case says what range the values have."""
    return spec.low is not None or spec.high is not None


def is_float(spec: InputSpec) -> bool:
    """Whether the values are floating-point numbers."""
    return spec.dtype.startswith(("float", "bfloat"))


def has_unbounded_floats(trial: Trial) -> bool:
    """Whether some input may hold any floating-point number."""
    return any(is_float(spec) and not is_bounded(spec) for spec in specs(trial))


def with_floats(trial: Trial, change: Callable[[Array], Array]) -> Arguments:
    """Return the usual arguments with every float input changed; values leave no range that the case declares."""
    pairs = zip(specs(trial), trial.usual.arrays(), strict=True)
    return trial.usual.replace_arrays([_within(spec, change(a), a) if is_float(spec) else a for spec, a in pairs])


def _within(spec: InputSpec, changed: Array, usual: Array) -> Array:
    if is_bounded(spec):
        low, high = spec.low or 0.0, 1.0 if spec.high is None else spec.high
        changed = np.clip(changed, low, np.nextafter(high, low))
    return changed.astype(usual.dtype)
