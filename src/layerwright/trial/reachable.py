"""Find the values that a layer holds: in attributes, containers, plain objects and sublayers."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

FRAMEWORKS = frozenset({"builtins", "keras", "tensorflow", "jax", "jaxlib", "torch", "numpy"})
"""Packages whose objects are not searched, except layers, containers and torch modules."""

SHARED = (bool, int, float, str)
"""Types for which Python often uses the same object in many places, for equal values."""

MOST_ITEMS = 10_000
"""How many items of one container are searched."""


def reachable(layer: Any, wanted: Callable[[Any], bool]) -> list[tuple[str, Any]]:
    """Return every value in the layer for which `wanted` returns True, with its path, such as `self.hidden`.

    Values inside such a value are not searched.
    """
    found: list[tuple[str, Any]] = []
    seen = {id(layer)}
    queue = deque(_items_with_paths("self", layer))
    while queue:
        path, value = queue.popleft()
        if id(value) in seen and not isinstance(value, SHARED):
            continue
        seen.add(id(value))
        if wanted(value):
            found.append((path, value))
        else:
            queue.extend(_items_with_paths(path, value))
    return found


def _items_with_paths(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    import keras

    if isinstance(value, Mapping):
        for key, item in itertools.islice(value.items(), MOST_ITEMS):
            yield f"{path}[{key!r}]", item
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        for index, item in enumerate(itertools.islice(value, MOST_ITEMS)):
            yield f"{path}[{index}]", item
    elif isinstance(value, keras.random.SeedGenerator):
        yield f"{path}.state", value.state
    elif _is_searched(value):
        for name, item in _attributes(value):
            yield f"{path}.{name}", item


def _is_searched(value: Any) -> bool:
    """Whether an object's attributes are searched."""
    import keras

    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    if isinstance(value, (keras.metrics.Metric, keras.optimizers.Optimizer, keras.initializers.Initializer)):
        return False
    inside = type(value).__module__.partition(".")[0] in FRAMEWORKS
    return isinstance(value, keras.layers.Layer) or not inside or "_parameters" in vars(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield an object's attributes. Torch stores parameters and modules in separate dictionaries."""
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
    """Return the names of the internal attributes that Keras and its backends give every layer."""
    import keras

    extra = {"_torch_params", "_self_unconditional_checkpoint_dependencies", "_self_unconditional_dependency_names"}
    return frozenset(vars(keras.layers.Layer())) | extra
