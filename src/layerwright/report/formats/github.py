"""The report as workflow commands, which GitHub shows as annotations on the lines of a pull request."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.report.formats import RenderOptions
from layerwright.report.report import Report, Run


def render(report: Report, options: RenderOptions) -> str:  # noqa: ARG001 - annotations have one form
    """Return an annotation for each finding that failed, errored, warned or passed unexpectedly, then the counts."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in report.summary().items() if count)
    return "\n".join([*_annotations(report), f"layerwright: {counts or 'nothing checked'}"]) + "\n"


def _annotations(report: Report) -> Iterator[str]:
    for run in report.runs:
        for finding in run.findings:
            if finding.outcome in BAD_OUTCOMES:
                yield _annotation("error", run, finding)
            elif finding.outcome is Outcome.WARNED:
                yield _annotation("warning", run, finding)


def _annotation(level: str, run: Run, finding: Finding) -> str:
    module, _, layer = run.target.rpartition(":")
    properties = {"title": f"{finding.code} {finding.check} ({layer} on {run.backend})"}
    if finding.places:
        place = finding.places[0]
        properties |= {"file": place.file, "line": str(place.line), "endLine": str(place.end_line)}
    elif module.endswith(".py"):
        properties |= {"file": module, "line": str(_line_of(module, layer))}
    listed = ",".join(f"{name}={_escape(value, more=',:')}" for name, value in sorted(properties.items()))
    text = f"{finding.message}\nFix: {finding.fix}" if finding.fix else finding.message
    return f"::{level} {listed}::{_escape(text)}"


@cache
def _line_of(path: str, layer: str) -> int:
    """Return the line on which the class is defined; 1 if it is not found."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError):
        return 1
    lines = (node.lineno for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == layer)
    return next(lines, 1)


def _escape(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
