"""What a watched run records, and where that goes: `Sink`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class Kind(StrEnum):
    """What a watched tensor is."""

    ACTIVATION = "activation"
    ACTIVATION_GRADIENT = "activation_gradient"
    WEIGHT = "weight"
    WEIGHT_GRADIENT = "weight_gradient"


@dataclass(frozen=True)
class Histogram:
    """How many elements lie in each of equally wide bins.

    Attributes:
        low: Where the first bin begins.
        high: Where the last bin ends; it includes its end, the others do not.
        counts: The number of elements in each bin.
    """

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class TensorRecord:
    """The statistics of one tensor at one training step.

    Attributes:
        step: The training step, counted from 0 over all epochs.
        tensor: The layer's path, with `#1` for its second call in a step and `:1` for its second output; or a weight's.
        kind: What the tensor is.
        values: The statistics by name.
        histogram: Its histogram, if that was asked for.
    """

    step: int
    tensor: str
    kind: Kind
    values: Mapping[str, float]
    histogram: Histogram | None = None


@dataclass(frozen=True)
class ProbeRecord:
    """What became of the probe set in one watched tensor since the look before.

    Attributes:
        step: The training step before which it was looked at.
        tensor: As in `TensorRecord`.
        ids: The samples' names.
        relative_change: ‖aₜ - aₜ₋₁‖ / ‖aₜ₋₁‖ of each sample's activation a.
    """

    step: int
    tensor: str
    ids: Sequence[str]
    relative_change: Sequence[float]


@dataclass(frozen=True)
class PredictionRecord:
    """What the model predicted for the probe set.

    Attributes:
        step: The training step before which it was asked.
        ids: The samples' names.
        predicted: The class predicted for each sample.
        confidence: The probability given to each sample's label, or to the class predicted if there are no labels.
        correct: Whether the label was predicted; empty if there are no labels.
    """

    step: int
    ids: Sequence[str]
    predicted: Sequence[int]
    confidence: Sequence[float]
    correct: Sequence[bool] = ()


@dataclass(frozen=True)
class Alert:
    """What a rule found.

    Attributes:
        step: The training step.
        rule: The rule's name.
        tensor: Where, as in `TensorRecord`.
        kind: What the tensor is.
        statistic: The statistic that the rule looked at.
        value: Its value.
        threshold: What it was compared with.
        message: All of it in a sentence.
    """

    step: int
    rule: str
    tensor: str
    kind: Kind
    statistic: str
    value: float
    threshold: float
    message: str


Record = TensorRecord | ProbeRecord | PredictionRecord | Alert


@dataclass(frozen=True)
class Run:
    """What a sink is told before the first record.

    Attributes:
        model: The model's name.
        backend: The Keras backend.
        process: This process's number where several train together, else 0.
        settings: How the run is watched, as JSON values.
    """

    model: str
    backend: str
    process: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Sink(Protocol):
    """Where records go. Any object with these three methods is one."""

    def open(self, run: Run) -> None:
        """Make ready for a run. Called before each `fit`; an exception here stops `fit` before it trains."""

    def write(self, records: Sequence[Record]) -> None:
        """Take the records of one look. An exception here ends this sink, with a warning, and training goes on."""

    def close(self) -> None:
        """Write out what is still in hand. May be called twice, and a sink may be opened again afterwards."""
