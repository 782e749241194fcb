"""Writes records to Parquet files.

Each table is a folder of files. DuckDB, pandas and other programs read it as one table, also during a run.
"""

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerwright.watch.records import PredictionRecord, ProbeRecord, Record, TensorRecord, TrainingRun
from layerwright.watch.sinks._folder import writable_folder
from layerwright.watch.statistic_names import statistic_names

SECONDS_PER_FILE = 30.0
ROWS_PER_FILE = 100_000


class Parquet:
    """Writes records into four tables under a folder: `tensors`, `probe`, `predictions` and `alerts`.

    Each table is a folder of files. A file gets its name only when it is complete, so a reader never sees half a file.
    A process that is killed loses at most the records that it had not yet written: those of the last half minute.
    Several processes, and several runs in sequence, can write into the same folder.

        SELECT step, tensor, mean FROM 'logs/run1/tensors/*.parquet' WHERE kind = 'activation' ORDER BY step

    Args:
        folder: The run's folder.
        seconds: Write a file once this many seconds have passed since the last one. The time is checked whenever
            records arrive.

    Raises:
        ValueError: From `open`, if the folder is not writable.
        ModuleNotFoundError: If pyarrow is not installed.
    """

    def __init__(self, folder: str | Path, seconds: float = SECONDS_PER_FILE) -> None:
        import pyarrow.parquet  # noqa: F401 - if it is missing, fail before training

        self._folder = Path(folder)
        self._seconds = seconds
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._process = 0
        self._since = 0.0
        self._files = 0

    def open(self, run: TrainingRun) -> None:
        """Create the folder, and write the settings of the run into a file `run-….json`."""
        folder = writable_folder(self._folder)
        settings = {"model": run.model, "backend": run.backend, "process": run.process, **run.settings}
        path = folder / f"run-{time.time_ns():020d}-{run.process:03d}.json"
        path.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        self._process = run.process
        self._since = time.monotonic()

    def write(self, records: Sequence[Record]) -> None:
        """Buffer records, and write files if it is time."""
        now = time.time()
        for record in records:
            table, rows = _table_rows(record)
            common = {"wall_time": now, "process": self._process, "step": record.step}
            self._rows.setdefault(table, []).extend({**common, **row} for row in rows)
        is_long = max(map(len, self._rows.values()), default=0) >= ROWS_PER_FILE
        if is_long or time.monotonic() - self._since >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write all buffered records, in one file for each table."""
        for table in list(self._rows):
            self._write_file(table, self._rows[table])
            del self._rows[table]
        self._since = time.monotonic()

    def close(self) -> None:
        """Write all buffered records."""
        self.flush()

    def _write_file(self, table: str, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = self._folder / table
        folder.mkdir(parents=True, exist_ok=True)
        self._files += 1
        name = f"{time.time_ns():020d}-{socket.gethostname()}-{os.getpid()}-{self._process:03d}-{self._files:06d}"
        unfinished = folder / f".{name}.unfinished"
        try:
            pq.write_table(pa.Table.from_pylist(rows, schema=_schema(table)), unfinished)
            unfinished.rename(folder / f"{name}.parquet")
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def for_folder(folder: str | Path) -> Parquet:
    """Return the sink for a run's folder."""
    return Parquet(folder)


def _table_rows(record: Record) -> tuple[str, list[dict[str, Any]]]:
    if isinstance(record, TensorRecord):
        bins = record.histogram
        histogram = {} if bins is None else {"low": bins.low, "high": bins.high, "counts": list(bins.counts)}
        return "tensors", [{"tensor": record.tensor, "kind": record.kind.value, **record.values, **histogram}]
    if isinstance(record, ProbeRecord):
        each = zip(record.ids, record.relative_change, strict=True)
        return "probe", [{"tensor": record.tensor, "id": name, "relative_change": change} for name, change in each]
    if isinstance(record, PredictionRecord):
        samples = zip(record.ids, record.predicted, record.confidence, strict=True)
        names = ("id", "predicted", "confidence")
        rows: list[dict[str, Any]] = [dict(zip(names, sample, strict=True)) for sample in samples]
        for row, correct in zip(rows, record.correct, strict=False):
            row["correct"] = correct
        return "predictions", rows
    kept = ("rule", "tensor", "statistic", "value", "threshold", "message")
    return "alerts", [{"kind": record.kind.value} | {name: getattr(record, name) for name in kept}]


def _schema(table: str) -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    own = {
        "tensors": {
            "tensor": text,
            "kind": text,
            **dict.fromkeys(statistic_names(), number),
            "low": number,
            "high": number,
            "counts": pa.list_(pa.int64()),
        },
        "probe": {"tensor": text, "id": text, "relative_change": number},
        "predictions": {"id": text, "predicted": pa.int64(), "confidence": number, "correct": pa.bool_()},
        "alerts": {
            **dict.fromkeys(("rule", "tensor", "kind", "statistic"), text),
            "value": number,
            "threshold": number,
            "message": text,
        },
    }[table]
    return pa.schema({"wall_time": number, "process": pa.int32(), "step": pa.int64(), **own})
