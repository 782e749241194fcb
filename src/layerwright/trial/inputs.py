"""Set floating-point inputs to chosen values, within the ranges that the case's specs allow."""

from collections.abc import Callable

import numpy as np

from layerwright.core.case import InputSpec
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.trial import Trial


def specs(trial: Trial) -> list[InputSpec]:
    """Return the spec of each of `trial.usual.arrays()`, in that order."""
    import keras

    case = trial.case
    flat = keras.tree.flatten([case.inputs, [case.call[name] for name in trial.usual.tensors]])
    return [spec for spec in flat if spec is not None]


def is_bounded(spec: InputSpec) -> bool:
    """Whether the case declares the range of the values."""
    return spec.low is not None or spec.high is not None


def is_float(spec: InputSpec) -> bool:
    """Whether the values are floating-point numbers."""
    return spec.dtype.startswith(("float", "bfloat"))


def has_unbounded_floats(trial: Trial) -> bool:
    """Whether some floating-point input has no declared range."""
    return any(is_float(spec) and not is_bounded(spec) for spec in specs(trial))


def with_floats(trial: Trial, change: Callable[[Array], Array]) -> Arguments:
    """Return the usual arguments with every float input changed, but kept within the range that the case declares."""
    pairs = zip(specs(trial), trial.usual.arrays(), strict=True)
    return trial.usual.replace_arrays(
        [_clip_to_range(spec, change(a), a) if is_float(spec) else a for spec, a in pairs]
    )


def _clip_to_range(spec: InputSpec, changed: Array, usual: Array) -> Array:
    if is_bounded(spec):
        low, high = spec.low or 0.0, 1.0 if spec.high is None else spec.high
        changed = np.clip(changed, low, np.nextafter(high, low))
    return changed.astype(usual.dtype)
