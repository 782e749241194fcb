"""What a file of a layer names: classes and functions of the user's own."""

import types
from collections.abc import Iterator, Mapping
from typing import Any

from layerwright.trial.trial import Trial


def custom_objects(trial: Trial, layer: Any) -> dict[str, Any]:
    """Return the classes and functions of the user's own that a file of the layer may name, by the name it uses."""
    import keras

    found: dict[str, Any] = {}
    parts = layer._flatten_layers()
    held = [value for part in parts for key, value in vars(part).items() if not hasattr(type(part), key)]
    for value in _spread([*trial.case.init.values(), *held, *parts]):
        thing = value if isinstance(value, (type, types.FunctionType)) else type(value)
        if _is_own(thing):
            found[keras.saving.get_registered_name(thing)] = thing
    return found


def named_in(config: Any) -> Iterator[tuple[str, str]]:
    """Yield name and module of each class and function in a serialised model that Keras does not bring along."""
    if isinstance(config, list):
        for item in config:
            yield from named_in(item)
    elif isinstance(config, dict):
        for item in config.values():
            yield from named_in(item)
        is_function = config.get("class_name") == "function"
        name, module = config.get("config" if is_function else "registered_name"), str(config.get("module"))
        brought = _is_builtin_function(name) if is_function else module.split(".")[0] in ("keras", "builtins")
        if "class_name" in config and isinstance(name, str) and not brought:
            yield name, module


def _is_builtin_function(name: Any) -> bool:
    """Whether Keras finds a function of this name among its own, where it looks for functions stored by name."""
    import keras

    places = (keras.activations, keras.constraints, keras.initializers, keras.losses, keras.metrics, keras.regularizers)
    return any(hasattr(place, str(name)) for place in places)


def _is_own(thing: Any) -> bool:
    """Whether a class or function is one that Keras stores by name and does not bring along itself."""
    serialisable = isinstance(thing, types.FunctionType) or hasattr(thing, "get_config")
    return serialisable and thing.__name__ != "<lambda>" and str(thing.__module__).split(".")[0] != "keras"


def _spread(values: Any, depth: int = 3) -> Iterator[Any]:
    for value in values:
        if depth and isinstance(value, Mapping):
            yield from _spread(value.values(), depth - 1)
        elif depth and isinstance(value, (list, tuple)):
            yield from _spread(value, depth - 1)
        else:
            yield value
