"""What was recorded, in memory."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from layerwright.watch.dynamics import dynamics
from layerwright.watch.records import Alert, PredictionRecord, ProbeRecord, Record, Run, TensorRecord


class History:
    """A sink that keeps records in memory.

    Args:
        most: How many records of a kind are kept; of more, the oldest go. Other sinks keep them all.

    Attributes:
        tensors: The statistics of tensors, in the order of steps.
        probes: The relative changes of the probe set.
        predictions: What was predicted for the probe set.
        alerts: What rules found.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self.tensors: list[TensorRecord] = []
        self.probes: list[ProbeRecord] = []
        self.predictions: list[PredictionRecord] = []
        self.alerts: list[Alert] = []

    def open(self, run: Run) -> None:
        """Do nothing: a second `fit` goes on where the first ended."""

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
            if len(each) > 1.1 * self._most:  # seldom, since it moves all that stay
                del each[: -self._most]

    def close(self) -> None:
        """Do nothing."""

    def to_pandas(self) -> Any:
        """Return the statistics as a `pandas.DataFrame`: `step`, `tensor`, `kind` and a column for each statistic."""
        import pandas as pd

        rows = [
            {"step": record.step, "tensor": record.tensor, "kind": record.kind.value, **record.values}
            for record in self.tensors
        ]
        return pd.DataFrame(rows)

    def probe_to_pandas(self) -> Any:
        """Return the probe set's history as a `pandas.DataFrame`, one row for each look, tensor and sample.

        It has the columns `step`, `tensor`, `id` and `relative_change`.
        """
        import pandas as pd

        rows = [
            (record.step, record.tensor, name, change)
            for record in self.probes
            for name, change in zip(record.ids, record.relative_change, strict=True)
        ]
        return pd.DataFrame(rows, columns=["step", "tensor", "id", "relative_change"])

    def samples_to_pandas(self) -> Any:
        """Return how each sample of the probe set fared as a `pandas.DataFrame`, the least confident first.

        It has the columns of `SampleDynamics`: `id`, `confidence`, `variability`, `correctness`, `forgetting_events`,
        `flips` and `predicted`.
        """
        import pandas as pd

        return pd.DataFrame([asdict(sample) for sample in dynamics(self.predictions)])
