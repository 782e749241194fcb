"""What one backend computes with a layer, in NumPy, so that another can be held against it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Array
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, randomise, restore, snapshot

Weights = tuple[tuple[str, Array], ...]
"""The path of each weight without the layer's own name, and its value."""


@dataclass(frozen=True)
class Observation:
    """What a layer computes on one backend with given weights.

    Attributes:
        arguments: What it was called with.
        weights: Its weights; on every backend but the first those of the first.
        outputs: In inference; None where it draws random numbers there.
        training: The outputs with `training=True`; None where it draws random numbers.
        gradients: By the weights and the inputs, for the same cotangents everywhere; None where there are none.
        losses: What it adds to the loss.
    """

    arguments: tuple[Array, ...]
    weights: Weights
    outputs: tuple[Array, ...] | None
    training: tuple[Array, ...] | None
    gradients: tuple[tuple[str, Array | None], ...] | None
    losses: tuple[float, ...]


def weights_of(layer: Any) -> Weights:
    """Return the weights of a built layer; seeds are no weights."""
    import keras

    return tuple(
        (weight.path.partition("/")[2] or weight.path, np.array(keras.ops.convert_to_numpy(weight.value)))
        for weight in layer.weights
    )


def layer_with(trial: Trial, weights: Weights | None) -> Any:
    """Return a built layer with these weights, or with weights moved off their initial values.

    Raises:
        LayerError: If the layer has other weights here.
    """
    layer = trial.built()
    if weights is None:
        randomise(layer)
        return layer
    here = weights_of(layer)
    ours, theirs = ([f"{path} {value.shape}" for path, value in each] for each in (here, weights))
    if ours != theirs:
        other = sorted(set(ours) ^ set(theirs)) or ours
        error = ValueError(f"the layer has other weights here: {', '.join(other[:4])}")
        raise LayerError("taking over the weights of another backend", error)
    for weight, (_, value) in zip(layer.weights, weights, strict=True):
        weight.assign(value)
    return layer


def steady(trial: Trial, layer: Any, *, training: bool) -> tuple[Array, ...] | None:
    """Return the layer's outputs, or None if they depend on seeds, which no two backends share."""
    before = snapshot(layer.non_trainable_variables)
    first = trial.call(layer, trial.usual, training=training, keep_state=True)
    if trial.case.traits.random:
        second = Trial(trial.case, trial.seed + 1).call(layer, trial.usual, training=training)
        if not bitwise_equal(first, second):
            first = None
    restore(before)
    return None if first is None else _by_place(first)


def _by_place(outputs: Any) -> tuple[Array, ...]:
    """Return the arrays of an output structure in an order that all backends share: `keras.tree` has two for dicts."""
    import keras

    placed = sorted(keras.tree.flatten_with_path(outputs), key=lambda item: str(item[0]))
    return tuple(leaf for _, leaf in placed if leaf is not None)
