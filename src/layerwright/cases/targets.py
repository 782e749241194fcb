"""What a command is given: `file.py`, `file.py:Layer`, `package.module`, `…:cases`, `…:build_model`, `model.keras`."""

import ast
import difflib
import fnmatch
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from layerwright.cases.imports import importing
from layerwright.cases.model_files import check_is_model_file, load_model_file
from layerwright.cases.models import cases_of_model, is_model, made_by, parameters_without_default
from layerwright.cases.pairwise import expanded
from layerwright.cases.signatures import accepts, call_parameters, constructor_arguments, is_required
from layerwright.core.case import Case, InputSpec, cases_for
from layerwright.core.errors import UsageError, quote

MODEL_SUFFIX = ".keras"
WILDCARDS = re.compile(r"[*?\[]")
NAME = re.compile(r"[\w*?\[\]!-]+")
"""The name of a layer, or a pattern for names."""


@dataclass(frozen=True)
class Target:
    """A file or module, and perhaps one class in it.

    Attributes:
        text: The target as the user wrote it.
        module: The path of the file, or the dotted name of the module.
        is_file: Which of the two it is.
        layer: The name of the one class that is meant, or a pattern such as `"Quan*"`, or the name of a `Case`, a list
            of them, a model, or a function that returns one of these or a layer; empty for all classes.
        was_searched: Whether the user gave a folder or a pattern that contains it: then it need not define a layer.
        folder: The working directory when the target was given: importing it may change directory.
        imports: Files or modules that define the layers of a model's file.
    """

    text: str
    module: str
    is_file: bool
    layer: str = ""
    was_searched: bool = False
    folder: str = field(default_factory=os.getcwd)
    imports: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The absolute path of the file."""
        return Path(self.folder, self.module).resolve()

    @property
    def is_model_file(self) -> bool:
        """Whether it is a file that Keras saved a model in."""
        return self.is_file and self.module.endswith(MODEL_SUFFIX)


@dataclass(frozen=True)
class Overrides:
    """What the command line says of every case.

    Attributes:
        init: Constructor arguments, for each layer whose constructor takes them.
        inputs: Specs of inputs, each with a name or None.
        expect: Codes of checks known to fail, each with its reason.
    """

    init: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[tuple[str | None, InputSpec], ...] = ()
    expect: Mapping[str, str] = field(default_factory=dict)


def parse_target(text: str, imports: Sequence[str] = ()) -> Target:
    """Read a target, and check without running it that it can be loaded.

    Args:
        text: The target.
        imports: Files or modules that define the layers of a model's file.

    Raises:
        UsageError: If there is no such file, or it holds no valid Python, or a model's file is none.
    """
    module, layer = split_target(text)
    if module.endswith(MODEL_SUFFIX):
        check_is_model_file(module)
        return Target(text, module, True, layer, imports=tuple(imports))
    if module.endswith(".py") or "/" in module or Path(module).is_file():
        _check_is_python(Path(module))
        return Target(text, module, True, layer)
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(
            f"{text!r} is neither a Python file nor a module; give file.py, file.py:Layer or package.module."
        )
    return Target(text, module, False, layer)


def split_target(text: str) -> tuple[str, str]:
    """Return the file or module of a target, and the layer's name or "". `file.py::Layer` is `file.py:Layer`."""
    head, colon, tail = text.rpartition(":")
    return (head.removesuffix(":"), tail) if colon and NAME.fullmatch(tail) else (text, "")


def _check_is_python(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"no such file: {path}; give the path of a Python file that defines Keras layers.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a Python file.")
    try:
        ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: invalid Python syntax: {error.msg}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def find_cases(target: Target, overrides: Overrides) -> list[Case]:
    """Load the target and return its layers' cases, some perhaps still to be inferred.

    Raises:
        UsageError: If it cannot be imported, or holds no such layer.
    """
    module = load(target)
    if target.is_model_file:
        return [_expecting(case, overrides) for case in _cases_of_model(load_model(target), target, overrides)]
    named = getattr(module, target.layer, None) if target.layer else None
    if isinstance(named, (Case, list, tuple)) or inspect.isfunction(named) or is_model(named):
        found = _cases_of(named, target, overrides)
        if any(case.traits.model for case in found):
            return [_expecting(case, overrides) for case in found]
        _check_is_taken(overrides.init, [case.layer for case in found], target)
        return [_override(each, overrides) for case in found for each in expanded(case)]
    layers = _layers_of(module, target)
    _check_is_taken(overrides.init, layers, target)
    cases = cases_for(layers)
    return [_override(each, overrides) for layer in layers for case in cases[layer] for each in expanded(case)]


