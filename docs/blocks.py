"""The code blocks of a page written by hand: Python, and what is typed at a terminal with what comes of it.

A Python block whose first line is a comment with a file's name, `# my_layers.py`, also stands for that file: commands
further down the page find it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\S+\.(?:py|yml|yaml))\n")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The file that it stands in.
        start: Where in the page its text begins.
        line: The number of the text's first line, from 1.
        language: What stands after the fence.
        text: What it holds.
    """

    page: Path
    start: int
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block stands for, if it does."""
        found = FILE.match(self.text)
        return found[1] if found else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """Return the commands of a console block, each with what the page says that it prints."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def pages() -> list[Path]:
    """Return the pages written by hand that hold code: README, and those of the site."""
    generated = ("keras-audit.md", "performance.md")  # written by commands of their own
    here = [path for path in (*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")) if path.name not in generated]
    return [DOCS.parent / "README.md", *sorted(here)]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(page, found.start("text"), text.count("\n", 0, found.start("text")) + 1, found["language"], found["text"])
        for found in FENCE.finditer(text)
    ]
