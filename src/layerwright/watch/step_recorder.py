"""Turns what a training step returned into records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from layerwright.watch.forward import unbundle_vectors, unstack_rows
from layerwright.watch.records import Kind, TensorRecord
from layerwright.watch.statistics import mean_shift, named_values, row_histogram

StepOutput = Mapping[str, Any]
"""What a watched step returned: a matrix of statistics for each `Kind`, the feature `means`, and `update_ratio`."""


class StepRecorder:
    """Turns the output of watched steps into records.

    It keeps the feature means of the last step, to compare them with those of the next step.

    Args:
        statistics: The names given as `Watch(statistics=…)`.
    """

    def __init__(self, statistics: Sequence[str]) -> None:
        self._statistics = [name for name in statistics if name != "between_batch_shift"]
        self._means: dict[str, Any] = {}
        self._means_step = -1

    def remember_means(self, step: int, output: StepOutput) -> None:
        """Keep the feature means of a step."""
        self._means, self._means_step = unbundle_vectors(output.get("means", {})), step

    def records(self, step: int, output: StepOutput, previous_step: int) -> Iterator[TensorRecord]:
        """Return the records of a step.

        Args:
            step: The step.
            output: What the step returned.
            previous_step: The step whose feature means are compared with those of this step, if they were recorded.
        """
        previous_means = self._means if self._means_step == previous_step else {}
        self.remember_means(step, output)
        update_ratios = unstack_rows(output.get("update_ratio", {}))
        for kind in Kind:
            for name, row in unstack_rows(output.get(kind, {})).items():
                values = named_values(row, self._statistics)
                if kind == Kind.ACTIVATION and name in previous_means:
                    values |= mean_shift(self._means[name], previous_means[name])
                if kind == Kind.WEIGHT:
                    values["update_ratio"] = float(update_ratios[name][0])
                histogram = row_histogram(row) if "histogram" in self._statistics else None
                yield TensorRecord(step, name, kind, values, histogram)
