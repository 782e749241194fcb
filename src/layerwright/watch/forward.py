"""Collects the outputs of the watched layers during one forward pass."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops, tree

from layerwright import backends
from layerwright.watch.request import WatchRequest
from layerwright.watch.statistics import feature_means, statistics_row

MAX_CALLS = 32
"""The largest number of calls of one layer that are recorded in one step."""

GradientTap = Callable[[str, Any], Any]
"""Takes a tensor's name and the tensor; returns the same tensor, whose gradient will be recorded."""


class ForwardPass:
    """Collects the outputs of the watched layers in one forward pass, and reduces each to a row of statistics.

    Args:
        request: What to record.
        gradient_tap: Applied to each activation; its result takes the activation's place. None to leave them as they
            are.
    """

    def __init__(self, request: WatchRequest, gradient_tap: GradientTap | None = None) -> None:
        self._request = request
        self._gradient_tap = gradient_tap
        self._trace_state = backends.current().trace_state()
        self._calls: Counter[str] = Counter()
        self._activations: dict[str, tuple[Any, int]] = {}
        self._in_inner_trace: set[str] = set()

    def collect(self, path: str, outputs: Any) -> Any:
        """Collect the outputs of one layer call, and return the outputs to use instead."""
        if backends.current().trace_state() != self._trace_state:
            self._in_inner_trace.add(path)
            return outputs
        call = self._calls[path]
        self._calls[path] += 1
        if call >= MAX_CALLS:
            return outputs
        tensors = tree.flatten(outputs)
        axis = units_axis(self._request.layers[path])
        replaced = []
        for number, tensor in enumerate(tensors):
            if has_statistics(tensor):
                name = output_name(path, call, number)
                part = first_rows(tensor, self._request.max_elements)
                self._activations[name] = (ops.stop_gradient(part), axis)
                tensor = self._gradient_tap(name, tensor) if self._gradient_tap else tensor
            replaced.append(tensor)
        return tree.pack_sequence_as(outputs, replaced) if self._gradient_tap else outputs

    def skipped_layers(self) -> dict[str, str]:
        """Return, for each layer that was not recorded or only in part, the rest of a sentence that says why."""
        looped = "is not watched: it runs inside a compiled loop or a checkpoint, and values cannot leave those"
        often = f"is not watched beyond its first {MAX_CALLS} calls in a step"
        return {
            **{path: looped for path in self._in_inner_trace if not self._calls[path]},
            **{path: often for path, calls in self._calls.items() if calls > MAX_CALLS},
        }

    def rows(self) -> dict[str, Any]:
        """Return the row of statistics of each activation, by name."""
        return {
            name: statistics_row(part, self._request.bins, axis) for name, (part, axis) in self._activations.items()
        }

    def feature_means(self) -> dict[str, Any]:
        """Return the feature means of each activation, by name; nothing if they were not requested."""
        if not self._request.feature_means:
            return {}
        return {name: feature_means(part, self._request.max_elements) for name, (part, _) in self._activations.items()}


def output_name(path: str, call: int, output: int) -> str:
    """Return the name of a layer's output: `"path"`, `"path#1"` for its second call, `"path:1"` for a second output."""
    return path + (f"#{call}" if call else "") + (f":{output}" if output else "")


def layer_path(output: str) -> str:
    """Return the path of the layer in the name of its output."""
    return output.partition("#")[0].partition(":")[0]


def has_statistics(tensor: Any) -> bool:
    """Whether this is a dense tensor of real numbers or booleans."""
    if not ops.is_tensor(tensor) or not hasattr(tensor, "dtype"):
        return False
    name = keras.backend.standardize_dtype(tensor.dtype)
    return name == "bool" or "int" in name or "float" in name


def units_axis(layer: Any) -> int:
    """Return the axis of a layer's units or channels in its outputs."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def first_rows(x: Any, max_elements: int) -> Any:
    """Return the first rows of the batch, at least one, that together have at most `max_elements` elements."""
    rank = len(x.shape)
    if rank == 0:
        return x
    features: Any = 1
    for size in ops.shape(x)[1:]:
        features = features * size
    if isinstance(features, int):
        return x[: max(1, max_elements // max(1, features))]
    return x[: ops.maximum(1, max_elements // ops.maximum(1, features))]


def stack_rows(rows: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """Stack vectors of equal length into one matrix.

    The names are its key, because a compiled function keeps the keys of a dict that it returns.
    """
    return {tuple(rows): ops.stack(list(rows.values()))} if rows else {}


def unstack_rows(matrix: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return the rows of a stacked matrix by name, as NumPy arrays."""
    return {
        name: values
        for names, rows in matrix.items()
        for name, values in zip(names, ops.convert_to_numpy(rows), strict=True)
    }


def bundle_vectors(vectors: dict[str, Any]) -> dict[tuple[str, ...], Sequence[Any]]:
    """Put vectors of different lengths into one sequence, with their names as its key."""
    return {tuple(vectors): tuple(vectors.values())} if vectors else {}


def unbundle_vectors(bundle: dict[tuple[str, ...], Sequence[Any]]) -> dict[str, Any]:
    """Return the vectors of a bundle by name, as NumPy arrays."""
    return {
        name: ops.convert_to_numpy(vector)
        for names, vectors in bundle.items()
        for name, vector in zip(names, vectors, strict=True)
    }
