"""Statistics of one tensor: computed as one short row beside it, in whatever is being traced, and read as numbers."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from layerwright import backends
from layerwright.watch.records import Histogram

COLUMNS = ("n", "nonfinite", "mean", "std", "min", "max", "zero_fraction", "dead_fraction")
NAMES = {
    "moments": ("mean", "std", "norm"),
    "extrema": ("min", "max"),
    "zero_fraction": ("zero_fraction", "dead_fraction"),
    "histogram": (),
    "between_batch_shift": ("shift", "relative_shift"),
}
"""What each name that `Watch` takes records; `n` and `nonfinite` are recorded always."""

Array = np.ndarray[Any, Any]


def row(x: Any, bins: int = 0, units_axis: int = -1) -> Any:
    """Return the statistics of a tensor in one float32 vector: `COLUMNS`, then the counts of `bins` bins.

    All are of the finite elements, the share of zeros and the number of the others apart; where there is no finite
    element they are NaN. Sums are taken of x / max|x|, so that squares neither overflow nor vanish.

    Args:
        x: The tensor, of any shape and any dtype that has an order.
        bins: The number of equally wide bins between the smallest and the largest element; 0 for none.
        units_axis: The axis of the units, for the share of them that are 0 throughout.
    """
    quick = _quick_row(x, bins, units_axis)
    return _any_row(ops.cast(x, "float32"), bins, units_axis) if quick is None else quick


def _quick_row(x: Any, bins: int, units_axis: int) -> Any | None:
    if keras.backend.backend() != "torch" or backends.current().is_symbolic(x):
        return None
    from layerwright.watch._torch_row import quick_row

    return quick_row(x, bins, units_axis)


def _any_row(x: Any, bins: int, units_axis: int) -> Any:
    finite = ops.isfinite(x)
    there = ops.cast(finite, "float32")
    total, count = ops.sum(ops.ones_like(x)), ops.sum(there)
    low = ops.min(ops.where(finite, x, math.inf), initial=math.inf)
    high = ops.max(ops.where(finite, x, -math.inf), initial=-math.inf)
    known = ops.where(finite, x, 0.0)
    largest = ops.maximum(ops.abs(low), ops.abs(high))
    scale = ops.where(ops.logical_and(largest > 0, ops.isfinite(largest)), largest, 1.0)
    scaled = known / scale
    mean = ops.sum(scaled) / count
    variance = ops.sum(ops.square(scaled - mean) * there) / count
    is_zero = ops.equal(x, 0.0)
    nothing = ops.where(count > 0, 0.0, math.nan)
    parts = [
        total,
        total - count,
        mean * scale,
        ops.sqrt(variance) * scale,
        low + nothing,
        high + nothing,
        _share(is_zero),
        _share(ops.all(_by_unit(is_zero, units_axis), axis=0)),
    ]
    numbers = ops.stack([ops.cast(part, "float32") for part in parts])
    return ops.concatenate([numbers, _counts(known, finite, low, high, bins)]) if bins else numbers


def _share(flags: Any) -> Any:
    return ops.mean(ops.cast(flags, "float32"))


def _by_unit(x: Any, axis: int) -> Any:
    """Return x as a matrix with a column for each unit."""
    if len(x.shape) == 0:  # TensorFlow's shape of a number is no false value
        return ops.reshape(x, (1, 1))
    return ops.reshape(ops.moveaxis(x, axis, -1), (-1, ops.shape(x)[axis]))


def _counts(x: Any, finite: Any, low: Any, high: Any, bins: int) -> Any:
    low, high = histogram_range(low, high)
    place = (x - low) / (high - low) * bins
    place = ops.where(finite, ops.clip(ops.floor(place), 0, bins - 1), bins)  # what is not finite lies behind the last
    counts = backends.current().count(ops.reshape(ops.cast(place, "int32"), (-1,)), bins + 1)
    return ops.cast(counts[:bins], "float32")


def histogram_range(low: Any, high: Any) -> tuple[Any, Any]:
    """Return where the first bin begins and the last ends; as in NumPy one half around where all elements are equal."""
    half = ops.where(high > low, 0.0, 0.5)
    return low - half, high + half


def feature_means(x: Any, most: int) -> Any:
    """Return the mean over the batch of each feature, of the first `most` features, flat and in float32."""
    means = ops.mean(ops.cast(x, "float32"), axis=0)
    return ops.reshape(means, (-1,))[:most]


def values(row: Array, wanted: Iterable[str]) -> dict[str, float]:
    """Return the numbers of a row by name: those that the statistics `wanted` record, and what is recorded always."""
    found = dict(zip(COLUMNS, map(float, row), strict=False))
    mean, std, known = found["mean"], found["std"], found["n"] - found["nonfinite"]
    found["norm"] = math.hypot(mean, std) * math.sqrt(known)
    names = ["n", "nonfinite", *(name for each in wanted for name in NAMES[each] if name in found)]
    return {name: found[name] for name in names}


def histogram(row: Array) -> Histogram | None:
    """Return the histogram at the end of a row; None if nothing was finite."""
    low, high = (float(row[COLUMNS.index(name)]) for name in ("min", "max"))
    if not math.isfinite(low):
        return None
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Histogram(low, high, tuple(int(count) for count in row[len(COLUMNS) :]))


def shift(now: Array, before: Array) -> dict[str, float]:
    """Return how far the feature means are from those of the batch before, absolutely and relative to those."""
    distance, size = (float(np.linalg.norm(each.astype("float64"))) for each in (now - before, before))
    return {"shift": distance, "relative_shift": distance / size if size else math.nan}


def checked(statistics: Sequence[str]) -> tuple[str, ...]:
    """Return the names of statistics.

    Raises:
        ValueError: If one is none.
    """
    unknown = [name for name in statistics if name not in NAMES]
    if isinstance(statistics, str) or unknown:
        raise ValueError(f"Watch: statistics must be names out of {', '.join(NAMES)} (got {statistics!r}).")
    return tuple(statistics)
