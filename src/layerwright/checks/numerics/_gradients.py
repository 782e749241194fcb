"""Gradients of the layer from `lively`: of its outputs, of its outputs with masks, and of the losses that it adds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.gradients import Gradients, differentiated, gradients, pure, tensors_of
from layerwright.trial.masks import Subject, any_subject
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, blaming, once_per_trial, restore, snapshot, takes_argument

NOT_KERAS_VARIABLES = (
    "the layer does not read its weights through Keras variables (a wrapped torch module, for example), so their "
    "gradients cannot be computed"
)
Differentiate = Callable[[Arguments, Sequence[Array] | None], Gradients]
ByPath = Mapping[str, Array | None]


@once_per_trial
def differentiator(trial: Trial, training: bool) -> Differentiate:
    """Return a function that takes arguments and cotangents and returns the gradients of the layer from `lively`."""
    return differentiated(trial, lively(trial), trial.usual, training=training)


def training_modes(trial: Trial) -> tuple[bool, ...]:
    """Return the values of `training` to try: both if the layer or a sublayer takes the argument, otherwise False."""
    parts = lively(trial)._flatten_layers()
    return (False, True) if any(takes_argument(part, "training") for part in parts) else (False,)


def weight_gradients(trial: Trial) -> Iterator[ByPath]:
    """Yield gradients with respect to weights, the most promising attempts first.

    First for several random inputs in inference and training mode, then with masks, then of the losses that the layer
    adds.
    """
    draws = (trial.usual, trial.arguments(seed=1), trial.arguments(seed=2, scale=10.0))
    for arguments in draws:
        for training in training_modes(trial):
            yield differentiator(trial, training)(arguments, None).weights
    found = any_subject(trial)
    if isinstance(found, Subject) and found.sees_mask:
        yield gradients(trial, *found.masked(found.masks)).weights
    for training in training_modes(trial):
        yield _added_loss_gradients(trial, trial.usual, training)


def bypasses_keras_variables(trial: Trial) -> bool:
    """Whether outputs change with weights that are assigned, but not with values substituted in a `StatelessScope`.

    Gradients are computed with substituted values. They say nothing about such a layer.
    """
    import keras

    layer = lively(trial)
    weights = [weight for weight in layer.trainable_variables if "float" in str(weight.dtype)]
    before, initial = trial.call(layer, trial.usual, training=False), snapshot(weights)
    for weight, value in initial:
        weight.assign(value + 1)
    assigned = trial.call(layer, trial.usual, training=False)
    # Without a copy, torch tensors would share memory with the weights, which are restored next.
    tensors = [keras.ops.copy(tensor) for tensor in tensors_of(layer, trial.usual)]
    restore(initial)
    with blaming("calling the layer with other weights"), trial.backend.inference():
        outputs, _ = pure(layer, trial.usual, training=False)(*tensors)
    replaced = [np.asarray(keras.ops.convert_to_numpy(output)) for output in leaves(outputs)]
    return largest_difference(before, assigned) > 0 and largest_difference(before, replaced) == 0


def _added_loss_gradients(trial: Trial, arguments: Arguments, training: bool) -> ByPath:
    """Compute the gradients of the sum of the losses that the layer passes to `add_loss`.

    Losses of regularizers are left out, because they give a gradient to unused weights too.
    """
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
    with blaming("differentiating the losses that the layer adds"):
        found = trial.backend.gradient(scalar, tensors[: len(weights)])
    arrays = [None if each is None else np.asarray(keras.ops.convert_to_numpy(each)) for each in found]
    return {weight.path: array for weight, array in zip(weights, arrays, strict=True)}
