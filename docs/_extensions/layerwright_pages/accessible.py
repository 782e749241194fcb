"""What the theme and Sphinx leave out for those who hear a page."""

import re
from typing import Any

PARAMETERS = re.compile(r'<dl>\n((?:<dd><em class="sig-param">.*?</dd>\n*)+)</dl>', re.DOTALL)


def amend(_app: Any, _name: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Give the headings in the navigation a level, and make no list of definitions of a signature's arguments."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    context["body"] = PARAMETERS.sub(_as_lines, context.get("body", ""))


def _as_lines(found: re.Match[str]) -> str:
    lines = found[1].replace("<dd>", '<div class="sig-line">').replace("</dd>", "</div>")
    return f"<div>\n{lines}</div>"
