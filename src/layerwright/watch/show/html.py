"""Shows a watched run as one HTML page, which needs no network and no other files."""

import math
from dataclasses import asdict
from typing import Any

from layerwright.report.rendering import render_template
from layerwright.watch.show.run import WatchedRun


def render_run_html(run: WatchedRun) -> str:
    """Return the page as HTML."""
    data = {
        "about": dict(run.about),
        "series": [asdict(series) for series in run.series],
        "probe": {
            tensor: {"steps": list(by_step), "values": [list(map(_finite_or_none, row)) for row in by_step.values()]}
            for tensor, by_step in run.probe.items()
        },
        "ids": list(run.ids),
        "samples": [asdict(sample) for sample in run.samples],
        "alerts": [{name: _finite_or_none(value) for name, value in alert.items()} for alert in run.alerts],
    }
    return render_template("run.html", name=run.name, data=data)


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
