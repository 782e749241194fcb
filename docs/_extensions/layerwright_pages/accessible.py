"""What the theme leaves out for those who hear a page."""

from typing import Any


def level_captions(_app: Any, _name: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Give the headings in the navigation a level."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
