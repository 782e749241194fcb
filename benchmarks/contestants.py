"""What `layers.py` times one against another.

A contestant is a layer with call arguments, or a function of raw weights and inputs. All of a row compute the same,
from the same weights; Keras's attention has weights of its own. "as safe" is the plainest Keras layer that keeps the
promises ours makes, such as not to read what a mask leaves out; it is a layer, because a call of one costs time too.
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
    """One way to compute a row: a layer, or a function `f(weights, inputs, **call)` with its weights.

    Attributes:
        layer: The layer.
        function: The function.
        weights: Its weights.
        call: Further call arguments.
        comparable: Whether it has ours' weights, so that outputs must be equal.
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
        name: The layer.
        inputs: What it is fed.
        contestants: Ours first, by name; names that start with "naive" are no peers.
        moved: Bytes that must at least be read and written.
        operations: Floating-point operations that must at least be done in a matrix product.
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
    """Return the layer, called once."""
    layer(inputs, **call)
    return layer


def weights_of(layer: Any) -> list[Array]:
    """Return the values of the layer's weights."""
    return [ops.convert_to_numpy(weight.value) for weight in layer.weights]


def with_weights(layer: Any, inputs: Array, weights: Sequence[Array]) -> Any:
    """Return the layer, called once, with these weights."""
    built(layer, inputs).set_weights(list(weights))
    return layer


def alone_and_in_a_layer(function: Callable[..., Any], layer: Any, inputs: Array) -> dict[str, Contestant]:
    """Return native code that promises what ours does; alone, and in a layer with the weights of `layer`."""
    weights = weights_of(layer)
    return {
        "native": Contestant(function=function, weights=weights),
        SAFE: Contestant(built(Formula(function, weights), inputs)),
    }


class Formula(keras.layers.Layer):
    """The plainest Keras layer around a function of weights and inputs."""

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
        """Return what the function does."""
        return self.function(self.used, inputs, **call)
