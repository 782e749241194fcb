"""Writes records to TensorBoard event files. TensorFlow is not needed, and not imported even if it is installed."""

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from layerwright.watch.records import (
    Alert,
    Histogram,
    PredictionRecord,
    ProbeRecord,
    Record,
    TensorRecord,
    TrainingRun,
)
from layerwright.watch.sinks._folder import writable_folder

Array = np.ndarray[Any, Any]


class TensorBoard:
    """Writes records into an event file, with one event for each recorded step.

    Scalars have tags such as `activation/mean/encoder/dense`, so TensorBoard shows each statistic of all layers
    together. Histograms use the bins that the training step counted. When the run ends, the sink adds images of the
    whole run: for each statistic, tensors by recorded steps; for each activation, the relative changes of the probe
    set, samples by recorded steps.

    Args:
        folder: The run's folder.

    Raises:
        ValueError: From `open`, if the folder is not writable.
        ModuleNotFoundError: If tensorboard or google-crc32c is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        import google_crc32c  # noqa: F401 - if it is missing, fail before training
        from tensorboard.compat.proto import event_pb2  # noqa: F401

        self._folder = Path(folder)
        self._file: Any = None
        self._images: dict[str, dict[str, dict[int, Any]]] = {}  # values by tag, row and step
        self._last_step = 0

    def open(self, run: TrainingRun) -> None:
        """Start a new event file."""
        folder = writable_folder(self._folder)
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{run.process}"
        number = len(list(folder.glob(f"{name}.*")))
        self._file = (folder / f"{name}.{number}").open("wb")
        self._images = {}
        self._write(file_version="brain.Event:2")

    def write(self, records: Sequence[Record]) -> None:
        """Write one event for each step in the records."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        by_step: dict[int, list[Any]] = {}
        for record in records:
            by_step.setdefault(record.step, []).extend(_summary_values(record))
            for tag, row, value in _image_values(record):
                self._images.setdefault(tag, {}).setdefault(row, {})[record.step] = value
        for step, found in by_step.items():
            self._last_step = max(self._last_step, step)
            self._write(step=step, summary=Summary(value=found))

    def close(self) -> None:
        """Write the images of the whole run, and close the file."""
        if self._file is None:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        images = [_image(tag, _rows_by_steps(rows)) for tag, rows in self._images.items()]
        if images:
            self._write(step=self._last_step, summary=Summary(value=images))
        self._file.close()
        self._file = None

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._file.write(framed_record(Event(wall_time=time.time(), **content).SerializeToString()))
        self._file.flush()


def for_folder(folder: str | Path) -> TensorBoard:
    """Return the sink for a run's folder."""
    return TensorBoard(folder)


def framed_record(data: bytes) -> bytes:
    """Return a record of an event file: the length of the data, its checksum, the data, its checksum.

    tensorboard's own writer produces the same bytes, but computes the checksums in Python. That would take longer than
    everything else in this file.
    """
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return the masked CRC-32C that the file format requires."""
    import google_crc32c

    found = google_crc32c.value(data)
    return struct.pack("<I", ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _summary_values(record: Record) -> Iterator[Any]:
    """Return the summary values that represent a record in an event."""
    if isinstance(record, TensorRecord):
        for name, value in record.values.items():
            yield _scalar(f"{record.kind}/{name}/{record.tensor}", value)
        if record.histogram is not None:
            yield _histogram(f"{record.kind}/{record.tensor}", record.histogram)
    elif isinstance(record, ProbeRecord):
        changes = np.array(record.relative_change)
        yield _scalar(f"probe/relative_change_mean/{record.tensor}", changes.mean())
        yield _scalar(f"probe/relative_change_max/{record.tensor}", changes.max())
    elif isinstance(record, PredictionRecord):
        yield _scalar("probe/confidence", float(np.mean(record.confidence)))
        if record.correct:
            yield _scalar("probe/accuracy", float(np.mean(record.correct)))
    elif isinstance(record, Alert):
        yield _text(f"alert/{record.rule}/{record.tensor}", record.message)


def _image_values(record: Record) -> Iterator[tuple[str, str, float]]:
    """Return what a record adds to the images of the run: the image's tag, the row and the value."""
    if isinstance(record, TensorRecord):
        for name, value in record.values.items():
            if name != "n":
                yield f"run/{record.kind}/{name}", record.tensor, abs(value)
    elif isinstance(record, ProbeRecord):
        for name, value in zip(record.ids, record.relative_change, strict=True):
            yield f"run/probe/{record.tensor}", name, value


def _rows_by_steps(rows: Mapping[str, Mapping[int, float]]) -> Array:
    """Return rows of values by step as a matrix, with NaN for missing values."""
    steps = sorted({step for row in rows.values() for step in row})
    return np.array([[row.get(step, np.nan) for step in steps] for row in rows.values()])


def _scalar(tag: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_FLOAT

    tensor = TensorProto(dtype=DT_FLOAT, float_val=[value])
    return Summary.Value(tag=tag, metadata=_metadata("scalar"), tensor=tensor)


def _histogram(tag: str, histogram: Histogram) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE

    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    bins = np.stack([edges[:-1], edges[1:], np.array(histogram.counts)], axis=1).astype("<f8")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in bins.shape])
    tensor = TensorProto(dtype=DT_DOUBLE, tensor_content=bins.tobytes(), tensor_shape=shape)
    return Summary.Value(tag=tag, metadata=_metadata("histogram"), tensor=tensor)


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    return Summary.Value(
        tag=tag, metadata=_metadata("text"), tensor=TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    )


def _image(tag: str, matrix: Array) -> Any:
    """Return an image of a matrix on a logarithmic scale: 0 is dark, the largest value is bright."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    height, width = matrix.shape
    shades = logarithmic_shades(matrix)
    picture = Image.fromarray((255 * shades).astype("uint8"))
    scale = max(1, 256 // max(height, width))
    picture = picture.resize((width * scale, height * scale), Image.Resampling.NEAREST)
    encoded = BytesIO()
    picture.save(encoded, "PNG")
    parts = [str(picture.width).encode(), str(picture.height).encode(), encoded.getvalue()]
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(parts))])
    tensor = TensorProto(dtype=DT_STRING, string_val=parts, tensor_shape=shape)
    metadata = _metadata("image", "rows by recorded steps; brighter is larger, on a logarithmic scale")
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


@cache
def _metadata(plugin: str, description: str = "") -> Any:
    """Return the metadata that tells TensorBoard which plugin shows a value."""
    made = import_module(f"tensorboard.plugins.{plugin}.metadata").create_summary_metadata
    return made(display_name="", description=description)


def logarithmic_shades(matrix: Array) -> Array:
    """Return non-negative numbers as shades from 0 to 1 on a logarithmic scale; 0, NaN and infinity become 0."""
    known = np.where(np.isfinite(matrix), matrix, 0.0)
    if not (known > 0).any():
        return np.zeros(matrix.shape)
    low, high = np.log10(known[known > 0].min()), np.log10(known.max())
    return np.where(known > 0, (np.log10(np.maximum(known, 10**low)) - low) / max(high - low, 1e-9) * 0.9 + 0.1, 0.0)
