"""A watched run as one page, which needs no network and nothing beside it."""

import math
from dataclasses import asdict
from typing import Any

from layerwright.report.page import page
from layerwright.watch.show.run import WatchedRun


def render_run_html(run: WatchedRun) -> str:
    """Return the page."""
    data = {
        "about": dict(run.about),
        "series": [asdict(series) for series in run.series],
        "probe": {
            tensor: {"steps": list(by_step), "values": [list(map(_known, row)) for row in by_step.values()]}
            for tensor, by_step in run.probe.items()
        },
        "ids": list(run.ids),
        "samples": [asdict(sample) for sample in run.samples],
        "alerts": [{name: _known(value) for name, value in alert.items()} for alert in run.alerts],
    }
    return page("run.html", run.name, data)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
