"""Gradients of the lively layer: of its outputs, with masks, and of the losses that it adds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.gradients import Gradients, differentiated, gradients, pure, tensors_of
from layerwright.trial.masks import Subject, any_subject
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, blaming, once_per_trial, restore, snapshot, takes_argument

PAST_KERAS = "the layer reads weights past Keras's variables, as a wrapped torch module does"
Differentiate = Callable[[Arguments, Sequence[Array] | None], Gradients]
ByPath = Mapping[str, Array | None]


@once_per_trial
def differentiator(trial: Trial, training: bool) -> Differentiate:
    """Return the function from arguments and cotangents to the lively layer's gradients."""
    return differentiated(trial, lively(trial), trial.usual, training=training)


def modes(trial: Trial) -> tuple[bool, ...]:
    """Return the values of `training` to try: both only where the layer or a part of it takes the argument."""
    parts = lively(trial)._flatten_layers()
    return (False, True) if any(takes_argument(part, "training") for part in parts) else (False,)


def weight_gradients(trial: Trial) -> Iterator[ByPath]:
    """Yield gradients by weights, from the likeliest to be of use to the last resort.

    Several draws, in inference and in training, then with masks, then of the losses that the layer adds.
    """
    draws = (trial.usual, trial.arguments(seed=1), trial.arguments(seed=2, scale=10.0))
    for arguments in draws:
        for training in modes(trial):
            yield differentiator(trial, training)(arguments, None).weights
    found = any_subject(trial)
    if isinstance(found, Subject) and found.sees_mask:
        yield gradients(trial, *found.masked(found.masks)).weights
    for training in modes(trial):
        yield _of_losses(trial, trial.usual, training)


def reads_past_keras(trial: Trial) -> bool:
    """Whether outputs follow weights that are assigned, but not values that stand in for them: no gradient can tell."""
    import keras

    layer = lively(trial)
    weights = [weight for weight in layer.trainable_variables if "float" in str(weight.dtype)]
    before, initial = trial.call(layer, trial.usual, training=False), snapshot(weights)
    for weight, value in initial:
        weight.assign(value + 1)
    assigned = trial.call(layer, trial.usual, training=False)
    tensors = [keras.ops.copy(tensor) for tensor in tensors_of(layer, trial.usual)]  # torch shares memory
    restore(initial)
    with blaming("calling it with other weights"), trial.backend.inference():
        outputs, _ = pure(layer, trial.usual, training=False)(*tensors)
    replaced = [np.asarray(keras.ops.convert_to_numpy(output)) for output in leaves(outputs)]
    return largest_difference(before, assigned) > 0 and largest_difference(before, replaced) == 0


def _of_losses(trial: Trial, arguments: Arguments, training: bool) -> ByPath:
    """Differentiate the sum of what the layer passes to `add_loss`; regularizers, which move unused weights, not."""
    import keras

    layer = lively(trial)
    tensors = tensors_of(layer, arguments)
    weights = layer.trainable_variables
    given = arguments.replace_arrays(tensors[len(layer.variables) :])
    state = list(zip(layer.non_trainable_variables, tensors[len(weights) :], strict=False))

    def scalar(*values: Any) -> Any:
        mapping = [*zip(weights, values, strict=True), *state]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            layer(given.inputs, **{**given.call, "training": training})
        return sum((keras.ops.sum(loss) for loss in scope.losses), keras.ops.zeros((), "float32"))

    keras.utils.set_random_seed(trial.seed)
    with blaming("differentiating the losses that it adds"):
        found = trial.backend.gradient(scalar, tensors[: len(weights)])
    arrays = [None if each is None else np.asarray(keras.ops.convert_to_numpy(each)) for each in found]
    return {weight.path: array for weight, array in zip(weights, arrays, strict=True)}
