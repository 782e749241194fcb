"""Train a layer with `fit`, on random targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import bitwise_equal, leaves
from layerwright.trial.gradients import cotangents_for, gradients
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, blaming, randomise, restore, snapshot

LEARNING_RATE = 0.1
LEAST_STEP = 1e-5
"""The smallest expected change of a weight, relative to its largest value, that counts as missing."""


@dataclass(frozen=True)
class Fitted:
    """The result of `fit`: the mean loss, and the paths of weights that should have changed but did not."""

    loss: float
    unchanged: Sequence[str]


def fit(trial: Trial, batches: Sequence[int], *, jit: bool) -> Fitted | None:
    """Train a layer, built on the usual batch, on batches of these sizes. The first size is the largest.

    Return None if the layer has neither weights nor metrics, or no floating-point output with one row for each sample.

    Raises:
        LayerError: If the layer raises.
    """
    import keras

    layer, samples = trial.built(), _samples_for(trial, batches)
    outputs = _float_leaves(trial.call(layer, trial.usual))
    targets = cotangents_for(trial, [np.empty((samples.batch, *output.shape[1:])) for output in outputs])
    if (
        not [*layer.weights, *layer.metrics_variables]
        or not targets
        or any(len(output) != trial.batch for output in outputs)
    ):
        return None
    randomise(layer)
    before = snapshot(layer.trainable_variables)
    model = _model_with_linear_loss(trial, layer)
    model.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE), jit_compile=jit)
    with blaming(f"fit() with jit_compile={jit} on {describe(samples)} in batches of {batches[0]}"):
        history = model.fit(samples.arrays(), targets, batch_size=batches[0], shuffle=False, verbose=0).history
    unchanged = [weight for weight, value in before if _has_value(weight, value) and weight.constraint is None]
    restore(before)
    if unchanged:
        unchanged = _with_nonzero_gradient(trial, layer, unchanged, samples, targets)
    return Fitted(float(history["loss"][-1]), [attribute_path(layer, weight) for weight in unchanged])


def changed_while_frozen(trial: Trial) -> list[str]:
    """Return the paths of weights that a call with `training=True` changes in a layer with `trainable=False`."""
    layer = trial.built()
    randomise(layer)
    before = snapshot(layer.trainable_variables)
    layer.trainable = False
    trial.call(layer, trial.usual, training=True, keep_state=True)
    return [attribute_path(layer, weight) for weight, value in before if not _has_value(weight, value)]


def _has_value(variable: Any, value: Array) -> bool:
    return bitwise_equal(value, snapshot([variable])[0][1])


def _samples_for(trial: Trial, batches: Sequence[int]) -> Arguments:
    """Draw the samples of all batches, as one large batch."""
    drawn = [trial.arguments(seed=seed).rows(slice(size)).arrays() for seed, size in enumerate(batches)]
    return trial.usual.replace_arrays([np.concatenate(arrays) for arrays in zip(*drawn, strict=True)])


def _model_with_linear_loss(trial: Trial, layer: Any) -> Any:
    """Return a model whose loss is the mean of each output times its target, plus the layer's own losses.

    Each output is multiplied by a weight of the model's own, so that there is something to train in any case.
    """
    import keras

    class Trainee(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer
            self.gain = self.add_weight(shape=(), initializer="ones", dtype="float32", name="gain")

        def call(self, tensors: Any, training: bool = False) -> list[Any]:
            given = trial.usual.replace_arrays(tensors)
            return _float_leaves(self.layer(given.inputs, **{**given.call, "training": training}))

        def compute_loss(self, x: Any, y: Any, y_pred: Any, *_: Any, **__: Any) -> Any:  # noqa: ARG002
            products = [
                self.gain * keras.ops.mean(keras.ops.cast(output, "float32") * target)
                for output, target in zip(y_pred, y, strict=True)
            ]
            return sum(self.losses, sum(products))

    return Trainee()


def _float_leaves(outputs: Any) -> list[Any]:
    import keras

    return [leaf for leaf in leaves(outputs) if "float" in keras.backend.standardize_dtype(leaf.dtype)]


def _with_nonzero_gradient(
    trial: Trial, layer: Any, weights: Sequence[Any], samples: Arguments, targets: Sequence[Array]
) -> list[Any]:
    """Return those weights that a step along the gradient would have changed."""
    means = [target / target.size for target in targets]
    found = gradients(trial, layer, samples, training=True, cotangents=means).weights
    return [
        weight
        for weight, value in snapshot(weights)
        if (gradient := found[weight.path]) is not None
        and LEARNING_RATE * np.abs(gradient).max(initial=0.0) > LEAST_STEP * max(1.0, np.abs(value).max(initial=0.0))
    ]
