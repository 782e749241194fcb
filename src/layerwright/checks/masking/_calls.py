"""A masked layer, called: eagerly, compiled, and as cheaply as the backend allows. Each made once for a trial."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.gradients import Gradients, compiled, differentiated
from layerwright.trial.masks import Subject
from layerwright.trial.trial import Trial, once_per_trial

Outputs = tuple[list[Array], list[Array | None]]
"""Output arrays, and for each the mask that goes on with it, if one does."""


@once_per_trial
def eager(trial: Trial, found: Subject, way: str, *, all_true: bool = False) -> Outputs:
    """Call the layer in inference on its usual inputs with the usual masks, or with masks that are true throughout."""
    import keras

    masks = [mask | all_true for mask in found.masks]
    made = leaves(trial.call_raw(*found.masked(masks, way=way), training=False))
    going_on = [_mask_of(tensor) for tensor in made]
    arrays = [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in made]
    return arrays, [None if mask is None else np.asarray(keras.ops.convert_to_numpy(mask)) for mask in going_on]


@once_per_trial
def program(trial: Trial, found: Subject, way: str) -> Callable[[Arguments], Any]:
    """Return the layer compiled in inference, a function of arguments that hold masks in this way."""
    return compiled(trial, *found.masked(found.masks, way=way), training=False)


def outputs(trial: Trial, found: Subject, arguments: Arguments) -> list[Array]:
    """Call the layer in inference on arguments that hold masks in its first way, or none.

    JAX would compile each operation, and every loop at each call: there the whole layer is compiled, if it can be.
    """
    layer, template = found.masked(found.masks)
    takes_masks = arguments.tensors == template.tensors
    if trial.backend.NAME == "jax":
        try:
            run = program(trial, found, found.ways[0]) if takes_masks else _program_without_mask(trial, found)
            return leaves(run(arguments))
        except LayerError:  # LW406 mask-survives-compilation says so
            pass
    return leaves(trial.call(layer if takes_masks else found.layer, arguments, training=False))


@once_per_trial
def _program_without_mask(trial: Trial, found: Subject) -> Callable[[Arguments], Any]:
    return compiled(trial, found.layer, found.plain, training=False)


def derivatives(trial: Trial, found: Subject, arguments: Arguments, cotangents: list[Array]) -> Gradients | None:
    """Differentiate the layer in training on arguments that hold masks in its first way; None if it cannot be."""
    try:
        return _differentiated(trial, found)(arguments, cotangents)
    except LayerError:  # LW502 gradient-is-right speaks of layers that cannot be differentiated
        return None


@once_per_trial
def _differentiated(trial: Trial, found: Subject) -> Callable[..., Gradients]:
    return differentiated(trial, *found.masked(found.masks), training=True)


def _mask_of(tensor: Any) -> Any:
    """Return the mask that Keras keeps with a tensor: what it would hand to the next layer."""
    reader, seen = _reader()
    seen.clear()
    reader(tensor)
    return seen[0]


@cache
def _reader() -> tuple[Any, list[Any]]:
    import keras

    seen: list[Any] = []

    class Reader(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(autocast=False)

        def call(self, inputs: Any, mask: Any = None) -> Any:
            seen.append(mask)
            return inputs

    return Reader(), seen
