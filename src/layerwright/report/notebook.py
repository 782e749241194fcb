"""Results as HTML for notebooks: no script, no style sheet, and readable on light and on dark paper."""

from collections.abc import Iterator, Sequence
from typing import Any

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.report import svg
from layerwright.report.grouping import MARKS, WANT_ATTENTION, by_case, shared_findings, verdict
from layerwright.report.rendering import render_template
from layerwright.report.report import Report, Run

MOST_CASES = 40
MAP_PIXELS = 180


def report(found: Report) -> str:
    """Return how a report stands: a verdict a case and backend, and below each case what wants attention."""
    cases = by_case(found)
    backends = list(dict.fromkeys(run.backend for run in found.runs))
    return render_template(
        "notebook_report.html",
        verdict=_verdict(cases),
        counts=", ".join(f"{count} {outcome}" for outcome, count in found.summary().items() if count),
        keras=found.keras,
        heads=["case", *backends],
        rows=[[runs[0].case, *_verdicts(runs, backends)] for runs in cases[:MOST_CASES]],
        cases_left_out=len(cases) - MOST_CASES,
        cases=[(runs[0].case, _findings(runs)) for runs in cases[:MOST_CASES]],
    )


def influence(found: Any) -> str:
    """Return an influence map, a `layerwright.trial.influence.InfluenceMap`, as a picture with its legend."""
    coupled, alone = "outputs moved with inputs at other indices", "each output moved only with its own input"
    return render_template(
        "notebook_influence.html",
        layer=found.layer,
        axis=found.axis,
        says=coupled if found.coupled else alone,
        picture=svg.influence_map(found.matrix.tolist(), found.slices),
    )


def _verdict(cases: Sequence[Sequence[Run]]) -> str:
    failing = sum(any(finding.outcome in BAD_OUTCOMES for run in runs for finding in run.findings) for runs in cases)
    of = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    return f"✗ {failing} of {of} failed" if failing else "✓ no failures"


def _verdicts(runs: Sequence[Run], backends: Sequence[str]) -> Iterator[str]:
    here = {run.backend: verdict(run) for run in runs}
    for backend in backends:
        sound, words = here.get(backend, (True, ""))
        yield f"{'✓' if sound else '✗'} {words}" if words else "not checked"


def _findings(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what the template says of each finding that wants attention."""
    groups = shared_findings(runs, lambda finding: finding.outcome in WANT_ATTENTION)
    return [
        {
            "mark": MARKS[finding.outcome],
            "code": finding.code,
            "check": finding.check,
            "outcome": finding.outcome.value,
            "backends": list(dict.fromkeys(backends)),
            "message": finding.message,
            "fix": finding.fix,
            "picture": _picture(finding),
        }
        for backends, finding in groups
    ]


def _picture(finding: Finding) -> str:
    rows = finding.evidence.get("influence_map")
    if rows is None or not len(rows) or finding.outcome is Outcome.NOTE:
        return ""
    slices = "step" if finding.evidence.get("influence_axis") == "time" else "sample"
    return svg.influence_map([[float(entry) for entry in row] for row in rows], slices, size=MAP_PIXELS)
