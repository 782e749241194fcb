"""Rules that raise alerts while a model trains."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from layerwright.watch.records import Alert, Kind, TensorRecord

GRADIENTS = (Kind.ACTIVATION_GRADIENT, Kind.WEIGHT_GRADIENT)


class Rule(Protocol):
    """Reads the records of one step and returns alerts. Any object with these attributes and this method is a rule.

    Attributes:
        stop: Whether an alert of this rule stops the training.
        needs: The statistics that the rule reads. If one is not recorded, `Watch` raises an error at the start.
        kinds: The kinds of tensors that the rule reads. At least one of them must be recorded.
    """

    stop: bool

    @property
    def needs(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def kinds(self) -> tuple[Kind, ...]: ...  # noqa: D102

    def alerts(self, records: Iterable[TensorRecord]) -> Iterator[Alert]:
        """Return an alert for each record that violates the rule."""


class _RecordRule:
    """A rule that judges each record on its own."""

    needs: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = tuple(Kind)

    def alerts(self, records: Iterable[TensorRecord]) -> Iterator[Alert]:
        """Return an alert for each record that violates the rule."""
        for record in records:
            if record.kind in self.kinds:
                yield from self.record_alerts(record)

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:
        """Return the alerts for one record."""
        raise NotImplementedError

    def alert(self, record: TensorRecord, statistic: str, value: float, threshold: float, said: str) -> Alert:
        """Return an alert whose message names the rule, the step and the tensor, and then says what was seen."""
        rule = type(self).__name__
        where = f"{record.kind.value.replace('_', ' ')} of {record.tensor!r}"
        message = f"{rule}: at step {record.step} the {where} {said}."
        return Alert(record.step, rule, record.tensor, record.kind, statistic, value, threshold, message)


@dataclass(frozen=True)
class NonFinite(_RecordRule):
    """Alerts if a watched tensor contains NaN or infinity.

    Attributes:
        stop: Whether an alert stops the training.
    """

    stop: bool = False

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        count = record.values["nonfinite"]
        if count > 0:
            said = f"contains NaN or infinity in {count:.0f} of {record.values['n']:.0f} elements"
            yield self.alert(record, "nonfinite", count, 0.0, said)


@dataclass(frozen=True)
class DeadUnits(_RecordRule):
    """Alerts if too many units of a layer are dead: 0 for every recorded sample of the batch.

    Attributes:
        share: The largest fraction of dead units without an alert, between 0 and 1.
        stop: Whether an alert stops the training.
    """

    share: float = 0.5
    stop: bool = False
    needs = ("dead_fraction",)
    kinds = (Kind.ACTIVATION,)

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        dead = record.values["dead_fraction"]
        if dead > self.share:
            said = f"has {dead:.0%} dead units (0 for every recorded sample), above {self.share:.0%}"
            yield self.alert(record, "dead_fraction", dead, self.share, said)


@dataclass(frozen=True)
class VanishingGradient(_RecordRule):
    """Alerts if the root mean square of a gradient is below a threshold.

    Attributes:
        threshold: The smallest root mean square without an alert.
        stop: Whether an alert stops the training.
    """

    threshold: float = 1e-7
    stop: bool = False
    needs = ("norm",)
    kinds = GRADIENTS

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        size = _root_mean_square(record)
        if size < self.threshold:
            said = f"has a root mean square of {size:.3g}, below {self.threshold:g}"
            yield self.alert(record, "norm", size, self.threshold, said)


@dataclass
class ExplodingGradient(_RecordRule):
    """Alerts if the norm of a gradient is above a threshold, or far above its usual value.

    Attributes:
        threshold: The largest norm without an alert.
        factor: The largest ratio, without an alert, of the norm to the median of the norms recorded before. It applies
            once five finite norms have been recorded.
        stop: Whether an alert stops the training.
    """

    threshold: float = 1e4
    factor: float = 100.0
    stop: bool = False
    needs = ("norm",)
    kinds = GRADIENTS
    _norms: dict[tuple[str, Kind], list[float]] = field(default_factory=lambda: defaultdict(list), repr=False)

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        norm, before = record.values["norm"], self._norms[record.tensor, record.kind]
        usual = median(before) if len(before) >= 5 else math.inf
        limit = min(self.threshold, self.factor * usual) if usual > 0 else self.threshold
        if norm > limit:
            said = f"has a norm of {norm:.3g}, above {limit:.3g}"
            yield self.alert(record, "norm", norm, limit, said)
        if math.isfinite(norm):
            before.append(norm)


@dataclass(frozen=True)
class UpdateRatio(_RecordRule):
    """Alerts if a step changes a weight too little or too much: ‖wₜ₊₁ - wₜ‖ / ‖wₜ‖ is outside the bounds.

    Attributes:
        low: The lower bound. A ratio of exactly 0 raises no alert; use `Unchanged` for that.
        high: The upper bound.
        stop: Whether an alert stops the training.
    """

    low: float = 1e-8
    high: float = 10.0
    stop: bool = False
    needs = ("update_ratio",)
    kinds = (Kind.WEIGHT,)

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        ratio = record.values["update_ratio"]
        if math.isinf(ratio):  # the weight was 0
            return
        limit = self.low if 0 < ratio < self.low else self.high if ratio > self.high else None
        if limit is not None:
            said = f"has an update ratio of {ratio:.3g}, {'below' if limit == self.low else 'above'} {limit:g}"
            yield self.alert(record, "update_ratio", ratio, limit, said)


@dataclass
class Unchanged(_RecordRule):
    """Alerts if a trainable weight does not change at all at several recorded steps in a row.

    Attributes:
        recorded_steps: The number of recorded steps in a row that raises the alert.
        stop: Whether an alert stops the training.
    """

    recorded_steps: int = 3
    stop: bool = False
    needs = ("update_ratio",)
    kinds = (Kind.WEIGHT,)
    _unchanged_steps: dict[str, int] = field(default_factory=lambda: defaultdict(int), repr=False)

    def record_alerts(self, record: TensorRecord) -> Iterator[Alert]:  # noqa: D102
        steps = 0 if record.values["update_ratio"] else self._unchanged_steps[record.tensor] + 1
        self._unchanged_steps[record.tensor] = steps
        if steps == self.recorded_steps:
            said = f"did not change at {self.recorded_steps} recorded steps in a row"
            yield self.alert(record, "update_ratio", 0.0, float(self.recorded_steps), said)


def _root_mean_square(record: TensorRecord) -> float:
    known = record.values["n"] - record.values["nonfinite"]
    return record.values["norm"] / math.sqrt(known) if known else math.nan
