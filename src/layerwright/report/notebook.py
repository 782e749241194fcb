"""Results as HTML for notebooks: no script, no style sheet, and readable on light and on dark paper."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from layerwright.core.finding import BAD_OUTCOMES, Finding, Report, Run
from layerwright.core.record import Kind
from layerwright.report import svg
from layerwright.report.grouping import MARKS, WANT_ATTENTION, by_case, is_note, said_alike, verdict

MOST_CASES = 40
MOST_TENSORS = 40
MAIN = ("norm", "std", "mean", "update_ratio", "zero_fraction", "nonfinite")
"""Statistics in the order in which the first that was recorded is drawn; of activations first of all `std`."""
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
    more = [_more(len(cases) - MOST_CASES, "cases")] if len(cases) > MOST_CASES else []
    return _box([head, _table(["case", *backends], rows), *more, *map(_findings, cases[:MOST_CASES])])


def influence(found: Any) -> str:
    """Return an influence map, a `layerwright.influence_map.InfluenceMap`, as a picture with its legend."""
    how = "outputs moved with inputs of other indices" if found.coupled else "outputs moved with their own input alone"
    head = f"<b>{escape(found.layer)}</b>, axis {found.axis}: {how}"
    return _box([head, svg.influence_map(found.matrix.tolist(), found.slices)])


def history(found: Any) -> str:
    """Return the course of each tensor that `Watch` recorded, a `layerwright.watch.history.History`, and the alerts."""
    series: dict[tuple[str, str], list[Any]] = {}
    for record in found.tensors:
        series.setdefault((record.kind.value, record.tensor), []).append(record)
    if not series:
        return _box(["<b>Watch</b>: nothing was recorded yet."])
    steps = sorted({record.step for record in found.tensors})
    alerted = Counter((alert.kind.value, alert.tensor) for alert in found.alerts)
    ordered = sorted(series, key=lambda key: -alerted[key])
    rows = [_course(*key, series[key], alerted[key]) for key in ordered[:MOST_TENSORS]]
    more = [_more(len(series) - MOST_TENSORS, "tensors")] if len(series) > MOST_TENSORS else []
    head = f"<b>Watch</b>: {len(steps)} looks from step {steps[0]} to {steps[-1]}"
    heads = ["tensor", "kind", "statistic", "course", "last", "not finite", "alerts"]
    return _box([head, *_alerts(found.alerts), _table(heads, rows), *more])


def _course(kind: str, tensor: str, records: Sequence[Any], alerts: int) -> list[str]:
    named = dict.fromkeys(name for record in records for name in record.values)
    preferred = ("std", *MAIN) if kind == Kind.ACTIVATION else MAIN
    name = next((each for each in preferred if each in named), next(iter(named), ""))
    values = [record.values.get(name) for record in records]
    last = next((value for value in reversed(values) if value is not None), None)
    broken = sum(record.values.get("nonfinite", 0) > 0 for record in records)
    return [
        escape(tensor),
        kind.replace("_", " "),
        escape(name),
        svg.sparkline(values),
        "" if last is None else f"{last:.3g}",
        f"at {broken} looks" if broken else "",
        f"! {alerts}" if alerts else "",
    ]


def _alerts(found: Sequence[Any]) -> Iterator[str]:
    first = {(alert.rule, alert.kind, alert.tensor): alert for alert in reversed(found)}
    times = Counter((alert.rule, alert.kind, alert.tensor) for alert in found)
    if not found:
        yield "✓ no alerts"
        return
    rows = [
        [f"! {escape(first[key].rule)}", str(first[key].step), str(count), escape(first[key].message)]
        for key, count in times.most_common(MOST_TENSORS)
    ]
    yield _table(["alert", "first at step", "times", "what"], rows)


def _verdicts(runs: Sequence[Run], backends: Sequence[str]) -> Iterator[str]:
    here = {run.backend: verdict(run) for run in runs}
    for backend in backends:
        sound, words = here.get(backend, (True, ""))
        yield f"{'✓' if sound else '✗'} {words}" if words else "not checked"


def _findings(runs: Sequence[Run]) -> str:
    groups = said_alike(runs, lambda finding: finding.outcome in WANT_ATTENTION or is_note(finding))
    if not groups:
        return ""
    said = "".join(_finding(backends, finding) for backends, finding in groups)
    title = f"{escape(runs[0].case)}: {len(groups)} finding{'s' * (len(groups) != 1)}"
    return f'<details style="margin-top:6px"><summary style="cursor:pointer">{title}</summary>{said}</details>'


def _finding(backends: Sequence[str], finding: Finding) -> str:
    word = "note" if is_note(finding) else finding.outcome.value
    where = ", ".join(dict.fromkeys(backends))
    head = f"<b>{MARKS[finding.outcome]} {finding.code} {escape(finding.check)}</b> {word} on {escape(where)}"
    fix = f"<div><b>fix:</b> {escape(finding.fix)}</div>" if finding.fix else ""
    drawn = "" if is_note(finding) else _picture(finding)
    style = "border-left:3px solid rgba(128,128,128,.6);padding-left:10px;margin:8px 0"
    return f'<div style="{style}">{head}<div>{escape(finding.message)}</div>{fix}{drawn}</div>'


def _picture(finding: Finding) -> str:
    rows = finding.evidence.get("influence_map")
    if rows is None or not len(rows):
        return ""
    slices = "step" if finding.evidence.get("influence_axis") == "time" else "sample"
    return svg.influence_map([[float(entry) for entry in row] for row in rows], slices, size=180)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f'<th scope="col" style="{LINE}">{escape(each)}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f'<td style="{LINE}">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    return f'<table style="border-collapse:collapse;margin:6px 0"><tr>{top}</tr>{body}</table>'


def _more(number: int, what: str) -> str:
    return f"… and {number} more {what}"


def _box(parts: Iterable[str]) -> str:
    return f'<div style="overflow-x:auto">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'
