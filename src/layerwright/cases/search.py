"""Targets that stand for several files: a folder, or a pattern such as `layers/*.py`."""

import ast
import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from layerwright.cases.targets import WILDCARDS, Target, parse_target, split_target
from layerwright.core.errors import UsageError

NO_LAYERS_IN = frozenset({"tests", "test", "testing", "build", "dist", "site-packages", "node_modules", "__pycache__"})
"""Folders that are not searched for layers, beside hidden ones and virtual environments."""


def find_targets(texts: Iterable[str], imports: Sequence[str] = ()) -> list[Target]:
    """Read targets; a folder and a pattern stand for the Python files in them, without tests, each once.

    Args:
        texts: The targets.
        imports: Files or modules that define the layers of a model's file.

    Raises:
        UsageError: If a target is none, or a folder or pattern has no Python file with a class.
    """
    return list(dict.fromkeys(target for text in texts for target in _targets_of(text, imports)))


def _targets_of(text: str, imports: Sequence[str]) -> Iterator[Target]:
    module, layer = split_target(text)
    if not Path(module).is_dir() and not WILDCARDS.search(module):
        yield parse_target(text, imports)
        return
    found = [Path(module)] if Path(module).is_dir() else [Path(name) for name in glob.glob(module, recursive=True)]
    files = sorted({file for path in found for file in _python_files(path)})
    if not files:
        raise UsageError(f"{module} contains no Python file with a class; give a file that defines Keras layers.")
    for file in files:
        yield Target(str(file), str(file), True, layer, was_searched=True)


def _python_files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder, that may define layers."""
    if path.is_file():
        candidates: Iterable[Path] = [path] if path.suffix == ".py" else []
    elif _is_skipped(path):
        candidates = []
    else:
        candidates = [file for inner in path.iterdir() for file in _python_files(inner)]
    yield from (file for file in candidates if not _is_a_test(file) and _may_define_a_class(file))


def _is_skipped(folder: Path) -> bool:
    name = folder.resolve().name
    return name in NO_LAYERS_IN or (name.startswith(".") and name != ".") or (folder / "pyvenv.cfg").exists()


def _is_a_test(file: Path) -> bool:
    return file.name.startswith("test_") or file.name.endswith("_test.py") or file.name in ("conftest.py", "setup.py")


def _may_define_a_class(file: Path) -> bool:
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, ValueError, SyntaxError):  # importing the file will say what is wrong with it
        return True
    return any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
