"""A known defect of a layer that others wrote: which findings it explains, and a script that shows it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Self

from layerwright.core.errors import UsageError
from layerwright.core.finding import Finding

EXPLAINS = re.compile(r"- (?P<codes>LW\d+(?:, LW\d+)*) (?P<layers>\w+(?:, \w+)*)(?: on (?P<backends>\w+(?:, \w+)*))?")
CODE_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
FORM = "`- LW202 TimeDistributed on tensorflow`"


@dataclass(frozen=True)
class Explained:
    """Findings that a defect explains.

    Attributes:
        codes: The checks' codes.
        layers: The layers' names.
        backends: The backends; empty for all.
    """

    codes: tuple[str, ...]
    layers: tuple[str, ...]
    backends: tuple[str, ...] = ()

    def covers(self, layer: str, backend: str, finding: Finding) -> bool:
        """Whether this is such a finding."""
        return finding.code in self.codes and layer in self.layers and (not self.backends or backend in self.backends)


@dataclass(frozen=True)
class Defect:
    """A defect, as a Markdown file tells it.

    The file has a title (`# …`), a list of what it explains (`- LW202 TimeDistributed on tensorflow`), then text with
    Python code blocks that need nothing but the package that has the defect. Comments in a block say what it prints:
    lines that begin with the name of one backend or several, and a colon, what it prints on those.

    Attributes:
        title: What is wrong, in one line.
        explains: Which findings.
        body: The text, in Markdown.
    """

    title: str
    explains: tuple[Explained, ...]
    body: str

    @classmethod
    def parse(cls, text: str, name: str = "the defect") -> Self:
        """Read a defect's file.

        Raises:
            UsageError: If it has no title, explains nothing or shows nothing.
        """
        title, _, rest = text.strip().partition("\n")
        lines = rest.strip().splitlines()
        explains = []
        while lines and (found := EXPLAINS.fullmatch(lines[0])):
            parts = ((found[group] or "").split(", ") for group in ("codes", "layers", "backends"))
            explains.append(Explained(*(tuple(filter(None, part)) for part in parts)))
            lines.pop(0)
        body = "\n".join(lines).strip()
        if not title.startswith("# ") or not explains or not CODE_BLOCK.search(body):
            raise UsageError(f"{name} must have a title, a list such as {FORM} and a Python block.")
        return cls(title.removeprefix("# "), tuple(explains), body)

    @property
    def scripts(self) -> tuple[str, ...]:
        """The scripts that show the defect."""
        return tuple(CODE_BLOCK.findall(self.body))

    def covers(self, layer: str, backend: str, finding: Finding) -> bool:
        """Whether the defect explains a finding on a layer of this name."""
        return any(each.covers(layer, backend, finding) for each in self.explains)


def defects_in(folder: Traversable) -> tuple[Defect, ...]:
    """Return the defects that the Markdown files of a folder tell, by the codes that they explain."""
    return tuple(sorted(_parsed(folder), key=lambda defect: (int(defect.explains[0].codes[0][2:]), defect.title)))


def _parsed(folder: Traversable) -> Iterator[Defect]:
    for file in folder.iterdir():
        if file.name.endswith(".md"):
            yield Defect.parse(file.read_text("utf-8"), file.name)
