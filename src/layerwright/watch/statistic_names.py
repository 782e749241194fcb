"""Every statistic that `Watch` records, listed once. This module imports no Keras, so sinks and readers can use it.

The list is read when it is needed, never copied at import: a statistic that is added to `STATISTICS` reaches the
records, Parquet, TensorBoard and `layerwright show`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

ALWAYS = "always"
WEIGHT = "weight"

OPTIONS = ("moments", "extrema", "zero_fraction", "histogram", "between_batch_shift")
"""The names that `Watch(statistics=…)` accepts. A histogram is no single number, so it has no entry in `STATISTICS`."""


@dataclass(frozen=True)
class Statistic:
    """One number that is recorded for a tensor.

    Attributes:
        name: Its key in `TensorRecord.values`, its column in the Parquet table and a part of its TensorBoard tag.
        option: The name in `Watch(statistics=…)` that turns it on, `ALWAYS`, or `WEIGHT` for `gradients=("weight",)`.
        in_row: Whether the training step computes it, as one column of the row of statistics.
        derive: Computes it on the host from the columns of that row; None if it comes from elsewhere.
        scales: Whether multiplying the tensor by a positive number multiplies the statistic by the same number.
        overview: Its position in overviews, from 1; 0 leaves it out of them.
    """

    name: str
    option: str
    in_row: bool = False
    derive: Callable[[Mapping[str, float]], float] | None = None
    scales: bool = False
    overview: int = 0


def _norm(row: Mapping[str, float]) -> float:
    return math.hypot(row["mean"], row["std"]) * math.sqrt(row["n"] - row["nonfinite"])


STATISTICS = (
    Statistic("n", ALWAYS, in_row=True),
    Statistic("nonfinite", ALWAYS, in_row=True, overview=6),
    Statistic("mean", "moments", in_row=True, scales=True, overview=1),
    Statistic("std", "moments", in_row=True, scales=True, overview=2),
    Statistic("norm", "moments", derive=_norm, scales=True, overview=3),
    Statistic("min", "extrema", in_row=True, scales=True),
    Statistic("max", "extrema", in_row=True, scales=True),
    Statistic("zero_fraction", "zero_fraction", in_row=True, overview=5),
    Statistic("dead_fraction", "zero_fraction", in_row=True),
    Statistic("shift", "between_batch_shift", scales=True),
    Statistic("relative_shift", "between_batch_shift"),
    Statistic("update_ratio", WEIGHT, overview=4),
)


def statistic_names() -> tuple[str, ...]:
    """Return the names of all statistics."""
    return tuple(statistic.name for statistic in STATISTICS)


def row_columns() -> tuple[str, ...]:
    """Return the names of the statistics that the training step computes, in the order of a row's columns."""
    return tuple(statistic.name for statistic in STATISTICS if statistic.in_row)


def names_recorded_with(options: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the statistics that these options turn on, and of those that are always recorded."""
    chosen = {ALWAYS, *options}
    return tuple(statistic.name for statistic in STATISTICS if statistic.option in chosen)


def options_that_record(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in `Watch(statistics=…)` that turn on the statistics with these names."""
    wanted = set(names)
    needed = {statistic.option for statistic in STATISTICS if statistic.name in wanted}
    return tuple(option for option in OPTIONS if option in needed)


def overview_names() -> tuple[str, ...]:
    """Return the names of the statistics that overviews show, in their order."""
    shown = [statistic for statistic in STATISTICS if statistic.overview]
    return tuple(statistic.name for statistic in sorted(shown, key=lambda statistic: statistic.overview))
