"""The report as one JSON document, to the schema beside this file."""

import json
from importlib import resources
from typing import Any

from layerwright.report.formats import RenderOptions
from layerwright.report.report import Report


def render(report: Report, options: RenderOptions) -> str:  # noqa: ARG001 - JSON always holds everything
    """Return the report as a JSON document with a newline at its end."""
    return report.to_json(indent=1) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    text = resources.files("layerwright.report.formats").joinpath("schema.json").read_text("utf-8")
    read: dict[str, Any] = json.loads(text)
    return read
