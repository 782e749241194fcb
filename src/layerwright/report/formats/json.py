"""The report as one JSON document, to the schema beside this file."""

import json
from importlib import resources
from typing import Any

from layerwright.report.report import Report


def render(report: Report) -> str:
    """Return the report as a JSON document with a newline at its end."""
    return report.to_json(indent=1) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema that every rendered report is valid against."""
    text = resources.files("layerwright.report").joinpath("schema.json").read_text("utf-8")
    read: dict[str, Any] = json.loads(text)
    return read
