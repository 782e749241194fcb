"""Validates constructor arguments that several layers have, with the same error messages."""

from collections.abc import Sequence
from typing import Any


def check_sizes(layer: str, **sizes: Any) -> None:
    """Raise an error unless every size is a positive integer.

    Raises:
        ValueError: If a size is not a positive integer.
    """
    for name, size in sizes.items():
        if not is_integer(size) or size < 1:
            raise ValueError(f"{layer}: {name} must be a positive integer (got {size!r}).")


def check_choice(layer: str, name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise an error unless the value is one of the choices.

    Raises:
        ValueError: If the value is not one of the choices.
    """
    if value not in choices:
        allowed = ", ".join(map(repr, choices))
        raise ValueError(f"{layer}: {name} must be one of {allowed} (got {value!r}).")


def is_integer(value: Any) -> bool:
    """Whether a value is an integer. True and False do not count as integers."""
    return isinstance(value, int) and not isinstance(value, bool)
