"""Results as HTML for notebooks: no script, no style sheet, and readable on light and on dark paper."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.report import svg
from layerwright.report.grouping import MARKS, WANT_ATTENTION, by_case, said_alike, verdict
from layerwright.report.report import Report, Run

MOST_CASES = 40
LINE = "border-bottom:1px solid rgba(128,128,128,.4);padding:2px 12px 2px 0;text-align:left;vertical-align:top"


def report(found: Report) -> str:
    """Return how a report stands: a verdict a case and backend, and below each case what wants attention."""
    cases = by_case(found)
    backends = list(dict.fromkeys(run.backend for run in found.runs))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in found.summary().items() if count)
    wrong = sum(any(finding.outcome in BAD_OUTCOMES for run in runs for finding in run.findings) for runs in cases)
    of = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    said = f"✗ {wrong} of {of} with something wrong" if wrong else "✓ nothing is wrong"
    head = f"<b>{said}</b> · {escape(counts) or 'nothing was checked'} · keras {escape(found.keras)}"
    rows = [[escape(runs[0].case), *_verdicts(runs, backends)] for runs in cases[:MOST_CASES]]
    rest = [more(len(cases) - MOST_CASES, "cases")] if len(cases) > MOST_CASES else []
    return box([head, table(["case", *backends], rows), *rest, *map(_findings, cases[:MOST_CASES])])


def influence(found: Any) -> str:
    """Return an influence map, a `layerwright.trial.influence.InfluenceMap`, as a picture with its legend."""
    how = "outputs moved with inputs of other indices" if found.coupled else "outputs moved with their own input alone"
    head = f"<b>{escape(found.layer)}</b>, axis {found.axis}: {how}"
    return box([head, svg.influence_map(found.matrix.tolist(), found.slices)])


def _verdicts(runs: Sequence[Run], backends: Sequence[str]) -> Iterator[str]:
    here = {run.backend: verdict(run) for run in runs}
    for backend in backends:
        sound, words = here.get(backend, (True, ""))
        yield f"{'✓' if sound else '✗'} {words}" if words else "not checked"


def _findings(runs: Sequence[Run]) -> str:
    groups = said_alike(runs, lambda finding: finding.outcome in WANT_ATTENTION)
    if not groups:
        return ""
    said = "".join(_finding(backends, finding) for backends, finding in groups)
    title = f"{escape(runs[0].case)}: {len(groups)} finding{'s' * (len(groups) != 1)}"
    return f'<details style="margin-top:6px"><summary style="cursor:pointer">{title}</summary>{said}</details>'


def _finding(backends: Sequence[str], finding: Finding) -> str:
    where = ", ".join(dict.fromkeys(backends))
    head = (
        f"<b>{MARKS[finding.outcome]} {finding.code} {escape(finding.check)}</b> {finding.outcome} on {escape(where)}"
    )
    fix = f"<div><b>fix:</b> {escape(finding.fix)}</div>" if finding.fix else ""
    drawn = _picture(finding) if finding.outcome is not Outcome.NOTE else ""
    style = "border-left:3px solid rgba(128,128,128,.6);padding-left:10px;margin:8px 0"
    return f'<div style="{style}">{head}<div>{escape(finding.message)}</div>{fix}{drawn}</div>'


def _picture(finding: Finding) -> str:
    rows = finding.evidence.get("influence_map")
    if rows is None or not len(rows):
        return ""
    slices = "step" if finding.evidence.get("influence_axis") == "time" else "sample"
    return svg.influence_map([[float(entry) for entry in row] for row in rows], slices, size=180)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f'<th scope="col" style="{LINE}">{escape(each)}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f'<td style="{LINE}">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    return f'<table style="border-collapse:collapse;margin:6px 0"><tr>{top}</tr>{body}</table>'


def more(number: int, what: str) -> str:
    return f"… and {number} more {what}"


def box(parts: Iterable[str]) -> str:
    return f'<div style="overflow-x:auto">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'
