"""One rendering of a `Report` a file: a module here with `render(report, options)` is a format of that name."""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass

from layerwright.core.check import Check
from layerwright.core.defect import Defect
from layerwright.core.errors import UsageError
from layerwright.report.report import Report


@dataclass(frozen=True)
class RenderOptions:
    """How a report is rendered. Each format uses what it has a use for.

    Attributes:
        title: What the document is called.
        verbose: Whether findings are shown that ask for no attention.
        to_terminal: Whether the text goes to standard output, which may be a terminal with a width and colours.
        checks: The checks, for what they say of themselves.
        defects: Known defects; the findings that they explain say so.
    """

    title: str = "Layerwright report"
    verbose: bool = False
    to_terminal: bool = False
    checks: Sequence[Check] = ()
    defects: Sequence[Defect] = ()


def format_names() -> tuple[str, ...]:
    """Return the names of the formats."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(__path__)))


def check_format(name: str) -> None:
    """Refuse a name that no format has.

    Raises:
        UsageError: If none has it.
    """
    if name not in format_names():
        raise UsageError(f"no format is called {name!r}; the formats are {', '.join(format_names())}.")


def render_as(name: str, report: Report, options: RenderOptions) -> str:
    """Return a report in the format of this name."""
    module = importlib.import_module(f"{__name__}.{name}")
    return str(module.render(report, options))
