"""One forward pass, as the watched layers return their outputs."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops, tree

from layerwright import backends
from layerwright.watch.plan import Plan
from layerwright.watch.statistics import feature_means, row

MOST_CALLS = 32
"""How many calls of one layer are told apart in a step."""

Tap = Callable[[str, Any], Any]
"""Takes a tensor's name and the tensor, and returns the tensor, its gradient seen."""


class Forward:
    """Sees the outputs of layers in one forward pass, and reduces them to rows.

    Args:
        plan: What is to be seen.
        tap: What to put behind each activation.
    """

    def __init__(self, plan: Plan, tap: Tap | None = None) -> None:
        self._plan = plan
        self._tap = tap
        self._here = backends.current().trace_state()
        self._calls: Counter[str] = Counter()
        self._seen: dict[str, tuple[Any, int]] = {}
        self._elsewhere: set[str] = set()

    def see(self, path: str, outputs: Any) -> Any:
        """Take what a layer returned, and return what is to be returned in its place."""
        if backends.current().trace_state() != self._here:
            self._elsewhere.add(path)
            return outputs
        call = self._calls[path]
        self._calls[path] += 1
        if call >= MOST_CALLS:
            return outputs
        tensors = tree.flatten(outputs)
        axis = units_axis(self._plan.layers[path])
        replaced = []
        for number, tensor in enumerate(tensors):
            if has_statistics(tensor):
                name = site(path, call, number)
                part = first_rows(tensor, self._plan.max_elements)
                self._seen[name] = (ops.stop_gradient(part), axis)
                tensor = self._tap(name, tensor) if self._tap else tensor
            replaced.append(tensor)
        return tree.pack_sequence_as(outputs, replaced) if self._tap else outputs

    def skipped(self) -> dict[str, str]:
        """Return why layers are not seen, or not at each call, by their paths."""
        looped = "it runs inside a compiled loop or a checkpoint, from which nothing gets out"
        often = f"of its calls in a step only the first {MOST_CALLS} are"
        return {
            **{path: looped for path in self._elsewhere if not self._calls[path]},
            **{path: often for path, calls in self._calls.items() if calls > MOST_CALLS},
        }

    def rows(self) -> dict[str, Any]:
        """Return the statistics of each activation by its name."""
        return {name: row(part, self._plan.bins, axis) for name, (part, axis) in self._seen.items()}

    def means(self) -> dict[str, Any]:
        """Return the feature means of each activation by its name, if they are wanted."""
        if not self._plan.feature_means:
            return {}
        return {name: feature_means(part, self._plan.max_elements) for name, (part, _) in self._seen.items()}


def site(path: str, call: int, output: int) -> str:
    """Return the name of a layer's output: `"path"`, `"path#1"` for its second call, `"path:1"` for a second output."""
    return path + (f"#{call}" if call else "") + (f":{output}" if output else "")


def has_statistics(tensor: Any) -> bool:
    """Whether it is a dense tensor of numbers."""
    if not ops.is_tensor(tensor) or not hasattr(tensor, "dtype"):
        return False
    name = keras.backend.standardize_dtype(tensor.dtype)
    return name == "bool" or "int" in name or "float" in name


def units_axis(layer: Any) -> int:
    """Return the axis of a layer's units or channels in its outputs."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def first_rows(x: Any, most: int) -> Any:
    """Return as many of the batch's first rows as have `most` elements together, at least one."""
    rank = len(x.shape)
    if rank == 0:
        return x
    features: Any = 1
    for size in ops.shape(x)[1:]:
        features = features * size
    if isinstance(features, int):
        return x[: max(1, most // max(1, features))]
    return x[: ops.maximum(1, most // ops.maximum(1, features))]


def packed(rows: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """Return vectors of one length as one matrix; its key has their names, and so travels through a compiler."""
    return {tuple(rows): ops.stack(list(rows.values()))} if rows else {}


def unpacked(matrix: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return the rows of a matrix by their names, as NumPy arrays."""
    return {
        name: values
        for names, rows in matrix.items()
        for name, values in zip(names, ops.convert_to_numpy(rows), strict=True)
    }


def bundled(vectors: dict[str, Any]) -> dict[tuple[str, ...], Sequence[Any]]:
    """Return vectors of different lengths in one sequence, under one key that has their names."""
    return {tuple(vectors): tuple(vectors.values())} if vectors else {}


def unbundled(bundle: dict[tuple[str, ...], Sequence[Any]]) -> dict[str, Any]:
    """Return the vectors of a bundle by their names, as NumPy arrays."""
    return {
        name: ops.convert_to_numpy(vector)
        for names, vectors in bundle.items()
        for name, vector in zip(names, vectors, strict=True)
    }
