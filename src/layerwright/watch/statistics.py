"""Computes the statistics of one tensor inside the training step, as one row of numbers, and reads that row."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from layerwright import backends
from layerwright.watch import statistic_names
from layerwright.watch.records import Histogram

Array = np.ndarray[Any, Any]


def statistics_row(x: Any, bins: int = 0, units_axis: int = -1) -> Any:
    """Return the statistics of a tensor as one float32 vector: first `row_columns()`, then the counts of the bins.

    `n`, `nonfinite`, `zero_fraction` and `dead_fraction` count every element; the others use the finite elements only,
    and are NaN if there are none. Sums are computed on x / max|x|, so that squares neither overflow nor underflow.

    Args:
        x: The tensor, of any shape and any real dtype.
        bins: The number of equally wide bins between the smallest and the largest element; 0 for no histogram.
        units_axis: The axis of the units, for the fraction of dead units.
    """
    row = _fast_torch_row(x, bins, units_axis)
    return _general_row(ops.cast(x, "float32"), bins, units_axis) if row is None else row


def _fast_torch_row(x: Any, bins: int, units_axis: int) -> Any | None:
    if keras.backend.backend() != "torch" or backends.current().is_symbolic(x):
        return None
    from layerwright.watch._torch_row import fast_row

    return fast_row(x, bins, units_axis)


def _general_row(x: Any, bins: int, units_axis: int) -> Any:
    is_finite = ops.isfinite(x)
    weights = ops.cast(is_finite, "float32")
    total, count = ops.sum(ops.ones_like(x)), ops.sum(weights)
    low = ops.min(ops.where(is_finite, x, math.inf), initial=math.inf)
    high = ops.max(ops.where(is_finite, x, -math.inf), initial=-math.inf)
    finite = ops.where(is_finite, x, 0.0)
    largest = ops.maximum(ops.abs(low), ops.abs(high))
    scale = ops.where(ops.logical_and(largest > 0, ops.isfinite(largest)), largest, 1.0)
    scaled = finite / scale
    mean = ops.sum(scaled) / count
    variance = ops.sum(ops.square(scaled - mean) * weights) / count
    is_zero = ops.equal(x, 0.0)
    nan_if_empty = ops.where(count > 0, 0.0, math.nan)
    numbers = {
        "n": total,
        "nonfinite": total - count,
        "mean": mean * scale,
        "std": ops.sqrt(variance) * scale,
        "min": low + nan_if_empty,
        "max": high + nan_if_empty,
        "zero_fraction": _fraction_true(is_zero),
        "dead_fraction": _fraction_true(ops.all(_one_column_per_unit(is_zero, units_axis), axis=0)),
    }
    row = ops.stack([ops.cast(numbers[name], "float32") for name in statistic_names.row_columns()])
    return ops.concatenate([row, _bin_counts(finite, is_finite, low, high, bins)]) if bins else row


def _fraction_true(flags: Any) -> Any:
    return ops.mean(ops.cast(flags, "float32"))


def _one_column_per_unit(x: Any, axis: int) -> Any:
    """Return x as a matrix `(elements, units)`."""
    if len(x.shape) == 0:  # TensorFlow's shape of a scalar is not falsy
        return ops.reshape(x, (1, 1))
    return ops.reshape(ops.moveaxis(x, axis, -1), (-1, ops.shape(x)[axis]))


def _bin_counts(x: Any, is_finite: Any, low: Any, high: Any, bins: int) -> Any:
    low, high = _histogram_range(low, high)
    position = (x - low) / (high - low) * bins
    # Non-finite elements go into an extra bin at the end, which is then cut off.
    position = ops.where(is_finite, ops.clip(ops.floor(position), 0, bins - 1), bins)
    counts = backends.current().count(ops.reshape(ops.cast(position, "int32"), (-1,)), bins + 1)
    return ops.cast(counts[:bins], "float32")


def _histogram_range(low: Any, high: Any) -> tuple[Any, Any]:
    """Return the lower end of the first bin and the upper end of the last bin.

    If all elements are equal, the range is 1 wide around them, as in `numpy.histogram`.
    """
    margin = ops.where(high > low, 0.0, 0.5)
    return low - margin, high + margin


def feature_means(x: Any, max_features: int) -> Any:
    """Return the mean over the batch of the first `max_features` features, as a flat float32 vector."""
    means = ops.mean(ops.cast(x, "float32"), axis=0)
    return ops.reshape(means, (-1,))[:max_features]


def named_values(row: Array, options: Iterable[str]) -> dict[str, float]:
    """Return the statistics in a row by name: those that `options` turn on, and those that are always recorded."""
    columns = dict(zip(statistic_names.row_columns(), map(float, row), strict=False))
    derived = {
        statistic.name: statistic.derive(columns)
        for statistic in statistic_names.STATISTICS
        if statistic.derive is not None
    }
    known = columns | derived
    return {name: known[name] for name in statistic_names.names_recorded_with(options) if name in known}


def row_histogram(row: Array) -> Histogram | None:
    """Return the histogram at the end of a row; None if the tensor had no finite element."""
    columns = statistic_names.row_columns()
    low, high = (float(row[columns.index(name)]) for name in ("min", "max"))
    if not math.isfinite(low):
        return None
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Histogram(low, high, tuple(int(count) for count in row[len(columns) :]))


def mean_shift(now: Array, before: Array) -> dict[str, float]:
    """Return the distance between the feature means of two batches, absolute and relative to the earlier ones."""
    distance, size = (float(np.linalg.norm(each.astype("float64"))) for each in (now - before, before))
    return {"shift": distance, "relative_shift": distance / size if size else math.nan}


def validated_options(statistics: Sequence[str]) -> tuple[str, ...]:
    """Return the names given as `Watch(statistics=…)` as a tuple.

    Raises:
        ValueError: If one of them is unknown.
    """
    if isinstance(statistics, str) or not set(statistics) <= set(statistic_names.OPTIONS):
        known = ", ".join(map(repr, statistic_names.OPTIONS))
        raise ValueError(f"Watch: statistics must be a sequence of names from {known} (got {statistics!r}).")
    return tuple(statistics)
