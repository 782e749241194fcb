"""A watched run, read back from its folder."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerwright.core.errors import UsageError
from layerwright.watch.dynamics import SampleDynamics, dynamics
from layerwright.watch.records import PredictionRecord

NOT_STATISTICS = ("wall_time", "process", "step", "tensor", "kind", "low", "high", "counts")


@dataclass(frozen=True)
class Series:
    """One tensor over all looks.

    Attributes:
        tensor: Its name.
        kind: What it is.
        steps: The steps at which it was looked at.
        values: Each statistic at these steps; None where it was not recorded.
        histograms: At these steps the lower end, the upper end and the counts of the bins, or None.
    """

    tensor: str
    kind: str
    steps: list[int]
    values: dict[str, list[float | None]]
    histograms: list[tuple[float, float, list[int]] | None]


@dataclass(frozen=True)
class WatchedRun:
    """What a run's folder holds.

    Attributes:
        name: The folder's name.
        about: What was said of the run when it began: model, backend, settings.
        series: The tensors.
        probe: For each tensor the samples' relative changes, by step.
        ids: The probe set's samples.
        samples: How each sample fared.
        alerts: What rules found, in the order of steps.
    """

    name: str
    about: Mapping[str, Any]
    series: Sequence[Series]
    probe: Mapping[str, Mapping[int, Sequence[float]]]
    ids: Sequence[str]
    samples: Sequence[SampleDynamics]
    alerts: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def steps(self) -> list[int]:
        """Every step at which something was recorded."""
        return sorted({step for series in self.series for step in series.steps})


def read_run(folder: str | Path) -> WatchedRun:
    """Read a run's folder, also while the run goes on.

    Raises:
        UsageError: If there is no such folder, it holds no run, or pyarrow is not installed.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"{folder} is no folder; name the one that Watch was given as a sink.")
    tensors = _table(path / "tensors")
    if not tensors:
        raise UsageError(f"{folder} holds no run; name a folder that Watch was given as a sink, after a look or more.")
    probe, ids = _probe(_table(path / "probe"))
    return WatchedRun(
        name=path.resolve().name,
        about=_about(path),
        series=_series(tensors),
        probe=probe,
        ids=ids,
        samples=dynamics(_predictions(_table(path / "predictions"))),
        alerts=sorted(_table(path / "alerts"), key=lambda alert: alert["step"]),
    )


def _table(folder: Path) -> list[dict[str, Any]]:
    if not folder.is_dir():
        return []
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise UsageError("reading a run needs pyarrow: pip install 'layerwright[watch]'.") from error
    parts = sorted(folder.glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def _about(folder: Path) -> dict[str, Any]:
    notes = sorted(folder.glob("run-*.json"))
    about: dict[str, Any] = json.loads(notes[-1].read_text("utf-8")) if notes else {}
    return about


def _series(rows: Iterable[Mapping[str, Any]]) -> list[Series]:
    found: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["kind"], row["tensor"]), {})[row["step"]] = row
    series = []
    for (kind, tensor), by_step in found.items():
        steps = sorted(by_step)
        names = [name for name in by_step[steps[-1]] if name not in NOT_STATISTICS]
        values = {name: [_finite(by_step[step][name]) for step in steps] for name in names}
        drawn = {name: each for name, each in values.items() if any(value is not None for value in each)}
        histograms = [_histogram(by_step[step]) for step in steps]
        series.append(Series(tensor, kind, steps, drawn, histograms))
    return series


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _histogram(row: Mapping[str, Any]) -> tuple[float, float, list[int]] | None:
    return (row["low"], row["high"], row["counts"]) if row["counts"] else None


def _probe(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, dict[int, list[float]]], list[str]]:
    found: dict[str, dict[int, dict[str, float]]] = {}
    ids: dict[str, None] = {}
    for row in rows:
        ids[row["id"]] = None
        found.setdefault(row["tensor"], {}).setdefault(row["step"], {})[row["id"]] = row["relative_change"]
    order = list(ids)
    return {
        tensor: {step: [by_id.get(name, math.nan) for name in order] for step, by_id in sorted(by_step.items())}
        for tensor, by_step in found.items()
    }, order


def _predictions(rows: Iterable[Mapping[str, Any]]) -> list[PredictionRecord]:
    by_step: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_step.setdefault(row["step"], {})[row["id"]] = row
    looks = []
    for step, by_id in sorted(by_step.items()):
        samples = list(by_id.values())
        correct = tuple(sample["correct"] for sample in samples)
        looks.append(
            PredictionRecord(
                step,
                tuple(by_id),
                tuple(sample["predicted"] for sample in samples),
                tuple(sample["confidence"] for sample in samples),
                () if None in correct else correct,
            )
        )
    return looks
