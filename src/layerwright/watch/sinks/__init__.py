"""Where records of a watched run go, one sink a file. A module here with `for_folder(folder)` serves every folder."""

import importlib
import pkgutil
from pathlib import Path

from layerwright.core.errors import UsageError
from layerwright.watch.records import Sink


def sinks_for(folder: str | Path) -> list[Sink]:
    """Return a sink of each kind that writes into a run's folder.

    Raises:
        UsageError: If a package that one needs is not installed.
    """
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    try:
        return [module.for_folder(folder) for module in modules if hasattr(module, "for_folder")]
    except ModuleNotFoundError as error:
        raise UsageError(
            f"writing records into a folder requires {error.name}: pip install 'layerwright[watch]'."
        ) from error
