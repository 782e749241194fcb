"""The Python reference: every public name of `layerwright`, on a page for each thing it is about."""

import importlib
import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import layerwright

from .docstrings import markdown
from .signatures import own_methods, signature

PAGES = {
    "proving": (
        "Proving a layer",
        *("layerwright.runner.in_process", "layerwright.trial.influence", "layerwright.pytest_plugin"),
    ),
    "cases": ("Cases and traits", "layerwright.core.case"),
    "reports": ("Reports and findings", "layerwright.core.finding"),
    "watching": ("Watching", "layerwright.watch.callback", "layerwright.watch.probe", "layerwright.watch.batch_change"),
    "rules": ("Rules", "layerwright.watch.rules"),
    "sinks": ("Records and sinks", "layerwright.watch.records"),
    "tap": ("tap", "layerwright.layers._tap"),
    "errors": ("Errors", "layerwright.core.errors"),
}
"""Pages, their titles and the modules that they are about. A public name from elsewhere gets a page of its module's."""

FURTHER = (
    *("layerwright.core.finding.Run", "layerwright.core.finding.Outcome", "layerwright.watch.rules.Rule"),
    *(f"layerwright.watch.records.{name}" for name in ("Sink", "Run", "TensorRecord", "Histogram", "ProbeRecord")),
    *(f"layerwright.watch.records.{name}" for name in ("PredictionRecord", "Alert", "Kind")),
    *("layerwright.trial.influence.InfluenceMap", "layerwright.layers.tap"),
    *("layerwright.core.errors.UsageError", "layerwright.core.errors.CheckFailed"),
)
"""What is not in `layerwright` itself but is met by those who use it."""


def pages() -> Iterator[tuple[str, str]]:
    """Return the pages' names and texts."""
    found: dict[str, dict[str, Any]] = {name: {} for name in PAGES}
    for path, value in sorted(_public().items(), key=lambda thing: _place(thing[1])):
        found.setdefault(_page_of(value), {})[path] = value
    yield "index.md", _index(found)
    for name, things in found.items():
        title = PAGES[name][0] if name in PAGES else name.replace("_", " ").capitalize()
        described = "\n\n".join(_describe(path, value) for path, value in things.items())
        yield f"{name}.md", f"# {title}\n\n{described}\n"


def _public() -> dict[str, Any]:
    """Return what is public, by the path under which it is imported."""
    own = {
        f"layerwright.{name}": getattr(layerwright, name)
        for name in dir(layerwright)
        if not name.startswith("_") and getattr(getattr(layerwright, name), "__module__", "").startswith("layerwright.")
    }
    return own | {path: _imported(path) for path in FURTHER}


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _page_of(value: Any) -> str:
    module = value.__module__
    return next((page for page, (_, *modules) in PAGES.items() if module in modules), module.rpartition(".")[2])


def _place(value: Any) -> tuple[int, str, int]:
    """Return where a thing is defined: its module's place in `PAGES`, the module, the line."""
    modules = [module for _, *modules in PAGES.values() for module in modules]
    place = modules.index(value.__module__) if value.__module__ in modules else len(modules)
    return place, value.__module__, inspect.getsourcelines(value)[1]


def _index(found: dict[str, dict[str, Any]]) -> str:
    parts = [
        "# Reference",
        "[The command line](command-line.md), and what there is to import. `import layerwright as lw` loads neither "
        "Keras nor a backend; what needs them is loaded when it is used.",
    ]
    for name, things in found.items():
        title = PAGES[name][0] if name in PAGES else name.replace("_", " ").capitalize()
        rows = "\n".join(
            f"| {{py:obj}}`{path.removeprefix('layerwright.')} <{path}>` | {_summary(value)} |"
            for path, value in things.items()
        )
        parts.append(f"## {title}\n\n| name | what it is |\n|---|---|\n{rows}")
    listed = "\n".join(["command-line", *found])
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{listed}\n```"]) + "\n"


def _summary(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")


def _describe(path: str, value: Any) -> str:
    """Return a function, or a class with its methods, as a directive of Sphinx's Python domain."""
    kind = "function" if not inspect.isclass(value) else "class"
    shown = "" if inspect.isclass(value) and issubclass(value, (Enum, Exception)) else signature(value)
    if getattr(value, "_is_protocol", False):
        shown = ""
    parts = [_text(value)]
    if kind == "class" and issubclass(value, Enum):
        parts.append(", ".join(f"`{member.value}`" for member in value))
    elif kind == "class":
        parts += [_member(f"{path}.{name}", member) for name, member in own_methods(value).items()]
    body = "\n\n".join(parts)
    return f"``````{{py:{kind}}} {path}{shown}\n\n{body}\n``````"


def _member(path: str, member: Any) -> str:
    if isinstance(member, property):
        return f"`````{{py:property}} {path}\n\n{_text(member)}\n`````"
    option = ":classmethod:\n" if isinstance(member, classmethod) else ""
    function = getattr(member, "__func__", member)
    shown = signature(function).replace("(cls, ", "(").replace("(cls)", "()")
    return f"`````{{py:method}} {path}{shown}\n{option}\n{_text(member)}\n`````"


def _text(value: Any) -> str:
    return markdown(inspect.getdoc(value) or "", lambda title: f"**{title}**")
