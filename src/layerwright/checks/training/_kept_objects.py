"""Count the objects that calls keep in memory: tensors of the backend, and items of a layer's containers."""

import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import describe
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, blaming

FRAMEWORKS = ("builtins", "keras", "tensorflow", "jax", "torch", "numpy")
TENSORS = "tensors alive"
KERAS_TRACKING = "_tracked"
"""The attribute where Keras on TensorFlow appends a name whenever a container is assigned to an attribute."""

Place = tuple[int, str]
"""What is counted: the `id` of the layer or sublayer that owns it, or `NO_OWNER`, and a name."""
NO_OWNER = 0


@contextmanager
def only_new_objects() -> Iterator[None]:
    """Hide all existing objects from the garbage collector, so that listing the new ones is fast."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def count_kept_objects(trial: Trial, layer: Any) -> dict[Place, int]:
    """Count the tensors among all new objects, and the items of each container that the layer can reach."""
    gc.collect()
    tensors = sum(trial.backend.is_native(value) for value in gc.get_objects())
    sizes: dict[Place, int] = {(NO_OWNER, TENSORS): tensors}
    for place, value in _reachable_values(layer):
        _count_items(place, value, sizes)
    return sizes


def describe_place(layer: Any, place: Place) -> str:
    """Return the name of a place, such as `self.hidden.shapes`, `KeepsShapes.shapes` or `tensors alive`."""
    owner, name = place
    paths = [attribute_path(layer, part) for part in layer._flatten_layers() if id(part) == owner]
    return ".".join([*paths, name])


def training_call(trial: Trial, layer: Any) -> Callable[[], object]:
    """Return a function that calls the layer in training and keeps nothing itself.

    On JAX, a layer with a loop is traced instead of run, because an eager call compiles the loop each time.
    """
    import keras

    tensors = trial.usual.map(keras.ops.convert_to_tensor)

    def run() -> None:
        with blaming(f"calling the layer on {describe(trial.usual)}"), trial.backend.inference():
            layer(tensors.inputs, **{**tensors.call, "training": True})

    def trace() -> str:
        with blaming(f"tracing the layer on {describe(trial.usual)}"):
            return trial.backend.trace(pure(layer, trial.usual, training=True), tensors_of(layer, trial.usual))

    if trial.backend.NAME != "jax":
        return run
    try:
        program = trace()
    # LW801 compiled-equals-eager reports a layer that cannot be traced.
    except LayerError:
        return run
    return trace if "scan[" in program or "while[" in program else run


def _reachable_values(layer: Any) -> Iterator[tuple[Place, Any]]:
    """Yield the attributes of a layer, its sublayers and their classes, and the outer names that their methods use."""
    for part in layer._flatten_layers():
        yield from (((id(part), name), value) for name, value in vars(part).items() if name != KERAS_TRACKING)
        for kind in type(part).__mro__:
            if kind.__module__.partition(".")[0] not in FRAMEWORKS:
                yield from (((NO_OWNER, f"{kind.__name__}.{name}"), value) for name, value in vars(kind).items())
                yield from (((NO_OWNER, name), value) for name, value in _outer_names(kind))


def _outer_names(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the globals that the methods of a class use, and the variables of functions around the class."""
    for method in vars(kind).values():
        code = getattr(method, "__code__", None)
        if code is not None:
            known = method.__globals__
            yield from ((name, known[name]) for name in code.co_names if name in known)
            for name, cell in zip(code.co_freevars, method.__closure__ or (), strict=True):
                # The cell is empty, and reading it raises, as long as the function around the class has not yet bound
                # the name.
                with suppress(ValueError):
                    yield name, cell.cell_contents


def _count_items(place: Place, value: Any, sizes: dict[Place, int]) -> None:
    """Add the number of items of a container, including those of the containers in it."""
    bounded = isinstance(value, deque) and value.maxlen is not None
    if isinstance(value, (list, tuple, set, Mapping, deque)) and not bounded:
        inner = value.values() if isinstance(value, Mapping) else value
        sizes[place] = len(value) + sum(len(item) for item in inner if isinstance(item, (list, set, dict, deque)))
