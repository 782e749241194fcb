"""A watched run in the terminal: alerts, each layer's course, and the samples that were learned worst."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layerwright.watch.show.run import Series, WatchedRun

BARS = "▁▂▃▄▅▆▇█"
MOST_ROWS = 20
MOST_SAMPLES = 10
SHOWN = ("mean", "std", "norm", "zero_fraction", "nonfinite", "update_ratio")
WIDTH = 8


def render_run(run: WatchedRun, most: int = MOST_ROWS) -> RenderableType:
    """Return a summary of a run.

    Args:
        run: The run.
        most: How many tensors of a kind, alerts and samples are shown at most.
    """
    steps = run.steps
    model, backend = (run.about.get(name, "?") for name in ("model", "backend"))
    title = f"[bold]{escape(run.name)}[/bold]  {escape(str(model))} on {backend}, "
    parts: list[RenderableType] = [
        Text.from_markup(f"{title}{len(steps)} looks from step {steps[0]} to {steps[-1]}"),
        *_alerts(run, most),
    ]
    kinds = dict.fromkeys(series.kind for series in run.series)
    tables = (_tensors([series for series in run.series if series.kind == kind], run, kind, most) for kind in kinds)
    return Group(*parts, *tables, *([_samples(run)] if run.samples else []))


def _alerts(run: WatchedRun, most: int) -> list[RenderableType]:
    if not run.alerts:
        return [Text("no alerts", style="green")]
    table = Table("rule", "tensor", "first at step", "times", "what", title="alerts", title_justify="left", box=None)
    counts = Counter((alert["rule"], alert["kind"], alert["tensor"]) for alert in run.alerts)
    first = {(alert["rule"], alert["kind"], alert["tensor"]): alert for alert in reversed(run.alerts)}
    for key, times in counts.most_common(most):
        alert = first[key]
        said = alert["message"].partition(": ")[2] or alert["message"]
        table.add_row(alert["rule"], escape(alert["tensor"]), str(alert["step"]), str(times), escape(said))
    return [table]


def _tensors(found: Sequence[Series], run: WatchedRun, kind: str, most: int) -> RenderableType:
    alerted = Counter(alert["tensor"] for alert in run.alerts if alert["kind"] == kind)
    names = [name for name in SHOWN if any(any(series.values.get(name, [])) for series in found)]
    title = kind.replace("_", " ") + "s"
    table = Table("tensor", *names, "alerts", title=title, title_justify="left", box=None)
    worst = sorted(found, key=lambda series: -alerted[series.tensor])[:most]
    for series in worst:
        cells = [f"{sparkline(series.values.get(name, []))} {_number(series.values.get(name, []))}" for name in names]
        table.add_row(escape(series.tensor), *cells, str(alerted[series.tensor] or ""))
    if len(found) > len(worst):
        table.add_row(f"… and {len(found) - len(worst)} more")
    return table


def _samples(run: WatchedRun) -> RenderableType:
    table = Table(
        *("sample", "confidence", "variability", "right", "forgotten", "flips"),
        title="probe set, least confident first",
        title_justify="left",
        box=None,
    )
    for sample in run.samples[:MOST_SAMPLES]:
        right = "" if sample.correctness is None else f"{sample.correctness:.0%}"
        forgotten = "" if sample.forgetting_events is None else str(sample.forgetting_events)
        numbers = (f"{sample.confidence:.2f}", f"{sample.variability:.2f}", right, forgotten, str(sample.flips))
        table.add_row(escape(sample.id), *numbers)
    return table


def sparkline(values: Sequence[float | None], width: int = WIDTH) -> str:
    """Return numbers as bars between the smallest and the largest, at most `width` of them; a dot stands for none."""
    step = max(1, -(-len(values) // width))
    chosen = values[::step]
    known = [value for value in chosen if value is not None]
    if not known:
        return "·" * len(chosen)
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    return "".join("·" if value is None else BARS[int((value - low) / span * 7.999)] for value in chosen)


def _number(values: Sequence[float | None]) -> str:
    last = next((value for value in reversed(values) if value is not None), None)
    return "" if last is None else f"{last:.3g}"
