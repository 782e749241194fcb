"""The implementations that `layers.py` compares.

A contestant is a layer with call arguments, or a function of raw weights and inputs. All contestants of a row compute
the same result from the same weights, except Keras's attention, whose weights have another layout. "as safe" is the
simplest Keras layer with the same guarantees as ours, such as never to read masked steps. It is a layer, since the call
of a layer takes time too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
SAFE = "as safe"


@dataclass(frozen=True)
class Contestant:
    """One implementation of a row: a layer, or a function `f(weights, inputs, **call)` with its weights.

    Attributes:
        layer: The layer.
        function: The function.
        weights: Its weights.
        call: Further call arguments.
        comparable: Whether it has the same weights as our layer, so the outputs must be equal.
    """

    layer: Any = None
    function: Callable[..., Any] | None = None
    weights: Sequence[Array] = ()
    call: Mapping[str, Array] = field(default_factory=dict)
    comparable: bool = True


@dataclass(frozen=True)
class Row:
    """One layer at one size.

    Attributes:
        name: The name of the layer.
        inputs: The inputs of the layer.
        contestants: The contestants by name, ours first. Names that start with "naive" are not counted as peers.
        moved: The smallest number of bytes that must be read and written.
        operations: The smallest number of floating-point operations in matrix products.
    """

    name: str
    inputs: Array
    contestants: dict[str, Contestant]
    moved: int
    operations: int = 0


def series(shape: Shape) -> Array:
    """Return normally distributed inputs."""
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def built(layer: Any, inputs: Array, **call: Any) -> Any:
    """Return the layer after one call, which builds it."""
    layer(inputs, **call)
    return layer


def weights_of(layer: Any) -> list[Array]:
    """Return the values of the layer's weights."""
    return [ops.convert_to_numpy(weight.value) for weight in layer.weights]


def with_weights(layer: Any, inputs: Array, weights: Sequence[Array]) -> Any:
    """Return the layer, built and with these weights."""
    built(layer, inputs).set_weights(list(weights))
    return layer


def alone_and_in_a_layer(function: Callable[..., Any], layer: Any, inputs: Array) -> dict[str, Contestant]:
    """Return native code with the same guarantees as ours: alone, and in a layer with the weights of `layer`."""
    weights = weights_of(layer)
    return {
        "native": Contestant(function=function, weights=weights),
        SAFE: Contestant(built(Formula(function, weights), inputs)),
    }


class Formula(keras.layers.Layer):
    """The simplest Keras layer that calls a function of weights and inputs."""

    def __init__(
        self, function: Callable[..., Any], weights: Sequence[Array] = (), trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(trainable=trainable, **kwargs)
        self.function = function
        self.used = [
            self.add_weight(each.shape, "zeros", each.dtype.name, trainable=trainable, autocast=False)
            for each in weights
        ]
        self.set_weights(list(weights))

    def call(self, inputs: Any, **call: Any) -> Any:
        """Return the result of the function."""
        return self.function(self.used, inputs, **call)
