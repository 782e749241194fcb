"""The program `layerwright`: the commands of `layerwright.cli.commands`, and how errors end it."""

import importlib
import os
import pkgutil
import sys
from types import ModuleType
from typing import Annotated, NoReturn

import typer

from layerwright.cli import commands
from layerwright.core.errors import UsageError

app = typer.Typer(
    name="layerwright",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def command_modules() -> list[ModuleType]:
    """Return the modules of the commands, in the order of their `PLACE` in the help."""
    names = [info.name for info in pkgutil.iter_modules(commands.__path__)]
    modules = [importlib.import_module(f"{commands.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: (module.PLACE, module.__name__))


for module in command_modules():
    name = module.__name__.rpartition(".")[2]
    app.command(name, epilog=getattr(module, "EPILOG", None))(getattr(module, name))


def _version(shown: bool) -> None:
    if shown:
        from layerwright import __version__

        typer.echo(f"layerwright {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Write, check and watch custom Keras layers, on TensorFlow, JAX and PyTorch."""


def main() -> NoReturn:
    """Run the command line; a `UsageError` becomes one line on standard error and exit status 2."""
    try:
        app(standalone_mode=True)
    except UsageError as error:
        for line in str(error).splitlines():
            typer.echo(f"layerwright: {line}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    sys.exit(0)
