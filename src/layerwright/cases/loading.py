"""Import the module of a target, and find the layers that it defines."""

import fnmatch
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from layerwright.cases.imports import importing
from layerwright.cases.model_files import load_model_file
from layerwright.cases.targets import WILDCARDS, Target, parse_target
from layerwright.core.errors import UsageError, quote


def load(target: Target) -> ModuleType:
    """Import a target's module, once a process.

    Raises:
        UsageError: If it cannot be imported.
    """
    try:
        if target.is_model_file:
            for name in target.imports:
                load(parse_target(name))
            return ModuleType(target.module)
        with importing(_module_name(target)):
            return _import_file(target.path) if target.is_file else _import_module(target.module)
    except UsageError:
        raise
    except BaseException as error:
        raise UsageError(f"{_where(error, target)} cannot be imported: {quote(error)}") from error


def load_model(target: Target) -> Any:
    """Return the model in a file; classes are looked for in the modules that were imported for it."""
    modules = [load(parse_target(name)) for name in target.imports]
    return load_model_file(target.path, target.module, modules)


def _where(error: BaseException, target: Target) -> str:
    """Return the target, with the line of its file that raised."""
    path = str(target.path)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{target.module}:{lines[-1]}" if lines else target.module


def _module_name(target: Target) -> str:
    return ".".join(_root_and_name(target.path)[1]) if target.is_file else target.module


def _import_module(name: str) -> ModuleType:
    if sys.path[0] != "":
        sys.path.insert(0, "")
    return importlib.import_module(name)


def import_folder(target: Target) -> str:
    """Return the folder that is on the path while a target is imported."""
    return str(_root_and_name(target.path)[0]) if target.is_file else target.folder


def _root_and_name(path: Path) -> tuple[Path, list[str]]:
    """Return the folder above a file's package, or its own if it is in none, and the parts of the module's name."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    return root, parts


def _import_file(path: Path) -> ModuleType:
    """Import a file under the name its own code would be imported by: inside its package, if it has one."""
    root, parts = _root_and_name(path)
    if sys.path[0] != str(root):
        sys.path.insert(0, str(root))
    name = ".".join(parts)
    if name in sys.modules and not _is_loaded_from(name, path):
        name = f"layerwright_target_{path.stem}"
    if _is_loaded_from(name, path):
        return sys.modules[name]
    if len(parts) > 1:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported: it is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_loaded_from(name: str, path: Path) -> bool:
    loaded = sys.modules.get(name)
    return loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() == path


def layers_of(module: ModuleType, target: Target) -> list[type]:
    """Return the classes of a module that a target means.

    Raises:
        UsageError: If there is none, or the named one is no layer.
    """
    import keras

    defined = _classes_of(module)
    concrete = [value for value in dict.fromkeys(defined.values()) if _is_concrete(value)]
    known = ", ".join(sorted({value.__name__ for value in defined.values()})) or "none"
    if WILDCARDS.search(target.layer):
        matching = [value for value in concrete if fnmatch.fnmatchcase(value.__name__, target.layer)]
        if not matching and not target.was_searched:
            raise UsageError(f"no layer in {target.module} matches {target.layer!r}; its layers are: {known}.")
        return matching
    if target.layer:
        if target.was_searched and not hasattr(module, target.layer):
            return []
        named = getattr(module, target.layer, None)
        if not inspect.isclass(named) or not issubclass(named, keras.layers.Layer):
            raise UsageError(f"{target.module} has no layer {target.layer!r}; its layers are: {known}.")
        return [named]
    if not concrete and not target.was_searched:
        raise UsageError(f"{target.module} defines no Keras layer; give a file with a keras.layers.Layer subclass.")
    return concrete


def _classes_of(module: ModuleType) -> dict[str, Any]:
    """Return what a module defines; what a package exports of its own, or if that is no layer, what it contains."""
    own = {name: value for name, value in vars(module).items() if _is_layer_of(value, module)}
    if own or not hasattr(module, "__path__"):
        return own
    found: dict[str, Any] = {}
    for inner in _modules_in(module):
        found |= {
            f"{value.__module__}.{name}": value for name, value in vars(inner).items() if _is_layer_of(value, inner)
        }
    return found


def _modules_in(package: ModuleType) -> Iterator[ModuleType]:
    """Yield the modules of a package that can be imported, without its tests."""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None):
        if any("test" in part for part in info.name.split(".")):
            continue
        try:
            yield importlib.import_module(info.name)
        except Exception:  # it needs what is not installed; the package can be used without it
            continue


def _is_layer_of(value: Any, module: ModuleType) -> bool:
    """Whether a value is a layer's class that a module defines, or that a package exports of its own distribution."""
    import keras

    if not inspect.isclass(value) or not issubclass(value, keras.layers.Layer):
        return False
    if hasattr(module, "__path__"):
        return value.__module__.partition(".")[0] == module.__name__.partition(".")[0]
    return value.__module__ == module.__name__


def _is_concrete(layer: type) -> bool:
    """Whether the class is a layer to be checked by itself: it has a `call`, and is not a whole model."""
    import keras

    return not issubclass(layer, keras.Model) and getattr(layer, "call", None) is not keras.layers.Layer.call
