"""Shows the records of `Watch` as HTML in a notebook."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from layerwright.report import svg
from layerwright.report.rendering import render_template
from layerwright.watch.records import Kind
from layerwright.watch.statistic_names import overview_names

MOST_TENSORS = 40


def history_html(found: Any) -> str:
    """Return a table of the tensors and a table of the alerts in a `layerwright.watch.history.History`."""
    series: dict[tuple[str, str], list[Any]] = {}
    for record in found.tensors:
        series.setdefault((record.kind.value, record.tensor), []).append(record)
    alerted = Counter((alert.kind.value, alert.tensor) for alert in found.alerts)
    worst_first = sorted(series, key=lambda key: -alerted[key])
    return render_template(
        "notebook_history.html",
        steps=sorted({record.step for record in found.tensors}),
        alerts=_alerts(found.alerts),
        tensors=[_tensor(*key, series[key], alerted[key]) for key in worst_first[:MOST_TENSORS]],
        tensors_left_out=len(series) - MOST_TENSORS,
    )


def _tensor(kind: str, tensor: str, records: Sequence[Any], alerts: int) -> list[str]:
    """Return a row: the tensor, its kind, a statistic, the statistic's sparkline and last value, what went wrong."""
    named = dict.fromkeys(name for record in records for name in record.values)
    # The spread says most about an activation, and the size about a weight or a gradient.
    preferred = ("std" if kind == Kind.ACTIVATION else "norm", *overview_names())
    name = next((each for each in preferred if each in named), next(iter(named), ""))
    values = [record.values.get(name) for record in records]
    last = next((value for value in reversed(values) if value is not None), None)
    broken = sum(record.values.get("nonfinite", 0) > 0 for record in records)
    return [
        tensor,
        kind.replace("_", " "),
        name,
        svg.sparkline(values),
        "" if last is None else f"{last:.3g}",
        f"at {broken} step{'s' * (broken != 1)}" if broken else "",
        f"! {alerts}" if alerts else "",
    ]


def _alerts(found: Sequence[Any]) -> list[list[str]]:
    """Return a row for each rule and tensor: the rule, the step of its first alert, how many, the first's message."""
    first = {(alert.rule, alert.kind, alert.tensor): alert for alert in reversed(found)}
    times = Counter((alert.rule, alert.kind, alert.tensor) for alert in found)
    return [
        [f"! {first[key].rule}", str(first[key].step), str(count), first[key].message]
        for key, count in times.most_common(MOST_TENSORS)
    ]
