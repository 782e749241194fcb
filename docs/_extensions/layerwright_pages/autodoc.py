"""What Sphinx's autodoc and napoleon need to know of our code, whose docstrings are Markdown with Google's sections."""

import enum
import inspect
import pkgutil
import re
from collections.abc import Iterator, Sequence
from typing import Any

from docutils import nodes
from sphinx.util.inspect import signature, stringify_signature

LITERAL = re.compile(r"(`[^`]+`)(\w?)")
OUTPUT = "Output: "
"""A section of one paragraph, which begins beside its title."""
NOTHING = "\\"
"""A first line that shows nothing. Of the real one napoleon would take what stands before a colon for a type."""


def directive(path: str) -> str:
    """Return the MyST block that describes a function, or a class with what it adds to those it is made of."""
    value = pkgutil.resolve_name(path)
    if not inspect.isclass(value):
        return f"```{{eval-rst}}\n.. autofunction:: {path}\n```"
    kind = "exception" if issubclass(value, Exception) else "class"
    members = ":members:\n   :undoc-members:" if issubclass(value, enum.Enum) else ":members:"
    foreign = [base for base in value.__mro__[1:] if not base.__module__.startswith("layerwright")]
    inherited = ", ".join(name for name in vars(value) if any(hasattr(base, name) for base in foreign))
    return f"```{{eval-rst}}\n.. auto{kind}:: {path}\n   {members}\n   :exclude-members: {inherited}\n```"


def amend_signature(
    _app: Any, kind: str, _name: str, value: Any, _options: Any, shown: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Show a class as its `__init__` is called, and none that nobody constructs; in the words of Python."""
    if kind != "class" or not shown:
        return None
    if issubclass(value, enum.Enum) or getattr(value, "_is_protocol", False):
        return "", None
    if inspect.isfunction(value.__init__):
        # Keras's layers have a `__new__` that takes anything, and autodoc would show that.
        constructor = signature(value.__init__, bound_method=True)
        shown = stringify_signature(constructor, show_return_annotation=False, unqualified_typehints=True)
    return shown.replace("<factory>", "..."), returned


def put_dashes(_app: Any, doctree: nodes.document) -> None:
    """Put a dash between an argument and what it is, where Sphinx has two hyphens."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def to_restructuredtext(_app: Any, kind: str, _name: str, _value: Any, _options: Any, lines: list[str]) -> None:
    """Mark code and formulas as reStructuredText does, and make a section of the output; in place."""
    first = [NOTHING] if kind == "property" and lines else []
    lines[:] = [*first, *_converted(list(lines))]


def _converted(lines: Sequence[str]) -> Iterator[str]:
    last, is_code, is_output = "", False, False
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("    ") and not before and not last.startswith(" "):
            # Indented below a paragraph, not below a section's title: a formula.
            yield from ("::", "")
            is_code = True
        elif line and not line.startswith("    "):
            is_code = line == "Example:"
        if line.startswith(OUTPUT):
            yield from (OUTPUT.strip(), f"    {NOTHING}")
        is_output = line.startswith(OUTPUT) or (is_output and bool(line))
        text = line if is_code else "".join(_escaped(line.removeprefix(OUTPUT)))
        yield f"    {text}" if is_output else text
        if line == "Returns:":
            yield f"    {NOTHING}"
        last = line or last


def _escaped(line: str) -> Iterator[str]:
    """Double the backticks of code, end it before a letter as in `KerasTensor`s, and escape bars elsewhere."""
    end = 0
    for code in LITERAL.finditer(line):
        yield line[end : code.start()].replace("|", "\\|")
        yield f"`{code[1]}`" + (f"\\ {code[2]}" if code[2] else "")
        end = code.end()
    yield line[end:].replace("|", "\\|")
