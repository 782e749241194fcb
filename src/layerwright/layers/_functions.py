"""Functions that layers are given: by name or as they are, what they take, and how a config keeps them."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def resolve_function(layer: str, name: str, given: Any) -> Callable[..., Any]:
    """Return a function, or the one of `keras.ops` that has the name given.

    Raises:
        ValueError: If it is neither.
    """
    function: Callable[..., Any] | None = getattr(ops, given, None) if isinstance(given, str) else given
    if not callable(function):
        raise ValueError(f"{layer}: {name} must be callable, or the name of a function of keras.ops (got {given!r}).")
    return function


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of this name."""
    return name in inspect.signature(function).parameters


def function_config(function: Callable[..., Any] | None) -> Any:
    """Return what a config holds for a function: one of `keras.ops`, which Keras cannot load again, by its name."""
    name = getattr(function, "__name__", "")
    return name if getattr(ops, name, None) is function else keras.saving.serialize_keras_object(function)
