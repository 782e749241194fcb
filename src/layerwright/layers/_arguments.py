"""Constructor arguments that several layers check, in one wording."""

from collections.abc import Sequence
from typing import Any


def check_sizes(layer: str, **sizes: Any) -> None:
    """Refuse sizes that are not whole numbers of at least 1.

    Raises:
        ValueError: If one is not.
    """
    for name, size in sizes.items():
        if not is_whole(size) or size < 1:
            raise ValueError(f"{layer}: {name} must be a whole number of at least 1 (got {size!r}).")


def check_choice(layer: str, name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse a value that is not one of the choices.

    Raises:
        ValueError: If it is not.
    """
    if value not in choices:
        words = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"{layer}: {name} must be one of {words} (got {value!r}).")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, which True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)
