"""Options that several commands share, and what they do with them."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from layerwright.core.errors import UsageError


class BackendChoice(StrEnum):
    """Backends that a check can be asked to run on."""

    TENSORFLOW = "tensorflow"
    JAX = "jax"
    TORCH = "torch"
    ALL = "all"


EVERY_CORE = os.cpu_count() or 1

Backends = Annotated[
    list[BackendChoice] | None,
    typer.Option(
        "--backend",
        help="Backend to check on: `tensorflow`, `jax`, `torch` or `all`; by default every installed one. Repeatable.",
        metavar="BACKEND",
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="A file or module that defines the layers in a `.keras` file. Repeatable.",
        metavar="MODULE",
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", help="Run only these: codes, families (`LW3`) or slugs, comma separated.", metavar="CODES"
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", help="Leave out these codes, families or slugs, comma separated.", metavar="CODES"),
]
Jobs = Annotated[
    int, typer.Option("--jobs", min=1, help="How many cases to check at once.", show_default="one a processor core")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Time limit of one check, in seconds.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random inputs and weights.")]


def chosen_backends(chosen: list[BackendChoice] | None) -> tuple[str, ...]:
    """Return the backends to check on.

    Raises:
        UsageError: If one is not installed, or none is.
    """
    from layerwright.backends import installed

    here = installed()
    if not here:
        raise UsageError(
            "no backend is installed; install one: pip install 'layerwright[jax]' (or [tensorflow], [torch])."
        )
    if not chosen or BackendChoice.ALL in chosen:
        return here
    for backend in chosen:
        if backend.value not in here:
            raise UsageError(f"{backend.value} is not installed; run: pip install 'layerwright[{backend.value}]'.")
    return tuple(dict.fromkeys(backend.value for backend in chosen))


def check_writable(path: Path | None, option: str = "--output") -> None:
    """Refuse a file that cannot be written, before the work that it is to hold.

    Raises:
        UsageError: If it cannot be written.
    """
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be written: {error.strerror}.") from None
