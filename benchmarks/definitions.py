"""Write what scripts define, without what they run: `python benchmarks/definitions.py FROM TO`.

An example script defines layers, downloads data, trains and plots, all on the top level. The file written keeps its
docstring, imports, constants, functions and classes. The statements that are kept are executed one after another: one
that raises is left out, for example an import of a package that is missing, and each class that needs it.
"""

import ast
import builtins
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

BUILTINS = frozenset(
    (abs, bool, dict, float, frozenset, int, len, list, max, min, pow, range, reversed, round, set, slice, sorted, str)
) | {sum, tuple, zip}
CALCULATIONS = {
    "math": None,
    "np": frozenset(["arange", "array", "ceil", "exp", "floor", "linspace", "log", "ones", "prod", "sqrt", "zeros"]),
    "os": frozenset(("join", "basename", "dirname")),
    "functools": None,
    "partial": None,
    "namedtuple": None,
    "collections": frozenset(("namedtuple", "OrderedDict")),
}
"""Modules and functions that a constant may be computed with; for a module, the functions if not all."""


def main() -> None:
    """Write the definitions of each script in a folder, and a summary of what was left out."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    left_out = {}
    for script in sorted(source.rglob("*.py")):
        kept = definitions(script.read_text("utf-8"), script.name)
        if kept is None or not kept.layers:
            continue
        name = "_".join(script.relative_to(source).with_suffix("").parts)
        name = "".join(letter if letter.isidentifier() or letter.isdigit() else "_" for letter in name)
        (target / f"{name}.py").write_text(kept.text, "utf-8")
        left_out[f"{name}.py"] = {"layers": kept.layers, "left out": kept.left_out, "missing names": kept.missing}
        print(f"{name}.py: {len(kept.layers)} layers", flush=True)
    (target / "definitions.json").write_text(json.dumps(left_out, indent=1), "utf-8")


class Kept:
    """What is kept of a script.

    Attributes:
        text: The text of the new file.
        layers: The names of its custom layers.
        left_out: The first line of each definition and import that raised, and what it raised.
        missing: For each layer, the global names that its code reads and that only code left out defines.
    """

    def __init__(self, docstring: str) -> None:
        self.parts = [docstring] if docstring else []
        self.layers: list[str] = []
        self.left_out: dict[str, str] = {}
        self.missing: dict[str, list[str]] = {}

    @property
    def text(self) -> str:
        """The text of the new file."""
        return "\n\n".join(self.parts) + "\n"


def definitions(source: str, name: str) -> Kept | None:
    """Return what is kept of a script, or None if it defines no class or is no valid Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    if not any(isinstance(node, ast.ClassDef) for node in tree.body):
        return None
    lines = source.splitlines()
    has_docstring = ast.get_docstring(tree) is not None
    kept = Kept(_text(tree.body[0], lines) if has_docstring else "")
    module = ModuleType(f"definitions_of_{Path(name).stem}")
    sys.modules[module.__name__] = module
    plain = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.bases}
    for node in tree.body:
        if not _is_kept(node, plain):
            continue
        text = _text(node, lines)
        error = _error_of(text, module)
        if error:
            kept.left_out[text.splitlines()[0]] = error
        else:
            kept.parts.append(text)
    _describe_layers(kept, tree, module)
    del sys.modules[module.__name__]
    return kept


def _text(node: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return "\n".join(lines[first - 1 : node.end_lineno])


def _error_of(text: str, module: ModuleType) -> str:
    """Execute a statement in the module; return what it raised, or ""."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, module.__name__, "exec"), vars(module))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _is_kept(node: ast.stmt, plain: set[str]) -> bool:
    """Whether a statement of the top level only imports, defines or computes a constant."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)):
        return True
    if isinstance(node, ast.Assign):
        return all(map(_is_name, node.targets)) and _is_simple(node.value, plain)
    if isinstance(node, ast.AnnAssign):
        return node.value is not None and _is_name(node.target) and _is_simple(node.value, plain)
    if isinstance(node, ast.AugAssign):
        return _is_name(node.target) and _is_simple(node.value, plain)
    if isinstance(node, ast.Try):
        handled = [each for handler in node.handlers for each in handler.body]
        return all(_is_kept(each, plain) or isinstance(each, ast.Pass) for each in [*node.body, *handled])
    return False


def _is_name(node: ast.expr) -> bool:
    if isinstance(node, (ast.Tuple, ast.List)):
        return all(map(_is_name, node.elts))
    return isinstance(node, ast.Name)


def _is_simple(node: ast.expr, plain: set[str]) -> bool:
    """Whether an expression neither reads files nor trains: each call in it is a plain calculation."""
    if any(isinstance(each, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)) for each in ast.walk(node)):
        return False
    if isinstance(node, ast.Lambda):
        return True
    return all(_is_calculation(each.func, plain) for each in ast.walk(node) if isinstance(each, ast.Call))


def _is_calculation(function: ast.expr, plain: set[str]) -> bool:
    *owners, name = ast.unparse(function).split(".")
    if "initializers" in owners:
        return True
    root = owners[0] if owners else name
    if not owners and (getattr(builtins, name, None) in BUILTINS or name in plain):
        return True
    return root in CALCULATIONS and (CALCULATIONS[root] is None or name in (CALCULATIONS[root] or ()))


def _describe_layers(kept: Kept, tree: ast.Module, module: ModuleType) -> None:
    import keras

    for node in tree.body:
        layer = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if not isinstance(layer, type) or not issubclass(layer, keras.layers.Layer) or issubclass(layer, keras.Model):
            continue
        kept.layers.append(layer.__name__)
        missing = sorted({name for name in _names_read(node) if not _is_known(name, module)})
        if missing:
            kept.missing[layer.__name__] = missing


def _is_known(name: str, module: Any) -> bool:
    return hasattr(module, name) or hasattr(builtins, name)


def _names_read(layer: ast.stmt) -> Iterator[str]:
    """Yield the global names that a class reads: those that no function or comprehension in it binds."""
    bound = {node.arg for node in ast.walk(layer) if isinstance(node, ast.arg)}
    bound |= {node.id for node in ast.walk(layer) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.name for node in ast.walk(layer) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    bound |= {node.name for node in ast.walk(layer) if isinstance(node, ast.ExceptHandler) and node.name}
    bound |= {"__class__"}
    for node in ast.walk(layer):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
            yield node.id


if __name__ == "__main__":
    main()
