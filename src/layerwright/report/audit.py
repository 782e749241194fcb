"""An audit as Markdown: figures, what is not explained, then each known defect with its script."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from layerwright.core.check import Check
from layerwright.core.finding import Finding, Outcome
from layerwright.report.report import Run

REASONS = 3
"""How many reasons the page gives for each check that was inconclusive."""
INTRODUCTION = """\
Layerwright checked the layers of {name}: {layers} layers in {cases} cases, on {backends}, with Keras {keras}. This
tests the checks first of all: a checker that accuses correct layers is of no use. Below is each defect that was found,
with a short script that shows it without Layerwright. Comments in the scripts say what they print. To make this page
again:

    layerwright audit {name}
"""


def render(audit: Any, checks: Iterable[Check]) -> str:
    """Return the page.

    Args:
        audit: A `layerwright.runner.audit.Audit`.
        checks: The checks that the findings are of.
    """
    return "\n".join(_lines(audit, {check.code: check for check in checks})).rstrip() + "\n"


def _lines(audit: Any, checks: Mapping[str, Check]) -> Iterator[str]:
    runs = audit.report.runs
    backends = list(dict.fromkeys(run.backend for run in runs))
    facts = {
        "name": audit.name,
        "layers": len({run.layer for run in runs}),
        "cases": len({run.case for run in runs}),
        "backends": ", ".join(backends),
        "keras": audit.report.keras,
    }
    yield f"# What the checks find in {audit.name}\n"
    yield INTRODUCTION.format(**facts)
    yield from _figures(runs, backends)
    yield from _unexplained(audit.unexplained())
    yield from _explained(audit, checks)
    yield from _advice([(run, each) for run in runs for each in run.findings if each.outcome is Outcome.WARNED], checks)
    yield from _inconclusive(runs, checks)


def _figures(runs: Sequence[Run], backends: Sequence[str]) -> Iterator[str]:
    counts = {
        name: Counter(each.outcome for run in runs if run.backend == name for each in run.findings) for name in backends
    }
    shown = [outcome for outcome in Outcome if any(count[outcome] for count in counts.values())]
    yield "## Figures\n"
    yield "| | " + " | ".join(backends) + " |"
    yield "|---|" + "---:|" * len(backends)
    yield "| cases | " + " | ".join(str(sum(run.backend == name for run in runs)) for name in backends) + " |"
    for outcome in shown:
        yield f"| {outcome} | " + " | ".join(str(counts[name][outcome]) for name in backends) + " |"
    yield ""


def _unexplained(found: Sequence[tuple[Run, Finding]]) -> Iterator[str]:
    if not found:
        return
    yield "## Unexplained\n"
    for run, finding in found:
        yield f"- **{finding.code} {finding.check}** {finding.outcome} on {run.backend}, `{run.case}`: "
        yield f"  {finding.message}"
    yield ""


def _explained(audit: Any, checks: Mapping[str, Check]) -> Iterator[str]:
    section = ""
    for defect in audit.defects:
        seen = audit.seen(defect)
        if not seen:
            continue
        code = defect.explains[0].codes[0]
        if code != section:
            section = code
            check = checks[code]
            yield f"## {check.code} {check.slug}\n"
            yield f"{check.title}\n"
        yield f"### {defect.title}\n"
        yield f"{_where(seen)}\n"
        yield f"{defect.body}\n"
    stale = [defect.title for defect in audit.defects if not audit.seen(defect)]
    if stale:
        yield "## Known defects that were not seen this time\n"
        yield "\n".join(f"- {title}" for title in stale) + "\n"


def _where(seen: Sequence[tuple[Run, Finding]]) -> str:
    codes = sorted({finding.code for _, finding in seen}, key=lambda code: int(code[2:]))
    layers = sorted({run.layer for run, _ in seen})
    backends = list(dict.fromkeys(run.backend for run, _ in seen))
    return f"Found by {', '.join(codes)} in {', '.join(layers)}, on {', '.join(backends)}."


def _advice(warned: Sequence[tuple[Run, Finding]], checks: Mapping[str, Check]) -> Iterator[str]:
    if not warned:
        return
    yield "## Advice\n"
    yield "Advisory checks warn of what may be intended: not a defect, but worth knowing.\n"
    for code in sorted({finding.code for _, finding in warned}, key=lambda code: int(code[2:])):
        check = checks[code]
        layers = sorted({run.layer for run, finding in warned if finding.code == code})
        yield f"- **{code} {check.slug}**: {', '.join(layers)}"
    yield ""


def _inconclusive(runs: Sequence[Run], checks: Mapping[str, Check]) -> Iterator[str]:
    reasons: dict[str, Counter[str]] = {}
    for finding in (finding for run in runs for finding in run.findings):
        if finding.outcome is Outcome.INCONCLUSIVE:
            reasons.setdefault(finding.code, Counter())[_shortened(finding.message)] += 1
    if not reasons:
        return
    yield "## Inconclusive\n"
    yield "How often, and the most frequent reasons; `report.json` has them all.\n"
    for code in sorted(reasons, key=lambda code: int(code[2:])):
        counts = reasons[code]
        yield f"- **{code} {checks[code].slug}**, {counts.total()} times"
        yield from (f"    - {count} times: {reason}" for reason, count in counts.most_common(REASONS))
    yield ""


def _shortened(text: str) -> str:
    return text if len(text) < 200 else f"{text[:199]}…"
