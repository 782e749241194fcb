"""A docstring as Markdown: its sections, its lists of arguments, its formulas and its examples."""

import ast
import re
import textwrap
from collections.abc import Callable, Iterator

SECTIONS = (
    *("Args", "Attributes", "Call arguments", "Raises", "Returns", "Yields", "Output", "Example"),
    *("What it proves", "Why it matters", "How it is tested", "Exempt when", "References"),
)
TITLES = {"Args": "Arguments"}
LISTS = {"Args", "Attributes", "Call arguments", "Raises"}
HEAD = re.compile(rf"({'|'.join(SECTIONS)}):(?: +(\S.*))?")
ITEM = re.compile(r"(\*{0,2}[\w.]+): (.*)")


def sections(docstring: str) -> Iterator[tuple[str, str]]:
    """Split a docstring into titles and texts; text that stands under none has the title "".

    A section is what is indented under its title, or the rest of the paragraph that begins with it.
    """
    title, lines, beside = "", [], False
    for line in docstring.splitlines():
        head = HEAD.fullmatch(line)
        goes_on = not line or line.startswith(" ") or (beside and lines[-1] != "")
        if head or (title and not goes_on):
            yield title, textwrap.dedent("\n".join(lines)).strip("\n")
            title, lines, beside = (head[1], [head[2] or ""], bool(head[2])) if head else ("", [line], False)
        else:
            lines.append(line)
    yield title, textwrap.dedent("\n".join(lines)).strip("\n")


def markdown(docstring: str, heading: Callable[[str], str], language: str = "") -> str:
    """Return a docstring as Markdown.

    Args:
        docstring: The docstring, its indentation taken away.
        heading: Makes a heading of a section's title.
        language: The language of indented blocks; by default Python where they are Python, else none.
    """
    parts = []
    for title, text in sections(docstring):
        if text:
            body = _definitions(text) if title in LISTS else _fenced(text, language)
            parts.append(f"{heading(TITLES.get(title, title))}\n\n{body}" if title else body)
    return "\n\n".join(parts)


def _fenced(text: str, language: str) -> str:
    """Put a fence around each block that is indented or begins with a prompt."""
    blocks: list[str] = []
    for paragraph in re.split(r"\n{2,}", text):
        if paragraph.startswith("    ") and blocks and blocks[-1].startswith("    "):
            blocks[-1] += f"\n\n{paragraph}"
        else:
            blocks.append(paragraph)
    return "\n\n".join(_fence(block, language) if block.startswith(("    ", ">>>")) else block for block in blocks)


def _fence(block: str, language: str) -> str:
    code = textwrap.dedent(block)
    return f"```{'pycon' if code.startswith('>>>') else language or _language(code)}\n{code}\n```"


def _language(code: str) -> str:
    try:
        ast.parse(code)
    except SyntaxError:
        return "text"
    return "python"


def _definitions(text: str) -> str:
    """Return a list of `name: what it is` as a definition list."""
    items: list[str] = []
    for line in text.splitlines():
        item = ITEM.fullmatch(line)
        if item:
            items.append(f"`{item[1]}`\n: {item[2]}")
        elif items and line.strip():
            items[-1] += f"\n  {line.strip()}"
    return "\n\n".join(items)
