"""The path from a layer to one of its sublayers or variables, as the user writes it: `self.hidden.kernel`."""

from collections.abc import Iterator, Mapping
from typing import Any

from layerwright.trial.reachable import reachable


def attribute_path(layer: Any, part: Any) -> str:
    """Return the path from `layer` to `part`, a sublayer or a variable, such as `self.hidden.kernel`.

    Where no attribute leads to it, return the name that Keras gave it, such as `dense_1/kernel`.
    """
    return _path_or_none(layer, part) or getattr(part, "path", None) or str(part.name)


def layers_of(
    layer: Any, path: str = "", seen: set[int] | None = None, *, inside_keras: bool = False
) -> Iterator[tuple[Any, str]]:
    """Yield the layers in a model, each with its path such as `encoder/attention`: outer before inner.

    A part of a layer is named by the attribute that holds it, a part of a model by its own name. Models are looked
    into, whoever wrote them; Keras's own layers only with `inside_keras`.
    """
    import keras

    seen = set() if seen is None else seen
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        # A Sequential holds a functional model of its own layers, which is no place of its own.
        hidden = inner is getattr(layer, "_functional", None)
        below = path if hidden else f"{path}{_name_in(layer, inner)}/"
        if not hidden:
            yield inner, below.removesuffix("/")
        if inside_keras or isinstance(inner, keras.Model) or not type(inner).__module__.startswith("keras."):
            yield from layers_of(inner, below, seen, inside_keras=inside_keras)


def _name_in(layer: Any, part: Any) -> str:
    """Return the attribute that holds a part of a layer, such as `blocks[0]`, or else the part's own name."""
    if _is_keras_model(layer):
        return str(part.name)
    held = {**vars(layer), **vars(layer).get("_modules", {})}  # torch keeps layers apart
    for name, value in held.items():
        if value is part and not name.startswith("_"):
            return str(name)
        if not name.startswith("_") and isinstance(value, (list, tuple, Mapping)):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            found = [f"{name}[{key!r}]" for key, item in items if item is part]
            if found:
                return found[0]
    return str(part.name)


def _path_or_none(layer: Any, part: Any) -> str | None:
    if part is layer:
        return "self"
    if _is_keras_model(layer):
        return _path_in_model("self", layer, part)
    for path, value in reachable(layer, lambda value: value is part or _is_keras_model(value)):
        if value is part:
            return _with_public_name(path, part)
        found = _path_in_model(path, value, part)
        if found is not None:
            return found
    return None


def _path_in_model(path: str, model: Any, part: Any) -> str | None:
    """Return the path through `model.layers`, which is how a user reaches a layer of a `Sequential` model."""
    for index, inner in enumerate(model.layers):
        within = _path_or_none(inner, part)
        if within is not None:
            return f"{path}.layers[{index}]{within.removeprefix('self')}"
    return None


def _is_keras_model(value: Any) -> bool:
    """Whether a value is a `Sequential` or functional model, whose layers are in no attribute that users know."""
    import keras

    return isinstance(value, keras.Model) and type(value).__module__.partition(".")[0] == "keras"


def _with_public_name(path: str, part: Any) -> str:
    """Replace `_kernel` by `kernel` at the end of a path: Keras keeps some weights behind a property."""
    owner, _, attribute = path.rpartition(".")
    return f"{owner}.{part.name}" if attribute == f"_{part.name}" else path
