"""The findings of a report by case; a finding that several backends share is shown once."""

from collections import Counter
from collections.abc import Callable, Sequence

from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.report.report import Report, Run

MARKS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.WARNED: "!",
    Outcome.NOTE: "i",
    Outcome.SKIPPED: "-",
    Outcome.XFAILED: "~",
    Outcome.XPASSED: "✗",
    Outcome.BLOCKED: "⊘",
    Outcome.INCONCLUSIVE: "?",
    Outcome.ERRORED: "✗",
}
"""A sign for each outcome, for readers who do not see its colour."""
WANT_ATTENTION = BAD_OUTCOMES | {Outcome.WARNED, Outcome.XFAILED, Outcome.NOTE}


def by_case(report: Report) -> list[list[Run]]:
    """Return the runs of each case, on every backend: those that share an id."""
    cases: dict[str, list[Run]] = {}
    for run in report.runs:
        cases.setdefault(run.id, []).append(run)
    return list(cases.values())


def shared_findings(runs: Sequence[Run], wanted: Callable[[Finding], bool]) -> list[tuple[list[str], Finding]]:
    """Return the wanted findings of a case, each with the backends that share it: messages may differ in numbers."""
    groups: dict[tuple[str, Outcome, str], list[tuple[str, Finding]]] = {}
    for run in runs:
        for finding in filter(wanted, run.findings):
            key = (finding.code, finding.outcome, without_numbers(finding.message))
            groups.setdefault(key, []).append((run.backend, finding))
    ordered = sorted(groups.values(), key=lambda group: int(group[0][1].code[2:]))
    return [([backend for backend, _ in group], group[0][1]) for group in ordered]


def verdict(run: Run) -> tuple[bool, str]:
    """Return whether nothing failed for a case on a backend, and the counts in words."""
    counts = Counter(finding.outcome for finding in run.findings)
    bad = sum(counts[outcome] for outcome in BAD_OUTCOMES)
    if run.is_undetermined:
        return True, "undetermined"
    parts = [f"{bad} failed"] * bool(bad) + [f"{counts[Outcome.PASSED]} passed"]
    parts += [f"{counts[outcome]} {outcome}" for outcome in (Outcome.NOTE, Outcome.BLOCKED) if counts[outcome]]
    return not bad, ", ".join(parts)


def without_numbers(message: str) -> str:
    """Return the message without its digits, which differ between backends where the finding does not."""
    return "".join(character for character in message if not character.isdigit() and character not in ".e-+")