def _cases_of(named: Any, target: Target, overrides: Overrides) -> list[Case]:
    """Return the cases that a name stands for: a case, a list of them, a model, or a function that returns one."""
    if is_model(named):
        return _cases_of_model(named, target, overrides)
    found = named
    if inspect.isfunction(named):
        missing = parameters_without_default(named)
        if missing:
            raise UsageError(
                f"{target.text} cannot be called: it needs {', '.join(missing)}; give each argument a default, or give "
                "a function without arguments that calls it."
            )
        try:
            found = made_by(named, _inputs_for_model(overrides))
        except Exception as error:
            raise UsageError(
                f"{target.text}() raised {quote(error)}; it must return a model, a layer, a Case or a list of Cases."
            ) from error
    cases = [found] if isinstance(found, Case) else found
    if not isinstance(cases, (list, tuple)) or not cases or not all(isinstance(case, Case) for case in cases):
        raise UsageError(
            f"{target.text} is neither a layer nor a model, a Case or a list of Cases (got {found!r:.80})."
        )
    return list(cases)


def _cases_of_model(model: Any, target: Target, overrides: Overrides) -> list[Case]:
    try:
        return cases_of_model(model, _inputs_for_model(overrides))
    except Exception as error:
        raise UsageError(
            f"{target.text} cannot be taken apart: {quote(error)}; give a function that builds it."
        ) from error


def _inputs_for_model(overrides: Overrides) -> Any:
    """Return the inputs that the command line gives a model; None if it gives none."""
    named = {name: spec for name, spec in overrides.inputs if name is not None}
    unnamed = [spec for name, spec in overrides.inputs if name is None]
    return named or (unnamed[0] if len(unnamed) == 1 else unnamed) or None


def _expecting(case: Case, overrides: Overrides) -> Case:
    return replace(case, expect={**case.expect, **overrides.expect})


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


def _layers_of(module: ModuleType, target: Target) -> list[type]:
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


def _override(case: Case, overrides: Overrides) -> Case:
    init = {**case.init, **{name: value for name, value in overrides.init.items() if accepts(case.layer, name)}}
    case = replace(case, init=init, expect={**case.expect, **overrides.expect})
    if not overrides.inputs:
        return case
    parameters = call_parameters(case.layer)
    names = list(parameters) or ["inputs"]
    unnamed = [spec for name, spec in overrides.inputs if name is None]
    named = {name: spec for name, spec in overrides.inputs if name is not None}
    call = {name: spec for name, spec in named.items() if name in names[1:]}
    keys = {name: spec for name, spec in named.items() if name not in names}
    first: Any = named.get(names[0], keys or None)
    required = sum(map(is_required, parameters.values()))
    if len(names) >= len(unnamed) > 1 and required > 1:
        call |= dict(zip(names[1:], unnamed[1:], strict=False))
        unnamed = unnamed[:1]
    if unnamed:
        first = unnamed[0] if len(unnamed) == 1 else unnamed
    return case.with_inputs(first, {**case.call, **call})


def _check_is_taken(init: Mapping[str, Any], layers: Sequence[Any], target: Target) -> None:
    """Refuse an argument that no layer takes, or that **kwargs would take although it looks like a misspelt one."""
    known = sorted({name for layer in layers for name in constructor_arguments(layer)})
    for name in init:
        close = difflib.get_close_matches(name, known, 1)
        if name in known or (not close and any(accepts(layer, name) for layer in layers)):
            continue
        meant = f"did you mean {close[0]}?" if close else f"the arguments are: {', '.join(known) or 'none'}."
        raise UsageError(f"--init {name}: no layer in {target.text} takes an argument {name!r}; {meant}")
