"""The code blocks of a handwritten page: Python, and commands with their output.

If the first line of a block is a comment with a file name, such as `# my_layers.py`, the block is also written to this
file. Later commands on the page can use it.
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
        page: The file that contains the block.
        start: The position in the page where the block's text begins.
        line: The line number of the text's first line, from 1.
        language: The word after the fence, such as `python`.
        text: The text between the fences.
    """

    page: Path
    start: int
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block is written to, or None."""
        found = FILE.match(self.text)
        return found[1] if found else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """Return the commands of a console block, each with its output on the page."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def pages() -> list[Path]:
    """Return the handwritten pages with code: README, and those of the site."""
    generated = ("keras-audit.md", "performance.md")  # `layerwright audit` and the benchmarks write these
    here = [path for path in (*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")) if path.name not in generated]
    return [DOCS.parent / "README.md", *sorted(here)]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, from top to bottom."""
    text = page.read_text("utf-8")
    return [
        Block(page, found.start("text"), text.count("\n", 0, found.start("text")) + 1, found["language"], found["text"])
        for found in FENCE.finditer(text)
    ]
