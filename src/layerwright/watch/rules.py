"""Rules: what is worth an alert while a model learns."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from layerwright.watch.records import Alert, Kind, TensorRecord

GRADIENTS = (Kind.ACTIVATION_GRADIENT, Kind.WEIGHT_GRADIENT)


class Rule(Protocol):
    """Looks at the records of one look. Any object with these attributes is a rule.

    Attributes:
        stop: Whether an alert of it stops the training.
        needs: The statistics it reads; each must be recorded, else `Watch` refuses the rule at the start.
        kinds: The kinds of tensor of which it needs at least one.
    """

    stop: bool

    @property
    def needs(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def kinds(self) -> tuple[Kind, ...]: ...  # noqa: D102

    def look(self, records: Iterable[TensorRecord]) -> Iterator[Alert]:
        """Return an alert for each record that breaks the rule."""


class _OneRecordAtATime:
    """A rule that judges each record by itself."""

    needs: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = tuple(Kind)

    def look(self, records: Iterable[TensorRecord]) -> Iterator[Alert]:
        """Return an alert for each record that breaks the rule."""
        for record in records:
            if record.kind in self.kinds:
                yield from self.judge(record)

    def judge(self, record: TensorRecord) -> Iterator[Alert]:
        """Return the alerts of a record."""
        raise NotImplementedError

    def alert(self, record: TensorRecord, statistic: str, value: float, threshold: float, said: str) -> Alert:
        """Return an alert that says where and when."""
        rule = type(self).__name__
        where = f"{record.kind.value.replace('_', ' ')} of {record.tensor!r}"
        message = f"{rule}: at step {record.step} the {where} {said}."
        return Alert(record.step, rule, record.tensor, record.kind, statistic, value, threshold, message)


@dataclass(frozen=True)
class NonFinite(_OneRecordAtATime):
    """Alerts on NaN and infinity in any watched tensor.

    Attributes:
        stop: Whether to stop the training then.
    """

    stop: bool = False

    def judge(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        count = record.values["nonfinite"]
        if count > 0:
            said = f"has {count:.0f} of {record.values['n']:.0f} elements that are not finite"
            yield self.alert(record, "nonfinite", count, 0.0, said)


@dataclass(frozen=True)
class DeadUnits(_OneRecordAtATime):
    """Alerts where more than a share of a layer's units are 0 for every sample of the batch that was looked at.

    Attributes:
        share: The share, between 0 and 1.
        stop: Whether to stop the training then.
    """

    share: float = 0.5
    stop: bool = False
    needs = ("dead_fraction",)
    kinds = (Kind.ACTIVATION,)

    def judge(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        dead = record.values["dead_fraction"]
        if dead > self.share:
            yield self.alert(record, "dead_fraction", dead, self.share, f"has {dead:.0%} of its units at 0 throughout")


@dataclass(frozen=True)
class VanishingGradient(_OneRecordAtATime):
    """Alerts where the root mean square of a gradient is below a threshold.

    Attributes:
        threshold: The threshold.
        stop: Whether to stop the training then.
    """

    threshold: float = 1e-7
    stop: bool = False
    needs = ("norm",)
    kinds = GRADIENTS

    def judge(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        size = _root_mean_square(record)
        if size < self.threshold:
            said = f"has a root mean square of {size:.3g}, below {self.threshold:g}"
            yield self.alert(record, "norm", size, self.threshold, said)


@dataclass
class ExplodingGradient(_OneRecordAtATime):
    """Alerts where a gradient's norm is above a threshold, or many times what it used to be.

    Attributes:
        threshold: The norm above which it always alerts.
        factor: How many times the median of the looks before is too much; from the fifth look on.
        stop: Whether to stop the training then.
    """

    threshold: float = 1e4
    factor: float = 100.0
    stop: bool = False
    needs = ("norm",)
    kinds = GRADIENTS
    _norms: dict[tuple[str, Kind], list[float]] = field(default_factory=lambda: defaultdict(list), repr=False)

    def judge(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        norm, before = record.values["norm"], self._norms[record.tensor, record.kind]
        usual = median(before) if len(before) >= 5 else math.inf
        limit = min(self.threshold, self.factor * usual) if usual > 0 else self.threshold
        if norm > limit:
            said = f"has a norm of {norm:.3g}, above {limit:.3g}"
            yield self.alert(record, "norm", norm, limit, said)
        if math.isfinite(norm):
            before.append(norm)


@dataclass(frozen=True)
class UpdateRatio(_OneRecordAtATime):
    """Alerts where a step changes a weight by too little or too much: ‖wₜ₊₁ - wₜ‖ / ‖wₜ‖ out of bounds.

    Attributes:
        low: The lower bound. No update at all is for `Unchanged`.
        high: The upper bound.
        stop: Whether to stop the training then.
    """

    low: float = 1e-8
    high: float = 10.0
    stop: bool = False
    needs = ("update_ratio",)
    kinds = (Kind.WEIGHT,)

    def judge(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        ratio = record.values["update_ratio"]
        if math.isinf(ratio):  # the weight was 0
            return
        limit = self.low if 0 < ratio < self.low else self.high if ratio > self.high else None
        if limit is not None:
            said = f"was changed by {ratio:.3g} of its norm, {'below' if limit == self.low else 'above'} {limit:g}"
            yield self.alert(record, "update_ratio", ratio, limit, said)


@dataclass
class Unchanged(_OneRecordAtATime):
    """Alerts where a trainable weight is not changed at all, for some looks in a row.

    Attributes:
        looks: How many.
        stop: Whether to stop the training then.
    """

    looks: int = 3
    stop: bool = False
    needs = ("update_ratio",)
    kinds = (Kind.WEIGHT,)
    _still: dict[str, int] = field(default_factory=lambda: defaultdict(int), repr=False)

    def judge(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        self._still[record.tensor] = 0 if record.values["update_ratio"] else self._still[record.tensor] + 1
        if self._still[record.tensor] == self.looks:
            said = f"has not changed in {self.looks} looks"
            yield self.alert(record, "update_ratio", 0.0, float(self.looks), said)


def _root_mean_square(record: TensorRecord) -> float:
    known = record.values["n"] - record.values["nonfinite"]
    return record.values["norm"] / math.sqrt(known) if known else math.nan
