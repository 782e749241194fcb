"""Print every text that a user can meet, to be read aloud: `python docs/texts.py > texts.txt`.

Messages, fixes, reasons and errors come from the source, with `{…}` where a value stands; then the help of each
command, and the document of each check.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from layerwright.checks.discovery import all_checks
from layerwright.cli.main import command_modules

SOURCE = Path(__file__).parents[1] / "src" / "layerwright"
SPEAKING = {
    *("failed", "warned", "note", "skipped", "inconclusive", "passed", "Finding", "blaming"),
    *("UsageError", "ValueError", "TypeError", "LayerError", "RuntimeError", "Death", "CheckFailed"),
    *("warn", "echo", "print", "Option", "Argument", "Alert", "warning"),
}
"""Names of functions and exceptions whose arguments are texts for users."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts for users in a module, each with its line."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        for value in _values_for_users(node):
            yield from ((value.lineno, text) for text in _spoken(value))


def _values_for_users(node: ast.AST) -> list[ast.expr]:
    """Return the expressions in a node that become texts for users."""
    if isinstance(node, ast.Call) and _name(node.func) in SPEAKING:
        return [*node.args, *(keyword.value for keyword in node.keywords)]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
        return [node.value]
    return [node.value] if isinstance(node, ast.Return) and node.value is not None else []


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _spoken(value: ast.expr) -> Iterator[str]:
    """Yield a text of several words, or those of a conditional, a concatenation or a list."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value.strip():
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{…}" for part in value.values]
        text = "".join(map(str, parts))
        if " " in text.strip():
            yield text
    elif isinstance(value, ast.IfExp):
        yield from _spoken(value.body)
        yield from _spoken(value.orelse)
    elif isinstance(value, ast.BinOp):
        yield from _spoken(value.left)
        yield from _spoken(value.right)


def main() -> None:
    """Print the texts."""
    for path in sorted(SOURCE.rglob("*.py")):
        found = dict.fromkeys(sorted(texts(path)))
        if found:
            print(f"\n=== {path.relative_to(SOURCE)}")
        for line, text in found:
            print(f"{line:5}  {' '.join(text.split())}")
    for module in command_modules():
        name = module.__name__.rpartition(".")[2]
        print(f"\n=== layerwright {name} --help")
        sys.stdout.flush()
        code = "from layerwright.cli.main import main; main()"
        subprocess.run([sys.executable, "-c", code, name, "--help"], check=True)
    for check in all_checks():
        print(f"\n=== {check.code} {check.slug}\n{check.document}")


if __name__ == "__main__":
    main()
