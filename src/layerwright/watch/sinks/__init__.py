"""The sinks that write the records of a watched run, one file each.

For a folder in `Watch(sinks=[…])`, every module here with a function `for_folder(folder)` provides one sink.
"""

import importlib
import pkgutil
from pathlib import Path

from layerwright.core.errors import UsageError
from layerwright.watch.records import Sink


def sinks_for(folder: str | Path) -> list[Sink]:
    """Return one sink of each kind for a run's folder.

    Raises:
        UsageError: If a package that a sink requires is not installed.
    """
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    try:
        return [module.for_folder(folder) for module in modules if hasattr(module, "for_folder")]
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Watch: writing records into a folder requires {error.name}: pip install 'layerwright[watch]'."
        ) from error
