"""What `Watch` recorded as HTML for notebooks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from layerwright.report import svg
from layerwright.report.notebook import box, more, table
from layerwright.watch.records import Kind

MOST_TENSORS = 40
MAIN = ("norm", "std", "mean", "update_ratio", "zero_fraction", "nonfinite")
"""Statistics in the order in which the first that was recorded is drawn; of activations first of all `std`."""


def history(found: Any) -> str:
    """Return the course of each tensor that `Watch` recorded, a `layerwright.watch.history.History`, and the alerts."""
    series: dict[tuple[str, str], list[Any]] = {}
    for record in found.tensors:
        series.setdefault((record.kind.value, record.tensor), []).append(record)
    if not series:
        return box(["<b>Watch</b>: nothing was recorded yet."])
    steps = sorted({record.step for record in found.tensors})
    alerted = Counter((alert.kind.value, alert.tensor) for alert in found.alerts)
    ordered = sorted(series, key=lambda key: -alerted[key])
    rows = [_course(*key, series[key], alerted[key]) for key in ordered[:MOST_TENSORS]]
    rest = [more(len(series) - MOST_TENSORS, "tensors")] if len(series) > MOST_TENSORS else []
    head = f"<b>Watch</b>: {len(steps)} looks from step {steps[0]} to {steps[-1]}"
    heads = ["tensor", "kind", "statistic", "course", "last", "not finite", "alerts"]
    return box([head, *_alerts(found.alerts), table(heads, rows), *rest])


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
    yield table(["alert", "first at step", "times", "what"], rows)
