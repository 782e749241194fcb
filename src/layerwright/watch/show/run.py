"""Reads a watched run from its folder."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerwright.core.errors import UsageError
from layerwright.watch.dynamics import SampleDynamics, sample_dynamics
from layerwright.watch.records import PredictionRecord
from layerwright.watch.statistic_names import statistic_names


@dataclass(frozen=True)
class Series:
    """The statistics of one tensor at all recorded steps.

    Attributes:
        tensor: Its name.
        kind: Its kind, as in `Kind`.
        steps: The steps at which it was recorded.
        values: The values of each statistic at these steps; None where a value is missing or not finite.
        histograms: The histograms at these steps: lower end, upper end and counts; None where there is none.
    """

    tensor: str
    kind: str
    steps: list[int]
    values: dict[str, list[float | None]]
    histograms: list[tuple[float, float, list[int]] | None]


@dataclass(frozen=True)
class WatchedRun:
    """The content of a run's folder.

    Attributes:
        name: The name of the folder.
        about: The model, the backend and the settings of `Watch`.
        series: The statistics of each tensor.
        probe: For each tensor, the relative changes of the probe samples, by step.
        ids: The names of the probe samples.
        samples: The dynamics of each probe sample.
        alerts: The alerts of the rules, in the order of steps.
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
    """Read a run from its folder. This also works while the run is training.

    Raises:
        UsageError: If the folder does not exist or contains no recorded run, or pyarrow is not installed.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"{folder} is not a folder; name the folder that was passed to Watch(sinks=[…]).")
    tensors = _read_table(path / "tensors")
    if not tensors:
        raise UsageError(
            f"{folder} contains no recorded run; name the folder that was passed to Watch(sinks=[…]). A run that has "
            "just started writes its first records after about half a minute."
        )
    probe, ids = _probe_changes(_read_table(path / "probe"))
    return WatchedRun(
        name=path.resolve().name,
        about=_read_settings(path),
        series=_series(tensors),
        probe=probe,
        ids=ids,
        samples=sample_dynamics(_predictions(_read_table(path / "predictions"))),
        alerts=sorted(_read_table(path / "alerts"), key=lambda alert: alert["step"]),
    )


def _read_table(folder: Path) -> list[dict[str, Any]]:
    if not folder.is_dir():
        return []
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise UsageError("reading a run requires pyarrow: pip install 'layerwright[watch]'.") from error
    parts = sorted(folder.glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def _read_settings(folder: Path) -> dict[str, Any]:
    files = sorted(folder.glob("run-*.json"))
    settings: dict[str, Any] = json.loads(files[-1].read_text("utf-8")) if files else {}
    return settings


def _series(rows: Iterable[Mapping[str, Any]]) -> list[Series]:
    found: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["kind"], row["tensor"]), {})[row["step"]] = row
    series = []
    for (kind, tensor), by_step in found.items():
        steps = sorted(by_step)
        values = {name: [_finite(by_step[step].get(name)) for step in steps] for name in statistic_names()}
        recorded = {name: each for name, each in values.items() if any(value is not None for value in each)}
        histograms = [_histogram(by_step[step]) for step in steps]
        series.append(Series(tensor, kind, steps, recorded, histograms))
    return series


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _histogram(row: Mapping[str, Any]) -> tuple[float, float, list[int]] | None:
    return (row["low"], row["high"], row["counts"]) if row["counts"] else None


def _probe_changes(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, dict[int, list[float]]], list[str]]:
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
    records = []
    for step, by_id in sorted(by_step.items()):
        samples = list(by_id.values())
        correct = tuple(sample["correct"] for sample in samples)
        records.append(
            PredictionRecord(
                step,
                tuple(by_id),
                tuple(sample["predicted"] for sample in samples),
                tuple(sample["confidence"] for sample in samples),
                () if None in correct else correct,
            )
        )
    return records
