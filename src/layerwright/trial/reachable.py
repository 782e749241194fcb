"""Every value within reach of a layer: through attributes, containers, plain objects and sublayers."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

FRAMEWORKS = frozenset({"builtins", "keras", "tensorflow", "jax", "jaxlib", "torch", "numpy"})
"""Packages whose objects are not looked into, but for layers, containers and torch modules."""

SHARED = (bool, int, float, str)
"""Types of which Python keeps one object for equal values in many places."""

MOST_ITEMS = 10_000
"""How many items of one container are looked at."""


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
