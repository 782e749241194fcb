"""Selects the layers of a model to watch."""

import fnmatch
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import keras

from layerwright.backends.interception import inner_layers


def select_layers(model: Any, wanted: Any) -> dict[str, Any]:
    """Return layers of a model by path.

    Args:
        model: The model.
        wanted: A path, a name, or a pattern for either, such as `"encoder/*"`; a layer object; a list of these; or
            None. None selects every layer except input layers and layers inside the loop of a recurrent layer.

    Raises:
        ValueError: If a name or pattern matches no layer, or a layer object is not part of the model.
    """
    layers = inner_layers(model)
    if wanted is None:
        looped = _paths_inside_recurrent_layers(layers)
        chosen = [path for path in layers if path not in looped]
    else:
        each = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
        matches = {path for one in each for path in _matching_paths(layers, one)}
        chosen = [path for path in layers if path in matches]
    found = {path: layers[path] for path in chosen if not isinstance(layers[path], keras.layers.InputLayer)}
    if not found:
        raise ValueError("Watch: the model has no layers to watch; build it or call it once before fit.")
    return found


def _paths_inside_recurrent_layers(layers: dict[str, Any]) -> set[str]:
    """Return the paths of layers that run once per time step."""
    recurrent = tuple(f"{path}/" for path, layer in layers.items() if isinstance(layer, keras.layers.RNN))
    return {path for path in layers if path.startswith(recurrent)}


def _matching_paths(layers: dict[str, Any], wanted: Any) -> list[str]:
    if not isinstance(wanted, str):
        found = [path for path, layer in layers.items() if layer is wanted]
        name = getattr(wanted, "name", wanted)
    else:
        found = [path for path in layers if fnmatch.fnmatchcase(path, wanted)]
        found = found or [path for path in layers if fnmatch.fnmatchcase(path.rpartition("/")[2], wanted)]
        name = wanted
    if not found:
        raise ValueError(f"Watch: layers={name!r} matches no layer; {_suggestion(str(name), list(layers))}")
    return found


def _suggestion(name: str, paths: list[str]) -> str:
    near = get_close_matches(name, paths, n=3, cutoff=0.4)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    if not paths:
        return "the model has no layers yet, so build it or call it once before fit."
    more = f" and {len(paths) - 8} more" if len(paths) > 8 else ""
    return f"the model has the layers {', '.join(map(repr, paths[:8]))}{more}."
