"""What a layer computes on one backend, as NumPy arrays, so that backends can be compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Array
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.reachable import reachable
from layerwright.trial.trial import Trial, randomise, restore, snapshot

OTHER_SEEDS = (1, 2, 3)
"""Added to the seed, to see whether outputs depend on it. A layer may draw only sometimes."""

Weights = tuple[tuple[str, Array], ...]
"""The path of each weight, without the layer's own name, and its value."""


@dataclass(frozen=True)
class Observation:
    """What a layer computes on one backend with given weights.

    Attributes:
        arguments: The arguments that it was called with.
        weights: Its weights. All backends use those of the first.
        outputs: The outputs in inference mode; None if they are random.
        training: The outputs with `training=True`; None if they are random.
        gradients: The gradients with respect to weights and inputs, for the same cotangents on all backends; None if
            they are not compared.
        losses: The losses that the layer adds.
    """

    arguments: tuple[Array, ...]
    weights: Weights
    outputs: tuple[Array, ...] | None
    training: tuple[Array, ...] | None
    gradients: tuple[tuple[str, Array | None], ...] | None
    losses: tuple[float, ...]


def weights_of(layer: Any) -> Weights:
    """Return the weights of a built layer. The state of seed generators is not a weight."""
    import keras

    return tuple(
        (weight.path.partition("/")[2] or weight.path, np.array(keras.ops.convert_to_numpy(weight.value)))
        for weight in layer.weights
    )


def layer_with(trial: Trial, weights: Weights | None) -> Any:
    """Return a built layer with these weights, or, if they are None, with weights moved off their initial values.

    Raises:
        LayerError: If the layer's weights have other paths or shapes on this backend.
    """
    layer = trial.built()
    if weights is None:
        randomise(layer)
        return layer
    here = weights_of(layer)
    ours, theirs = ([f"{path} {value.shape}" for path, value in each] for each in (here, weights))
    if ours != theirs:
        other = sorted(set(ours) ^ set(theirs)) or ours
        error = ValueError(f"these weights do not exist on both backends: {', '.join(other[:4])}")
        raise LayerError("copying the weights from another backend", error)
    for weight, (_, value) in zip(layer.weights, weights, strict=True):
        weight.assign(value)
    return layer


def outputs_unless_random(trial: Trial, layer: Any, *, training: bool) -> tuple[Array, ...] | None:
    """Return the layer's outputs; None if they depend on seeds, because each backend draws other random numbers."""
    outputs = trial.call(layer, trial.usual, training=training)
    reseeded = (_outputs_with_seed(trial, layer, trial.seed + shift, training=training) for shift in OTHER_SEEDS)
    return _arrays_sorted_by_path(outputs) if all(bitwise_equal(outputs, each) for each in reseeded) else None


def _outputs_with_seed(trial: Trial, layer: Any, seed: int, *, training: bool) -> Any:
    """Call the layer with another global seed, and with other states of its own seed generators."""
    import keras

    states = [each.state for _, each in reachable(layer, lambda value: isinstance(value, keras.random.SeedGenerator))]
    before = snapshot(states)
    for state, value in before:
        state.assign(value + np.asarray(seed + 1, value.dtype))
    outputs = Trial(trial.case, seed).call(layer, trial.usual, training=training)
    restore(before)
    return outputs


def _arrays_sorted_by_path(outputs: Any) -> tuple[Array, ...]:
    """Return the arrays of an output structure, in the same order on all backends. That of `keras.tree` differs."""
    import keras

    placed = sorted(keras.tree.flatten_with_path(outputs), key=lambda item: str(item[0]))
    return tuple(leaf for _, leaf in placed if leaf is not None)
