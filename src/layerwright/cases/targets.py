"""What a command is given: `file.py`, `file.py:Layer`, `package.module`, `package.module:Layer` or `…:cases`."""

import ast
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerwright.cases.model_files import check_is_model_file
from layerwright.core.case import InputSpec
from layerwright.core.errors import UsageError

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
