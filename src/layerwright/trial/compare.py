"""Compare the outputs of two calls: bit by bit, or by their largest relative difference."""

from typing import Any

import numpy as np

from layerwright.trial.arguments import Array


def leaves(outputs: Any) -> list[Array]:
    """Return the arrays of an output structure, in order, without None."""
    import keras

    return [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]


def bitwise_equal(first: Any, second: Any) -> bool:
    """Whether two output structures contain the same arrays, bit by bit; NaN equals NaN."""
    ours, theirs = leaves(first), leaves(second)
    return len(ours) == len(theirs) and all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(ours, theirs, strict=True)
    )


def largest_difference(first: Any, second: Any) -> float:
    """Return the largest absolute difference between two output structures, relative to the scale of the first.

    The scale of an array is its largest finite absolute value, at least 1. The result is infinite if the structures
    differ in the number or shape of their arrays, or in the places of NaN and infinity.
    """
    ours, theirs = leaves(first), leaves(second)
    if len(ours) != len(theirs):
        return float("inf")
    return max((relative_difference(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def relative_difference(a: Array, b: Array) -> float:
    """Return the largest absolute difference of two arrays, relative to the scale of the first; see above."""
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.kind in "USO" or b.dtype.kind in "USO":
        return 0.0 if np.array_equal(a, b) else float("inf")
    a, b = a.astype("float64"), b.astype("float64")
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(b[finite]).all():
        return float("inf")
    scale = max(1.0, float(np.abs(a[finite]).max(initial=0.0)))
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)) / scale
