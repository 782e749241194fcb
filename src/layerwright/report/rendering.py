"""HTML from the files in `templates`: what is put into one is escaped."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render_template(template: str, **values: Any) -> str:
    """Return a template with its values put in."""
    return _environment().get_template(template).render(values)


def render_macro(template: str, macro: str, *arguments: Any) -> str:
    """Return what a template's macro makes of its arguments; marked as HTML, so that templates do not escape it."""
    made: str = getattr(_environment().get_template(template).module, macro)(*arguments)
    return made


@cache
def _environment() -> "Environment":
    # Imported here: most of what imports this module never makes HTML.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("layerwright.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def asset(name: str) -> str:
        """Return a style sheet or a script as it stands; braces in it mean nothing to Jinja."""
        return Markup(loader.get_source(environment, name)[0].strip())

    environment.globals["asset"] = asset
    environment.filters["plain"] = lambda number: f"{number:g}"
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
    }
    return environment
