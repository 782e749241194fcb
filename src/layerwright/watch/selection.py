"""Which layers of a model are watched."""

import fnmatch
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import keras

from layerwright.backends.interception import inner_layers


def selected(model: Any, wanted: Any) -> dict[str, Any]:
    """Return layers of a model by their paths.

    Args:
        model: The model.
        wanted: A path, a name or a pattern of either, such as `"encoder/*"`; a layer; a list of these; or None for all
            but input layers and what runs inside a recurrent layer's loop.

    Raises:
        ValueError: If a name or a pattern fits no layer, or a layer is none of the model's.
    """
    layers = inner_layers(model)
    if wanted is None:
        hidden = _looped(layers)
        chosen = [path for path in layers if path not in hidden]
    else:
        each = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
        named = {path for one in each for path in _fitting(layers, one)}
        chosen = [path for path in layers if path in named]
    found = {path: layers[path] for path in chosen if not isinstance(layers[path], keras.layers.InputLayer)}
    if not found:
        raise ValueError("Watch: the model has no layers to watch; call it once, or build it, before it is fitted.")
    return found


def _looped(layers: dict[str, Any]) -> set[str]:
    """Return the paths of what runs once for each time step."""
    recurrent = tuple(f"{path}/" for path, layer in layers.items() if isinstance(layer, keras.layers.RNN))
    return {path for path in layers if path.startswith(recurrent)}


def _fitting(layers: dict[str, Any], wanted: Any) -> list[str]:
    if not isinstance(wanted, str):
        found = [path for path, layer in layers.items() if layer is wanted]
        name = getattr(wanted, "name", wanted)
    else:
        found = [path for path in layers if fnmatch.fnmatchcase(path, wanted)]
        found = found or [path for path in layers if fnmatch.fnmatchcase(path.rpartition("/")[2], wanted)]
        name = wanted
    if not found:
        near = get_close_matches(str(name), layers, n=3, cutoff=0.4) or list(layers)[:8]
        raise ValueError(f"Watch: layers={name!r} fits no layer of the model; there is {', '.join(near)}.")
    return found
