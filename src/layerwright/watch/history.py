"""Records kept in memory."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from layerwright.watch.dynamics import sample_dynamics
from layerwright.watch.records import Alert, PredictionRecord, ProbeRecord, Record, TensorRecord, TrainingRun


class History:
    """A sink that keeps records in memory.

    Args:
        most: The largest number of records of each kind to keep. Beyond it, the oldest are dropped. Other sinks keep
            all records.

    Attributes:
        tensors: The statistics of tensors, in the order of steps.
        probes: The relative changes on the probe set.
        predictions: The predictions for the probe set.
        alerts: The alerts of the rules.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self.tensors: list[TensorRecord] = []
        self.probes: list[ProbeRecord] = []
        self.predictions: list[PredictionRecord] = []
        self.alerts: list[Alert] = []

    def open(self, run: TrainingRun) -> None:
        """Do nothing: records of a second `fit` are appended to those of the first."""

    def write(self, records: Sequence[Record]) -> None:
        """Keep the records."""
        kept: dict[type, list[Any]] = {
            TensorRecord: self.tensors,
            ProbeRecord: self.probes,
            PredictionRecord: self.predictions,
            Alert: self.alerts,
        }
        for record in records:
            kept[type(record)].append(record)
        for each in kept.values():
            # Deleting moves every record that stays, so it happens rarely: once the list is a tenth too long.
            if len(each) > 1.1 * self._most:
                del each[: -self._most]

    def close(self) -> None:
        """Do nothing."""

    def to_pandas(self) -> Any:
        """Return the statistics as a `pandas.DataFrame`, with one row for each recorded step and tensor.

        The columns are `step`, `tensor`, `kind`, and one for each statistic.
        """
        import pandas as pd

        rows = [
            {"step": record.step, "tensor": record.tensor, "kind": record.kind.value, **record.values}
            for record in self.tensors
        ]
        return pd.DataFrame(rows)

    def probe_to_pandas(self) -> Any:
        """Return the relative changes as a `pandas.DataFrame`, with one row for each recorded step, tensor and sample.

        The columns are `step`, `tensor`, `id` and `relative_change`.
        """
        import pandas as pd

        rows = [
            (record.step, record.tensor, name, change)
            for record in self.probes
            for name, change in zip(record.ids, record.relative_change, strict=True)
        ]
        return pd.DataFrame(rows, columns=["step", "tensor", "id", "relative_change"])

    def samples_to_pandas(self) -> Any:
        """Return the dynamics of the probe samples as a `pandas.DataFrame`, with the least confident sample first.

        The columns are the attributes of `SampleDynamics`: `id`, `confidence`, `variability`, `correctness`,
        `forgetting_events`, `flips` and `predicted`.
        """
        import pandas as pd

        return pd.DataFrame([asdict(sample) for sample in sample_dynamics(self.predictions)])
