"""How results draw themselves in a notebook.

What holds results may not import what draws them, so the rendering is found by its name, as checks and sinks are.
"""

import importlib
from typing import Any


def notebook_html(kind: str, thing: Any) -> str:
    """Return `thing` as HTML for a notebook: what the function `kind` in `layerwright.report.notebook` makes of it."""
    rendering = importlib.import_module("layerwright.report.notebook")
    return str(getattr(rendering, kind)(thing))
