"""The records of a watched training run, and the interface of the sinks that receive them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class Kind(StrEnum):
    """The kind of a watched tensor."""

    ACTIVATION = "activation"
    ACTIVATION_GRADIENT = "activation_gradient"
    WEIGHT = "weight"
    WEIGHT_GRADIENT = "weight_gradient"


@dataclass(frozen=True)
class Histogram:
    """The number of elements in each of several equally wide bins.

    Attributes:
        low: The lower end of the first bin.
        high: The upper end of the last bin. The last bin includes its upper end; the others do not.
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
        tensor: The path of the layer, followed by `#1` for its second call in a step and by `:1` for its second
            output; or the path of a weight.
        kind: The kind of the tensor.
        values: The statistics by name.
        histogram: Its histogram, if requested.
    """

    step: int
    tensor: str
    kind: Kind
    values: Mapping[str, float]
    histogram: Histogram | None = None


@dataclass(frozen=True)
class ProbeRecord:
    """How much one activation changed on the probe set since the previous recorded step.

    Attributes:
        step: The training step. The probe set is evaluated just before it.
        tensor: As in `TensorRecord`.
        ids: The names of the samples.
        relative_change: ‖aₜ - aₜ₋₁‖ / ‖aₜ₋₁‖ of each sample's activation a.
    """

    step: int
    tensor: str
    ids: Sequence[str]
    relative_change: Sequence[float]


@dataclass(frozen=True)
class PredictionRecord:
    """The model's predictions for the probe set.

    Attributes:
        step: The training step. The predictions are made just before it.
        ids: The names of the samples.
        predicted: The predicted class of each sample.
        confidence: The probability of each sample's label; without labels, of its predicted class.
        correct: Whether each prediction equals the label; empty without labels.
    """

    step: int
    ids: Sequence[str]
    predicted: Sequence[int]
    confidence: Sequence[float]
    correct: Sequence[bool] = ()


@dataclass(frozen=True)
class Alert:
    """A violation that a rule reported.

    Attributes:
        step: The training step.
        rule: The name of the rule.
        tensor: The tensor, as in `TensorRecord`.
        kind: The kind of the tensor.
        statistic: The statistic that violates the rule.
        value: Its value.
        threshold: The value that it was compared with.
        message: A sentence that says all of this.
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
class TrainingRun:
    """What a sink learns about a run before the first record.

    Attributes:
        model: The model's name.
        backend: The Keras backend.
        process: The index of this process if several train together, else 0.
        settings: The settings of `Watch`, as JSON values.
    """

    model: str
    backend: str
    process: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Sink(Protocol):
    """A destination for records. Any object with these three methods is a sink."""

    def open(self, run: TrainingRun) -> None:
        """Prepare for a run. Called before each `fit`. An exception here stops `fit` before it trains."""

    def write(self, records: Sequence[Record]) -> None:
        """Write the records of one step. After an exception here, the sink gets no more records; training continues."""

    def close(self) -> None:
        """Write what is still buffered. May be called twice; the sink may be opened again afterwards."""
