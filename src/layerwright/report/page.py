"""A page that needs no network and nothing beside it: a template with its data, styles and scripts put in."""

import json
import re
from html import escape
from importlib.resources import files
from typing import Any

PLACE = re.compile(r"@(NAME|DATA|[a-z_]+\.(?:css|js))@")


def page(template: str, name: str, data: Any) -> str:
    """Fill a template from this folder: its name escaped, its data as JSON, styles and scripts from files beside it."""
    folder = files("layerwright.report").joinpath("pages")

    def put(place: re.Match[str]) -> str:
        if place[1] == "NAME":
            return escape(name)
        if place[1] == "DATA":
            text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
            return text.replace("<", "\\u003c")  # no tag in a message can end the script that holds the data
        return folder.joinpath(place[1]).read_text("utf-8").strip()

    return PLACE.sub(put, folder.joinpath(template).read_text("utf-8"))
