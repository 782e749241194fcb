"""What calls leave alive: tensors of the backend anywhere, and items of containers within a layer's reach."""

import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import describe
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.trial import Trial, blaming

FRAMEWORKS = ("builtins", "keras", "tensorflow", "jax", "torch", "numpy")
TENSORS = "tensors alive"
NOTED_BY_KERAS = "_tracked"
"""Where Keras on TensorFlow notes the name of an attribute at every assignment of a container to it."""


@contextmanager
def only_what_is_new() -> Iterator[None]:
    """Hide all that exists from the garbage collector, so that going through what is made later costs nothing."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def held(trial: Trial, layer: Any) -> dict[str, int]:
    """Count what is alive: tensors among all new objects, and the items of each container in the layer's reach."""
    gc.collect()
    tensors = sum(trial.backend.is_native(value) for value in gc.get_objects())
    sizes: dict[str, int] = {TENSORS: tensors}
    for path, value in _roots(layer):
        _measure(path, value, sizes)
    return sizes


def caller(trial: Trial, layer: Any) -> Callable[[], object]:
    """Return one call of the layer in training that keeps nothing itself.

    On JAX a layer that holds a loop is traced instead of run: run eagerly, a loop is compiled at every call.
    """
    import keras

    tensors = trial.usual.map(keras.ops.convert_to_tensor)

    def run() -> None:
        with blaming(f"calling it on {describe(trial.usual)}"), trial.backend.inference():
            layer(tensors.inputs, **{**tensors.call, "training": True})

    def trace() -> str:
        with blaming(f"tracing it on {describe(trial.usual)}"):
            return trial.backend.trace(pure(layer, trial.usual, training=True), tensors_of(layer, trial.usual))

    if trial.backend.NAME != "jax":
        return run
    try:
        program = trace()
    except LayerError:  # LW801 compiled-equals-eager says so
        return run
    return trace if "scan[" in program or "while[" in program else run


def _roots(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a layer and its sublayers can keep things in: their attributes, their classes', their modules'."""
    for part in layer._flatten_layers():
        owner = "self" if part is layer else f"self…{part.name}"
        yield from ((f"{owner}.{name}", value) for name, value in vars(part).items() if name != NOTED_BY_KERAS)
        for kind in type(part).__mro__:
            if kind.__module__.partition(".")[0] not in FRAMEWORKS:
                yield from ((f"{kind.__name__}.{name}", value) for name, value in vars(kind).items())
                yield from _outer_names(kind)


def _outer_names(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield what the methods of a class refer to outside it: by global name, or from a function around the class."""
    for method in vars(kind).values():
        code = getattr(method, "__code__", None)
        if code is not None:
            known = method.__globals__
            yield from ((name, known[name]) for name in code.co_names if name in known)
            cells = zip(code.co_freevars, method.__closure__ or (), strict=True)
            yield from ((name, cell.cell_contents) for name, cell in cells)


def _measure(path: str, value: Any, sizes: dict[str, int]) -> None:
    """Add the number of items of a container, those of the containers in it included."""
    bounded = isinstance(value, deque) and value.maxlen is not None
    if isinstance(value, (list, tuple, set, Mapping, deque)) and not bounded:
        inner = value.values() if isinstance(value, Mapping) else value
        sizes[path] = len(value) + sum(len(item) for item in inner if isinstance(item, (list, set, dict, deque)))
