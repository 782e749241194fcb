"""Call a masked layer eagerly or compiled, and compute its gradients. A trial keeps the results and compiled layers."""

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

OutputsAndMasks = tuple[list[Array], list[Array | None]]
"""Output arrays, and the mask that each of them carries; None where it carries none."""


@once_per_trial
def outputs_and_masks(trial: Trial, found: Subject, way: str, *, all_true: bool = False) -> OutputsAndMasks:
    """Call the layer eagerly in inference mode on its usual inputs, with the usual masks or with all-True masks."""
    import keras

    masks = [mask | all_true for mask in found.masks]
    tensors = leaves(trial.call_raw(*found.masked(masks, way=way), training=False))
    carried = [_mask_carried_by(tensor) for tensor in tensors]
    arrays = [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in tensors]
    return arrays, [None if mask is None else np.asarray(keras.ops.convert_to_numpy(mask)) for mask in carried]


@once_per_trial
def compiled_layer(trial: Trial, found: Subject, way: str) -> Callable[[Arguments], Any]:
    """Return the layer compiled in inference mode: a function of arguments that pass masks in this way."""
    return compiled(trial, *found.masked(found.masks, way=way), training=False)


def inference_outputs(trial: Trial, found: Subject, arguments: Arguments) -> list[Array]:
    """Call the layer in inference mode on arguments that pass masks in its first way, or on arguments without masks.

    On JAX an eager call compiles each operation by itself, and each loop again at every call. There the whole layer is
    compiled instead, if it can be.
    """
    layer, template = found.masked(found.masks)
    takes_masks = arguments.tensors == template.tensors
    if trial.backend.NAME == "jax":
        # LW406 mask-survives-compilation reports a layer that cannot be compiled.
        try:
            run = compiled_layer(trial, found, found.ways[0]) if takes_masks else _compiled_without_mask(trial, found)
            return leaves(run(arguments))
        except LayerError:
            pass
    return leaves(trial.call(layer if takes_masks else found.layer, arguments, training=False))


@once_per_trial
def _compiled_without_mask(trial: Trial, found: Subject) -> Callable[[Arguments], Any]:
    return compiled(trial, found.layer, found.plain, training=False)


def training_gradients(trial: Trial, found: Subject, arguments: Arguments, cotangents: list[Array]) -> Gradients | None:
    """Return the layer's gradients in training mode, on arguments that pass masks in its first way.

    None if the layer cannot be differentiated, which LW502 gradient-is-right reports.
    """
    try:
        return _gradient_function(trial, found)(arguments, cotangents)
    except LayerError:
        return None


@once_per_trial
def _gradient_function(trial: Trial, found: Subject) -> Callable[..., Gradients]:
    return differentiated(trial, *found.masked(found.masks), training=True)


def _mask_carried_by(tensor: Any) -> Any:
    """Return the mask that Keras stores with a tensor: the one that it would pass to the next layer."""
    reader = _mask_reader()()
    reader(tensor)
    return reader.seen


@cache
def _mask_reader() -> Any:
    """Return a class of layers that record the mask they are called with, as `seen`."""
    import keras

    class Reader(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(autocast=False)

        def call(self, inputs: Any, mask: Any = None) -> Any:
            object.__setattr__(self, "seen", mask)
            return inputs

    return Reader
