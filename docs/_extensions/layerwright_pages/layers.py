"""A page a layer, and the list of them."""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import layerwright.layers as library

from .autodoc import directive


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
    families = {module: _own_name_first(module, names) for module, names in found.items()}
    return dict(sorted(families.items(), key=lambda family: next(iter(family[1]))))


def _own_name_first(module: ModuleType, names: dict[str, Any]) -> dict[str, Any]:
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
            "`layerwright.layers` contains layers that published code samples often implement incorrectly. Each page "
            "gives a layer's formula, its source, the shape of every argument and the effect of a mask. Each layer has "
            "a float64 NumPy reference and passes [every check](/checks/index.md) that applies to it, on TensorFlow, "
            "JAX and PyTorch. [Their speed](/performance.md) is measured.",
            "Articles on custom Keras layers use the names on the right. They lead to the same class, or to the same "
            "class with other defaults; the layer's page says which.",
            "| layer | what it does | other names |\n|---|---|---|\n" + "\n".join(rows),
            "[`tap`](/reference/tap.md) makes a model that also returns the outputs of layers inside it.",
            f"```{{toctree}}\n:hidden:\n\n{listed}\n```",
        ]
    )  # fmt: skip


def _page(module: ModuleType, names: dict[str, Any]) -> str:
    first, *others = names
    parts = [f"# {first}"]
    same = ", ".join(f"`{name}`" for name in others if names[name] is names[first])
    if same:
        parts.append(f"Other names of the same class: {same}.")
    parts.append(directive(f"layerwright.layers.{first}"))
    different = [name for name in others if names[name] is not names[first]]
    parts += [f"## {name}\n\n{directive(f'layerwright.layers.{name}')}" for name in different]
    function = getattr(module, "reference", None)
    if function is not None:
        parts.append(
            "## NumPy reference\n\nThe layer's function in float64 NumPy. Tests compare the layer with it on every "
            f"backend.\n\n```python\n{inspect.getsource(function).strip()}\n```"
        )
    return "\n\n".join(parts) + "\n"
