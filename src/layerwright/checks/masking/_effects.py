"""All that a call with a mask does: its outputs, the state it leaves, the gradients through it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerwright.checks.masking._calls import derivatives, outputs
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import leaves
from layerwright.trial.gradients import cotangents_for, pure, tensors_of
from layerwright.trial.masks import Subject, expanded
from layerwright.trial.trial import Trial, blaming

Effects = dict[str, Array]
"""What a call did, in words, and the numbers."""


def effects(
    trial: Trial, found: Subject, masks: Sequence[Array], *, plain: Arguments, counts: Sequence[Array]
) -> Effects:
    """Call and differentiate the layer with these masks.

    Args:
        trial: The trial.
        found: The layer.
        masks: One for each slot.
        plain: What to call it with besides.
        counts: Which entries of each output are returned, and which the gradients are of.

    Returns:
        Outputs in inference; gradients in training, by inputs where `masks` leave them and by weights; of a layer with
        a state of numbers, outputs in training and the state afterwards. Nothing of it stays with the layer.
    """
    layer, arguments = found.masked(masks, plain=plain)
    made = outputs(trial, found, arguments)
    return {
        **_counted("the output", made, counts),
        **_in_training(trial, layer, arguments, counts),
        **_gradients(trial, found, masks, arguments, list(zip(made, counts, strict=True))),
    }


def _counted(word: str, arrays: Sequence[Array], counts: Sequence[Array]) -> Effects:
    pairs = enumerate(zip(arrays, counts, strict=True))
    return {f"{word} {place}" if len(arrays) > 1 else word: array[own] for place, (array, own) in pairs}


def _in_training(trial: Trial, layer: Any, arguments: Arguments, counts: Sequence[Array]) -> Effects:
    import keras

    if not any("float" in str(variable.dtype) for variable in layer.non_trainable_variables):
        return {}
    keras.utils.set_random_seed(trial.seed)
    with blaming(f"calling it on {describe(arguments)}, training=True,"), trial.backend.inference():
        made, state = pure(layer, arguments, training=True)(*tensors_of(layer, arguments))
    arrays = [np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in leaves(made)]
    states = {
        f"the new {variable.path}": np.asarray(keras.ops.convert_to_numpy(value))
        for variable, value in zip(layer.non_trainable_variables, state, strict=True)
    }
    return {**_counted("the output in training", arrays, counts), **states}


def _gradients(
    trial: Trial,
    found: Subject,
    masks: Sequence[Array],
    arguments: Arguments,
    made: Sequence[tuple[Array, Array]],
) -> Effects:
    floats = [(array, own) for array, own in made if array.dtype.kind == "f"]
    drawn = cotangents_for(trial, [array for array, _ in floats])
    cotangents = [cotangent * own for cotangent, (_, own) in zip(drawn, floats, strict=True)]
    gradients = derivatives(trial, found, arguments, cotangents)
    if gradients is None:
        return {}
    covers = {slot.place: (mask, slot.axes) for slot, mask in zip(found.slots, masks, strict=True)}
    by_name: Effects = {}
    for place, (name, _) in enumerate(found.plain.named_arrays()):
        gradient = gradients.inputs[place]
        if gradient is not None:
            here = expanded(*covers[place], gradient.shape) if place in covers else ...
            by_name[f"the gradient by {name}"] = gradient[here]
    by_weight = {f"the gradient by {path}": value for path, value in gradients.weights.items() if value is not None}
    return by_name | by_weight
