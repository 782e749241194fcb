"""Shows a watched run in the terminal: its alerts, each tensor's statistics, and the least confident samples."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layerwright.watch.show.run import Series, WatchedRun
from layerwright.watch.statistic_names import overview_names

BARS = "▁▂▃▄▅▆▇█"
MOST_ROWS = 20
MOST_SAMPLES = 10
WIDTH = 8


def render_run(run: WatchedRun, most: int = MOST_ROWS) -> RenderableType:
    """Return a summary of a run.

    Args:
        run: The run.
        most: The largest number of rows in each table of tensors and in the table of alerts.
    """
    steps = run.steps
    model, backend = (run.about.get(name, "?") for name in ("model", "backend"))
    recorded = f"recorded at {len(steps)} step{'s' * (len(steps) != 1)}, {steps[0]} to {steps[-1]}"
    title = f"[bold]{escape(run.name)}[/bold]  {escape(str(model))} on {backend}, {recorded}"
    kinds = dict.fromkeys(series.kind for series in run.series)
    tables = (
        _tensor_table([series for series in run.series if series.kind == kind], run, kind, most) for kind in kinds
    )
    samples = [_sample_table(run)] if run.samples else []
    return Group(Text.from_markup(title), _alert_table(run, most), *tables, *samples)


def _alert_table(run: WatchedRun, most: int) -> RenderableType:
    if not run.alerts:
        return Text("no alerts", style="green")
    table = Table("rule", "tensor", "first step", "count", "message", title="alerts", title_justify="left", box=None)
    counts = Counter((alert["rule"], alert["kind"], alert["tensor"]) for alert in run.alerts)
    first = {(alert["rule"], alert["kind"], alert["tensor"]): alert for alert in reversed(run.alerts)}
    for key, count in counts.most_common(most):
        alert = first[key]
        message = alert["message"].partition(": ")[2] or alert["message"]
        table.add_row(alert["rule"], escape(alert["tensor"]), str(alert["step"]), str(count), escape(message))
    return table


def _tensor_table(found: Sequence[Series], run: WatchedRun, kind: str, most: int) -> RenderableType:
    alerted = Counter(alert["tensor"] for alert in run.alerts if alert["kind"] == kind)
    names = [name for name in overview_names() if any(any(series.values.get(name, [])) for series in found)]
    title = kind.replace("_", " ") + "s"
    table = Table("tensor", *names, "alerts", title=title, title_justify="left", box=None)
    worst = sorted(found, key=lambda series: -alerted[series.tensor])[:most]
    for series in worst:
        cells = [f"{sparkline(values)} {_last_value(values)}" for values in (series.values.get(n, []) for n in names)]
        table.add_row(escape(series.tensor), *cells, str(alerted[series.tensor] or ""))
    if len(found) > len(worst):
        table.add_row(f"… and {len(found) - len(worst)} more")
    return table


def _sample_table(run: WatchedRun) -> RenderableType:
    table = Table(
        *("sample", "confidence", "variability", "correct", "forgotten", "flips"),
        title="probe set, least confident first",
        title_justify="left",
        box=None,
    )
    for sample in run.samples[:MOST_SAMPLES]:
        correct = "" if sample.correctness is None else f"{sample.correctness:.0%}"
        forgotten = "" if sample.forgetting_events is None else str(sample.forgetting_events)
        numbers = (f"{sample.confidence:.2f}", f"{sample.variability:.2f}", correct, forgotten, str(sample.flips))
        table.add_row(escape(sample.id), *numbers)
    return table


def sparkline(values: Sequence[float | None], width: int = WIDTH) -> str:
    """Return at most `width` bars that show how the numbers go from smallest to largest; a dot is a missing number."""
    step = max(1, -(-len(values) // width))
    chosen = values[::step]
    known = [value for value in chosen if value is not None]
    if not known:
        return "·" * len(chosen)
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    return "".join("·" if value is None else BARS[int((value - low) / span * 7.999)] for value in chosen)


def _last_value(values: Sequence[float | None]) -> str:
    last = next((value for value in reversed(values) if value is not None), None)
    return "" if last is None else f"{last:.3g}"
