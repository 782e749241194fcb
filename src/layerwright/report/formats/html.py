"""The report as one page: a verdict a case and backend, each finding with what was seen, why it matters and the fix."""

import math
import re
from collections.abc import Callable
from typing import Any

from layerwright.core.check import Check
from layerwright.core.finding import Finding, Outcome, jsonable
from layerwright.report.formats import RenderOptions
from layerwright.report.grouping import MARKS, by_case, without_numbers
from layerwright.report.rendering import render_template
from layerwright.report.report import Report, Run

LONGEST_SLUG = 80
MOST_NUMBERS = 20_000
"""Evidence with more entries than this is left to the JSON report."""
NEEDS_NO_DEFECT = frozenset({Outcome.PASSED, Outcome.NOTE, Outcome.SKIPPED, Outcome.BLOCKED})
"""Outcomes that no known defect can explain."""


def render(report: Report, options: RenderOptions) -> str:
    """Return the page."""
    return render_template("report.html", name=options.title, data=page_data(report, options))


def page_data(report: Report, options: RenderOptions) -> dict[str, Any]:
    """Return what the page draws, each text and each piece of evidence that is said more than once said once.

    A finding is a list: the check's place in `checks`, the outcome's in `outcomes`, the places of message, message
    without numbers and fix in `texts`, that of the evidence in `evidence`, seconds, and the place in `defects` or -1.
    """
    texts, evidence = _Said(), _Said()
    codes = {finding.code for finding in report.findings}
    checks = [_about(check) for check in options.checks if check.code in codes]
    known = {check["code"] for check in checks}
    checks += [{"code": code, "slug": "", "title": "", "why": "", "family": ""} for code in sorted(codes - known)]
    places = {check["code"]: place for place, check in enumerate(checks)}
    outcomes = list(Outcome)

    def row(run: Run, finding: Finding) -> list[Any]:
        may_be_known = finding.outcome not in NEEDS_NO_DEFECT
        explaining = (
            place
            for place, defect in enumerate(options.defects)
            if may_be_known and defect.covers(run.layer, run.backend, finding)
        )
        return [
            places[finding.code],
            outcomes.index(finding.outcome),
            texts.place(finding.message),
            texts.place(without_numbers(finding.message)),
            texts.place(finding.fix),
            evidence.place(_shown(finding)),
            round(finding.seconds, 2),
            next(explaining, -1),
        ]

    slugs = _slugs()
    cases = [
        {
            "slug": slugs(runs[0]),
            "layer": runs[0].layer,
            "target": runs[0].target,
            "case": runs[0].case,
            "notes": list(dict.fromkeys(note for run in runs for note in run.notes)),
            "runs": {
                run.backend: {"seconds": round(run.seconds, 1), "findings": [row(run, each) for each in run.findings]}
                for run in runs
            },
        }
        for runs in by_case(report)
    ]
    return {
        "title": options.title,
        "keras": report.keras,
        "layerwright": report.layerwright,
        "backends": list(dict.fromkeys(run.backend for run in report.runs)),
        "checks": checks,
        "outcomes": [{"name": outcome.value, "mark": MARKS[outcome]} for outcome in outcomes],
        "cases": cases,
        "texts": texts.all,
        "evidence": evidence.all,
        "defects": [{"title": defect.title, "body": defect.body} for defect in options.defects],
    }


class _Said:
    """Values in the order in which they were first said."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Return where a value stands; it is added if it is new."""
        key = repr(value)
        if key not in self._places:
            self._places[key] = len(self.all)
            self.all.append(value)
        return self._places[key]


def _about(check: Check) -> dict[str, str]:
    why = re.search(r"^Why it matters:\n(.*?)(?=^\S|\Z)", check.document, re.MULTILINE | re.DOTALL)
    return {
        "code": check.code,
        "slug": check.slug,
        "title": check.title,
        "why": " ".join(why[1].split()) if why else "",
        "family": check.family,
    }


def _shown(finding: Finding) -> dict[str, Any]:
    """Return the evidence as JSON values, its numbers to six digits: enough to draw them."""
    shown = {name: _short(jsonable(value)) for name, value in finding.evidence.items()}
    return {name: value for name, value in shown.items() if _size(value) <= MOST_NUMBERS}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _size(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_size, items)) if items else 1


def _slugs() -> Callable[[Run], str]:
    """Return a function that names a case by its words, as links do; the second of the same name is counted."""
    times: dict[str, int] = {}

    def slug(run: Run) -> str:
        words = run.case if run.layer in run.case else f"{run.layer} {run.case}"
        name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:LONGEST_SLUG].strip("-") or "case"
        times[name] = times.get(name, 0) + 1
        return name if times[name] == 1 else f"{name}.{times[name]}"

    return slug
