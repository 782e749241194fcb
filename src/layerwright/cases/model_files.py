"""Load a model from a `.keras` file, and say what is missing where that fails."""

import inspect
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from layerwright.core.errors import UsageError, quote

CONFIG = "config.json"


def check_is_model_file(name: str) -> None:
    """Refuse what is no `.keras` file, without loading it.

    Raises:
        UsageError: If there is no such file, or Keras did not save it.
    """
    if not Path(name).is_file():
        raise UsageError(f"no such file: {name}; give a model that `model.save({name!r})` wrote.")
    try:
        with zipfile.ZipFile(name) as archive:
            archive.getinfo(CONFIG)
    except (OSError, zipfile.BadZipFile, KeyError):
        raise UsageError(f"{name} is not a Keras model; give a file that `model.save({name!r})` wrote.") from None


def load_model_file(path: Path, name: str, modules: Sequence[ModuleType]) -> Any:
    """Return the model in a file.

    Args:
        path: The file.
        name: How messages call it.
        modules: Modules that define classes and functions of the model.

    Raises:
        UsageError: If it cannot be loaded; the message says what is missing.
    """
    import keras

    known = {key: value for module in modules for key, value in _definitions(module)}
    try:
        return keras.models.load_model(path, custom_objects=known, compile=False)
    except Exception as error:
        missing = [named for named in dict.fromkeys(_custom_names(path)) if not _is_known(named, known)]
        if not missing:
            raise UsageError(f"{name} cannot be loaded: {quote(error)}") from error
        names, module = ", ".join(each for each, _ in missing), next((each for _, each in missing if each), "")
        hint = module if module and module != "__main__" else "my_layers.py"
        raise UsageError(
            f"{name} cannot be loaded: it contains {names}, which {'is' if len(missing) == 1 else 'are'} not imported; "
            f"name the file that defines {'it' if len(missing) == 1 else 'them'}: "
            f"layerwright check {name} --import {hint}"
        ) from error


def _definitions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the classes and functions of a module under the names that files use: registered names, and plain ones."""
    import keras

    for key, value in vars(module).items():
        if inspect.isfunction(value) or (inspect.isclass(value) and hasattr(value, "get_config")):
            yield key, value
            yield keras.saving.get_registered_name(value), value


def _is_known(named: tuple[str, str], known: dict[str, Any]) -> bool:
    import keras

    name = named[0]
    return name in known or keras.saving.get_registered_object(name) is not None


def _custom_names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and module of each class and function in the file that is not Keras's own."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(CONFIG))
    yield from _custom_names_in(config)


def _custom_names_in(config: Any) -> Iterator[tuple[str, str]]:
    if isinstance(config, dict):
        name, module = config.get("registered_name") or config.get("class_name"), str(config.get("module") or "")
        is_custom = module.split(".")[0] not in ("keras", "builtins")
        if "class_name" in config and isinstance(name, str) and is_custom and not name.startswith("__"):
            yield name, module
        for value in config.values():
            yield from _custom_names_in(value)
    elif isinstance(config, list):
        for value in config:
            yield from _custom_names_in(value)
