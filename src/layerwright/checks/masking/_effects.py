"""Everything that a call with a mask computes: outputs, updated state and gradients."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerwright.checks.masking._calls import inference_outputs, training_gradients
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import leaves
from layerwright.trial.gradients import cotangents_for, pure, tensors_of
from layerwright.trial.masks import Subject, expanded
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, blaming, once_per_trial

Effects = dict[str, Array]
"""The results of a call, each under a name that messages use, such as `the output`."""


def effects(
    trial: Trial, found: Subject, masks: Sequence[Array], *, plain: Arguments, unmasked: Sequence[Array]
) -> Effects:
    """Call the layer with these masks and compute its gradients.

    Args:
        trial: The trial.
        found: The layer.
        masks: One for each slot.
        plain: The other arguments of the call.
        unmasked: Which entries of each output are returned, and contribute to the gradients.

    Returns:
        The outputs in inference mode; the gradients in training mode, with respect to weights and to unmasked inputs;
        for a layer with floating-point state also the outputs in training mode and the updated state. The layer
        itself is left as it was.
    """
    layer, arguments = found.masked(masks, plain=plain)
    outputs = inference_outputs(trial, found, arguments)
    return {
        **_unmasked_outputs(outputs, unmasked),
        **_outputs_and_state_in_training(trial, found, layer, arguments, unmasked),
        **_gradients(trial, found, masks, arguments, list(zip(outputs, unmasked, strict=True))),
    }


def gradient_name(name: str) -> str:
    """Return how messages call the gradient with respect to an input or a weight."""
    return f"the gradient with respect to {name}"


@once_per_trial
def variable_names(trial: Trial, found: Subject) -> dict[str, str]:  # noqa: ARG001 - the trial keeps the result
    """Return how messages call each variable of the layer, by its Keras path."""
    return {variable.path: attribute_path(found.layer, variable) for variable in found.layer.variables}


def _unmasked_outputs(arrays: Sequence[Array], unmasked: Sequence[Array], mode: str = "") -> Effects:
    names = [f"output {place}{mode}" for place in range(len(arrays))] if len(arrays) > 1 else [f"the output{mode}"]
    return {name: array[entries] for name, array, entries in zip(names, arrays, unmasked, strict=True)}


def _outputs_and_state_in_training(
    trial: Trial, found: Subject, layer: Any, arguments: Arguments, unmasked: Sequence[Array]
) -> Effects:
    import keras

    if not any("float" in str(variable.dtype) for variable in layer.non_trainable_variables):
        return {}
    keras.utils.set_random_seed(trial.seed)
    with blaming(f"calling the layer on {describe(arguments)} with training=True"), trial.backend.inference():
        outputs, state = pure(layer, arguments, training=True)(*tensors_of(layer, arguments))
    arrays = [np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in leaves(outputs)]
    names = variable_names(trial, found)
    updated = {
        f"the updated {names[variable.path]}": np.asarray(keras.ops.convert_to_numpy(value))
        for variable, value in zip(layer.non_trainable_variables, state, strict=True)
    }
    return {**_unmasked_outputs(arrays, unmasked, " in training mode"), **updated}


def _gradients(
    trial: Trial,
    found: Subject,
    masks: Sequence[Array],
    arguments: Arguments,
    outputs: Sequence[tuple[Array, Array]],
) -> Effects:
    floats = [(array, entries) for array, entries in outputs if array.dtype.kind == "f"]
    drawn = cotangents_for(trial, [array for array, _ in floats])
    cotangents = [cotangent * entries for cotangent, (_, entries) in zip(drawn, floats, strict=True)]
    gradients = training_gradients(trial, found, arguments, cotangents)
    if gradients is None:
        return {}
    covers = {slot.place: (mask, slot.axes) for slot, mask in zip(found.slots, masks, strict=True)}
    by_input: Effects = {}
    for place, (name, _) in enumerate(found.plain.named_arrays()):
        gradient = gradients.inputs[place]
        if gradient is not None:
            entries = expanded(*covers[place], gradient.shape) if place in covers else ...
            by_input[gradient_name(name)] = gradient[entries]
    names = variable_names(trial, found)
    by_weight = {gradient_name(names[path]): value for path, value in gradients.weights.items() if value is not None}
    return by_input | by_weight
