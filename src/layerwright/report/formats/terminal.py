"""The report for people at a terminal: a verdict a layer, then its findings with message and fix."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.report.formats import RenderOptions
from layerwright.report.grouping import WANT_ATTENTION, by_case, shared_findings, verdict
from layerwright.report.report import Report, Run
from layerwright.report.shading import KEY, shaded

STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.WARNED: "yellow",
    Outcome.NOTE: "cyan",
    Outcome.SKIPPED: "dim",
    Outcome.XFAILED: "yellow",
    Outcome.XPASSED: "bold red",
    Outcome.BLOCKED: "dim",
    Outcome.INCONCLUSIVE: "dim",
    Outcome.ERRORED: "bold magenta",
}
LARGEST_MAP = 16


def render(report: Report, options: RenderOptions) -> str:
    """Return the report as text: as wide and as coloured as the terminal, or 120 columns wide for a file."""
    console = Console(highlight=False) if options.to_terminal else Console(width=120, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(show(report, verbose=options.verbose))
    return capture.get()


def show(report: Report, *, verbose: bool = False) -> RenderableType:
    """Return the report as something that a rich console prints."""
    layers = by_case(report)
    return Group(*(part for layer in layers for part in _layer(layer, verbose)), _summary(report, len(layers)))


def _layer(runs: Sequence[Run], verbose: bool) -> Iterator[RenderableType]:
    """Show one case on every backend: its verdict, what was inferred, its findings."""
    sound = not any(finding.outcome in BAD_OUTCOMES for run in runs for finding in run.findings)
    undetermined = any(run.is_undetermined for run in runs)
    mark = "[bold red]✗[/]" if not sound else "[cyan]?[/]" if undetermined else "[green]✓[/]"
    layer = runs[0].target.rpartition(":")[2]
    yield Text.from_markup(f"{mark} [bold]{escape(layer)}[/]  [dim]{escape(runs[0].target)}[/]")
    yield _indented(Text(runs[0].case), 2)
    for note in dict.fromkeys(note for run in runs for note in run.notes):
        yield _indented(Text(note, style="dim"), 2)
    yield _indented(Text("  ").join([_verdict(run) for run in runs]), 2)

    def wanted(finding: Finding) -> bool:
        is_question = undetermined and finding.outcome is Outcome.INCONCLUSIVE
        return verbose or is_question or finding.outcome in WANT_ATTENTION

    for backends, finding in shared_findings(runs, wanted):
        yield from _finding(backends, finding, every=len(backends) == len(runs) > 1)
    yield Text("")


def _finding(backends: Sequence[str], finding: Finding, *, every: bool) -> Iterator[RenderableType]:
    style = STYLES[finding.outcome]
    where = "every backend" if every else ", ".join(dict.fromkeys(backends))
    yield _indented(Text.from_markup(f"[{style}]{finding.code} {finding.check}[/] {finding.outcome} on {where}"), 4)
    if finding.message:
        yield _indented(Text(finding.message), 6)
    drawn = draw_influence_map(finding.evidence)
    if drawn and finding.outcome in WANT_ATTENTION:
        yield _indented(Text(drawn, style="dim"), 6)
    if finding.fix:
        yield _indented(Text.assemble(("fix: ", "bold"), finding.fix), 6)


def _verdict(run: Run) -> Text:
    sound, words = verdict(run)
    return Text.assemble(
        (run.backend, "bold"), (f" {words}", "green" if sound else "red"), (f" ({run.seconds:.1f} s)", "dim")
    )


def _summary(report: Report, layers: int) -> Text:
    backends = list(dict.fromkeys(run.backend for run in report.runs))
    counts = [(f"{count} {outcome}", STYLES[Outcome(outcome)]) for outcome, count in report.summary().items() if count]
    counts += [(f"{report.undetermined} undetermined", "cyan")] if report.undetermined else []
    head = f"{layers} case{'s' * (layers != 1)} on {', '.join(backends) or 'no backend'} (keras {report.keras}): "
    return Text.assemble(head, *[part for pair in counts for part in (pair, ", ")][:-1])


def draw_influence_map(evidence: Mapping[str, Any]) -> str:
    """Draw a small influence map with block characters: a row an output, a column an input, darker is more."""
    rows = evidence.get("influence_map")
    if rows is None or not len(rows) or len(rows) > LARGEST_MAP or len(rows[0]) > LARGEST_MAP:
        return ""
    return "\n".join(
        [f"influence map: row = output, column = input replaced; {KEY}", *(f"│{row}│" for row in shaded(rows))]
    )


def _indented(content: RenderableType, columns: int) -> Padding:
    return Padding(content, (0, 0, 0, columns))
