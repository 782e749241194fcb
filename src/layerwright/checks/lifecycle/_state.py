"""What a layer holds: the variables within reach of it, those that a call makes, its build and its config."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from layerwright.core.errors import LayerError
from layerwright.trial import Trial, bitwise_equal

FRAMEWORKS = frozenset({"builtins", "keras", "tensorflow", "jax", "jaxlib", "torch", "numpy"})
"""Packages whose objects are not looked into, but for layers, containers and torch modules."""

SHARED = (bool, int, float, str)
"""Types of which Python keeps one object for equal values in many places."""

MOST_ITEMS = 10_000
"""How many items of one container are looked at."""


def reachable_variables(trial: Trial, layer: Any) -> list[tuple[str, Any]]:
    """Return every variable, Keras's or the framework's own, within reach of the layer, each with the way to it.

    The way leads through attributes, containers, plain objects and sublayers. Metrics, optimizers and initializers
    keep their own variables and are passed by.
    """
    import keras

    return reachable(layer, lambda value: isinstance(value, keras.Variable) or trial.backend.is_native_variable(value))


def reachable(layer: Any, wanted: Callable[[Any], bool]) -> list[tuple[str, Any]]:
    """Return every value within reach of the layer that `wanted` is true of, each with the way to it."""
    found: list[tuple[str, Any]] = []
    seen = {id(layer)}
    queue = deque(_children("self", layer))
    while queue:
        path, value = queue.popleft()
        if id(value) in seen and not isinstance(value, SHARED):
            continue
        seen.add(id(value))
        if wanted(value):
            found.append((path, value))
        else:
            queue.extend(_children(path, value))
    return found


def untracked_variables(trial: Trial, layer: Any) -> list[tuple[str, Any]]:
    """Return those `reachable_variables` that are neither in `layer.variables` nor the tensor inside one of them."""
    tracked = [*layer.variables, *layer.metrics_variables]
    known = {id(variable) for variable in tracked} | {id(variable.value) for variable in tracked}
    return [(path, variable) for path, variable in reachable_variables(trial, layer) if id(variable) not in known]


def describe_variable(variable: Any) -> str:
    """Say in words what a variable is: its kind and shape."""
    import keras

    kind = "keras.Variable" if isinstance(variable, keras.Variable) else f"raw {type(variable).__name__}"
    return f"{kind} of shape {tuple(variable.shape)}"


@contextmanager
def created_variables() -> Iterator[list[Any]]:
    """Gather every `keras.Variable` that is made within the context, kept by anyone or not."""
    import keras

    made: list[Any] = []
    original = keras.Variable.__init__

    def recording(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        original(self, *args, **kwargs)

    keras.Variable.__init__ = recording
    try:
        yield made
    finally:
        keras.Variable.__init__ = original


def overrides_build(layer: Any) -> bool:
    """Whether the layer's class has a `build` of its own."""
    import keras

    return type(layer).build is not keras.layers.Layer.build


def build_as_loading_does(layer: Any, source: Any) -> None:
    """Build the layer from the build config of `source`, a built layer of the same case.

    Raises:
        LayerError: If the layer raises.
    """
    config = None
    try:
        config = source.get_build_config()
        if config:
            layer.build_from_config(config)
    except Exception as error:
        raise LayerError(f"building it from its build config {config}", error) from error


def config_text(layer: Any) -> str | None:
    """Return the layer's config as text, or None if it has none or gives another text each time."""
    try:
        first, second = str(layer.get_config()), str(layer.get_config())
    except Exception:  # whether there is a config is for the checks of the saving family to say
        return None
    return first if first == second else None


def outputs_moved(trial: Trial, layer: Any, outputs: Any) -> bool:
    """Whether the layer gives other outputs than `outputs` on the usual arguments, and gives the same ones twice."""
    now = trial.call(layer, trial.usual)
    return not bitwise_equal(outputs, now) and bitwise_equal(now, trial.call(layer, trial.usual))


def _children(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    import keras

    if isinstance(value, Mapping):
        for key, item in itertools.islice(value.items(), MOST_ITEMS):
            yield f"{path}[{key!r}]", item
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        for index, item in enumerate(itertools.islice(value, MOST_ITEMS)):
            yield f"{path}[{index}]", item
    elif isinstance(value, keras.random.SeedGenerator):
        yield f"{path}.state", value.state
    elif _is_opened(value):
        for name, item in _attributes(value):
            yield f"{path}.{name}", item


def _is_opened(value: Any) -> bool:
    """Whether an object's attributes are looked at."""
    import keras

    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    if isinstance(value, (keras.metrics.Metric, keras.optimizers.Optimizer, keras.initializers.Initializer)):
        return False
    inside = type(value).__module__.partition(".")[0] in FRAMEWORKS
    return isinstance(value, keras.layers.Layer) or not inside or "_parameters" in vars(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Return an object's attributes. Torch keeps those that are parameters and modules in dictionaries of its own."""
    import keras

    internal = _layer_internals() if isinstance(value, keras.layers.Layer) else frozenset()
    attributes = vars(value)
    torch_own = (attributes.get("_parameters"), attributes.get("_modules"))
    for own in (attributes, *torch_own):
        for name, item in own.items() if isinstance(own, dict) else ():
            if name not in internal and item is not None and not any(item is one for one in torch_own):
                yield name, item


@cache
def _layer_internals() -> frozenset[str]:
    """Names of the attributes in which every layer keeps its books."""
    import keras

    books = {"_torch_params", "_self_unconditional_checkpoint_dependencies", "_self_unconditional_dependency_names"}
    return frozenset(vars(keras.layers.Layer())) | books
