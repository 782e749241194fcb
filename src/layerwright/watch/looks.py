"""What was seen in one training step, as records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from layerwright.watch.forward import unbundled, unpacked
from layerwright.watch.records import Kind, TensorRecord
from layerwright.watch.statistics import histogram, shift, values

Seen = Mapping[str, Any]
"""What a step returned: matrices of rows by `Kind`, and besides `means` and `update_ratio`."""


class Looks:
    """Turns what steps returned into records; remembers the feature means, to compare the next ones with.

    Args:
        statistics: The statistics that are wanted.
    """

    def __init__(self, statistics: Sequence[str]) -> None:
        self._statistics = [name for name in statistics if name != "between_batch_shift"]
        self._means: dict[str, Any] = {}
        self._means_step = -1

    def remember(self, step: int, seen: Seen) -> None:
        """Keep the feature means of a step."""
        self._means, self._means_step = unbundled(seen.get("means", {})), step

    def records(self, step: int, seen: Seen, before: int) -> Iterator[TensorRecord]:
        """Return the records of a step.

        Args:
            step: The step.
            seen: What it returned.
            before: The step whose feature means this one's are compared with, if they were seen.
        """
        means_before = self._means if self._means_step == before else {}
        self.remember(step, seen)
        ratios = unpacked(seen.get("update_ratio", {}))
        for kind in Kind:
            for name, row in unpacked(seen.get(kind, {})).items():
                found = values(row, self._statistics)
                if kind == Kind.ACTIVATION and name in means_before:
                    found |= shift(self._means[name], means_before[name])
                if kind == Kind.WEIGHT:
                    found["update_ratio"] = float(ratios[name][0])
                shape = histogram(row) if "histogram" in self._statistics else None
                yield TensorRecord(step, name, kind, found, shape)
