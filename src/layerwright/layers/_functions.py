"""Functions as constructor arguments of layers: how to find, inspect and serialize them."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def resolve_function(layer: str, name: str, given: Any) -> Callable[..., Any]:
    """Return the given function, or the function of `keras.ops` with the given name.

    Raises:
        ValueError: If the argument is neither callable nor such a name.
    """
    function: Callable[..., Any] | None = getattr(ops, given, None) if isinstance(given, str) else given
    if not callable(function):
        raise ValueError(f"{layer}: {name} must be callable or the name of a function in keras.ops (got {given!r}).")
    return function


def accepts_argument(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument with this name."""
    return name in inspect.signature(function).parameters


def serialize_function(function: Callable[..., Any] | None) -> Any:
    """Return a function as an entry of a config.

    A function of `keras.ops` is stored by its name, because Keras cannot load it otherwise.
    """
    name = getattr(function, "__name__", "")
    return name if getattr(ops, name, None) is function else keras.saving.serialize_keras_object(function)
