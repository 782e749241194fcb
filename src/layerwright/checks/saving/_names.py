"""The custom classes and functions that a saved file refers to by name."""

import types
from collections.abc import Iterator, Mapping
from typing import Any

from layerwright.trial.trial import Trial


def custom_objects(trial: Trial, layer: Any) -> dict[str, Any]:
    """Return the custom classes and functions that a file of the layer may name, by the name it uses."""
    import keras

    found: dict[str, Any] = {}
    parts = layer._flatten_layers()
    attributes = [value for part in parts for key, value in vars(part).items() if not hasattr(type(part), key)]
    for value in _flatten_containers([*trial.case.init.values(), *attributes, *parts]):
        thing = value if isinstance(value, (type, types.FunctionType)) else type(value)
        if _is_custom_object(thing):
            found[keras.saving.get_registered_name(thing)] = thing
    return found


def custom_names_in(config: Any) -> Iterator[tuple[str, str]]:
    """Yield name and module of each class and function in a serialised model that is not part of Keras."""
    if isinstance(config, list):
        for item in config:
            yield from custom_names_in(item)
    elif isinstance(config, dict):
        for item in config.values():
            yield from custom_names_in(item)
        is_function = config.get("class_name") == "function"
        name, module = config.get("config" if is_function else "registered_name"), str(config.get("module"))
        in_keras = _is_builtin_function(name) if is_function else module.split(".")[0] in ("keras", "builtins")
        if "class_name" in config and isinstance(name, str) and not in_keras:
            yield name, module


def _is_builtin_function(name: Any) -> bool:
    """Whether Keras has a function of this name in the modules where it looks for functions stored by name."""
    import keras

    places = (keras.activations, keras.constraints, keras.initializers, keras.losses, keras.metrics, keras.regularizers)
    return any(hasattr(place, str(name)) for place in places)


def _is_custom_object(thing: Any) -> bool:
    """Whether a class or function is stored by name and is not part of Keras."""
    serialisable = isinstance(thing, types.FunctionType) or hasattr(thing, "get_config")
    return serialisable and thing.__name__ != "<lambda>" and str(thing.__module__).split(".")[0] != "keras"


def _flatten_containers(values: Any, depth: int = 3) -> Iterator[Any]:
    """Yield the values inside dicts, lists and tuples, to a depth of three."""
    for value in values:
        if depth and isinstance(value, Mapping):
            yield from _flatten_containers(value.values(), depth - 1)
        elif depth and isinstance(value, (list, tuple)):
            yield from _flatten_containers(value, depth - 1)
        else:
            yield value
