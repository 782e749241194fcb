"""A page a layer, and the list of them."""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import layerwright.layers as library

from .docstrings import markdown
from .signatures import own_methods, signature


def pages() -> Iterator[tuple[str, str]]:
    """Return the pages' names and texts."""
    families = _families()
    yield "index.md", _list(families)
    for module, names in families.items():
        yield f"{_slug(module)}.md", _page(module, names)


def _families() -> dict[ModuleType, dict[str, Any]]:
    """Return the modules of layers, each with the public names of its classes: the first is the layer's own."""
    found: dict[ModuleType, dict[str, Any]] = {}
    for name, value in sorted(vars(library).items()):
        if inspect.isclass(value):
            found.setdefault(importlib.import_module(value.__module__), {})[name] = value
    families = {module: _first_first(module, names) for module, names in found.items()}
    return dict(sorted(families.items(), key=lambda family: next(iter(family[1]))))


def _first_first(module: ModuleType, names: dict[str, Any]) -> dict[str, Any]:
    first = next(name for name in names if name.lower() == _slug(module).replace("_", ""))
    return {first: names[first], **names}


def _slug(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _list(families: dict[ModuleType, dict[str, Any]]) -> str:
    rows = []
    for module, (first, *others) in ((module, list(names)) for module, names in families.items()):
        about = (module.__doc__ or "").partition(": ")[2].strip().partition("\n\n")[0].replace("\n", " ")
        aliases = ", ".join(f"`{name}`" for name in others)
        rows.append(f"| [{first}](/layers/{_slug(module)}.md) | {about[:1].upper()}{about[1:]} | {aliases} |")
    listed = "\n".join(_slug(module) for module in families)
    return "\n\n".join(
        [
            "# The layers",
            "`layerwright.layers` holds twelve families of layers that do right what many published samples do wrong. "
            "Each states its formula, its source, the shape of every argument and what a mask does; each has a float64 "
            "NumPy reference, and passes [the whole catalogue of checks](/checks/index.md) on TensorFlow, JAX and "
            "PyTorch with no exception made. [What they cost](/performance.md) is measured.",
            "The names on the right are those that articles on custom Keras layers use. They lead to the same classes, "
            "or to the same ones with other defaults, as the layer's page says.",
            "| layer | what it does | also found as |\n|---|---|---|\n" + "\n".join(rows),
            "[`tap`](/reference/tap.md) makes a model that returns what layers inside a model return.",
            f"```{{toctree}}\n:hidden:\n\n{listed}\n```",
        ]
    )  # fmt: skip


def _page(module: ModuleType, names: dict[str, Any]) -> str:
    described = (part for name in names for part in _class(name, names))
    return "\n\n".join([f"# {next(iter(names))}", *_aliases(names), *described, *_reference(module)]) + "\n"


def _aliases(names: dict[str, Any]) -> Iterator[str]:
    first, *others = names
    same = [f"`{name}`" for name in others if names[name] is names[first]]
    if same:
        yield f"Also found as {', '.join(same)}: the same class, under the name that articles use."


def _class(name: str, names: dict[str, Any]) -> Iterator[str]:
    """Describe a class: the page's own, or another one made of it."""
    first, value = next(iter(names)), names[name]
    if name != first and value is names[first]:
        return
    deeper = "##" if name == first else "###"
    if name != first:
        yield f"## {name}"
    summary, _, rest = (inspect.getdoc(value) or "").partition("\n")
    yield summary
    yield f"```{{py:class}} layerwright.layers.{name}{signature(value)}\n```"
    yield markdown(rest.strip("\n"), lambda title: f"{deeper} {title}", "text")
    for method, function in own_methods(value).items():
        text = markdown(inspect.getdoc(function) or "", lambda title: f"**{title}**")
        yield f"`````{{py:method}} layerwright.layers.{name}.{method}{signature(function)}\n\n{text}\n`````"


def _reference(module: ModuleType) -> Iterator[str]:
    function = getattr(module, "reference", None)
    if function is not None:
        yield (
            "## NumPy reference\n\nWhat the layer computes, in float64 NumPy; tests hold the layer against it on every "
            f"backend.\n\n```python\n{inspect.getsource(function).strip()}\n```"
        )
