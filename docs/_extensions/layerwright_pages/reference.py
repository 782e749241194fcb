"""The Python reference: every public name of `layerwright`, on a page for each subject; and the command line."""

from collections.abc import Iterator

from .autodoc import directive

PAGES = {
    "checking": (
        "Checking a layer",
        *("check", "influence", "trial.influence.InfluenceMap", "parametrize_with_checks"),
    ),
    "cases": ("Cases and traits", "Case", "InputSpec", "Traits", "case"),
    "reports": ("Reports and findings", "Report", "report.report.Run", "Finding", "core.finding.Outcome"),
    "watching": ("Watching", "Watch", "Probe", "BatchChangeCallback"),
    "rules": (
        "Rules",
        *("watch.rules.Rule", "NonFinite", "ExplodingGradient", "VanishingGradient", "DeadUnits", "UpdateRatio"),
        "Unchanged",
    ),
    "sinks": (
        "Records and sinks",
        *(f"watch.records.{name}" for name in ("Sink", "TrainingRun", "TensorRecord", "Histogram", "ProbeRecord")),
        *(f"watch.records.{name}" for name in ("PredictionRecord", "Alert", "Kind")),
    ),
    "tap": ("tap", "layers.tap"),
    "errors": (
        "Errors",
        *(f"core.errors.{name}" for name in ("LayerwrightError", "UsageError", "LayerError", "CheckFailed")),
    ),
}
"""Pages, their titles and the names on them, as they follow `layerwright.`."""

INTRODUCTION = """\
# Reference

[The command line](command-line.md), and the public names of the package. `import layerwright as lw` loads neither Keras
nor a backend; they are loaded when they are first needed.
"""

COMMAND_LINE = """\
# Command line

This page shows what `layerwright --help` and `layerwright COMMAND --help` print.

```{typer} layerwright.cli.main:app
:prog: layerwright
:make-sections:
:show-nested:
:preferred: text
:width: 88
```
"""


def pages() -> Iterator[tuple[str, str]]:
    """Return the pages' names and texts."""
    yield "index.md", _index()
    yield "command-line.md", COMMAND_LINE
    for page, (title, *names) in PAGES.items():
        described = "\n\n".join(directive(f"layerwright.{name}") for name in names)
        yield f"{page}.md", f"# {title}\n\n{described}\n"


def _index() -> str:
    parts = [INTRODUCTION]
    for title, *names in PAGES.values():
        listed = "\n".join(f"   ~layerwright.{name}" for name in names)
        parts.append(f"## {title}\n\n```{{eval-rst}}\n.. autosummary::\n   :nosignatures:\n\n{listed}\n```")
    listed = "\n".join(["command-line", *PAGES])
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{listed}\n```"]) + "\n"
