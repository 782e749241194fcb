"""Calling a layer at sizes that nothing else calls it at."""

from collections.abc import Callable
from typing import Any

import numpy as np

from layerwright.checks.shape._shapes import specs_by_trace
from layerwright.trial import Arguments, Array, Trial, leaves

Call = Callable[[Arguments], list[Array]]


def calling(trial: Trial, layer: Any, like: Arguments) -> Call:
    """Return a layer as a function from arguments, in the structure of `like`, to its output arrays, in inference.

    On JAX it is compiled as a whole where it can be: eagerly, JAX compiles every operation anew for every size.
    """
    import keras

    def eager(arguments: Arguments) -> list[Array]:
        return leaves(trial.call(layer, arguments, training=False))

    if trial.backend.NAME != "jax":
        return eager
    flat = trial.function(layer, like, training=False)

    def pure(*tensors: Any) -> list[Any]:
        with keras.StatelessScope():
            return leaves(flat(*tensors))

    compiled = trial.backend.jit(pure)

    def call(arguments: Arguments) -> list[Array]:
        try:
            outputs = compiled(*map(keras.ops.convert_to_tensor, arguments.arrays()))
        except Exception:  # a layer may raise anything under a trace; eagerly it works, or says clearly why not
            return eager(arguments)
        return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]

    return call


def calling_new(trial: Trial) -> Call:
    """Return a new layer for every call, as a function from arguments to its output arrays, in inference."""

    def call(arguments: Arguments) -> list[Array]:
        layer = trial.construct()
        if trial.backend.NAME == "jax" and traces(trial, layer, arguments):
            return calling(trial, layer, arguments)(arguments)
        return leaves(trial.call(trial.construct(), arguments, training=False))

    return call


def traces(trial: Trial, layer: Any, arguments: Arguments) -> bool:
    """Whether the layer, built symbolically if it is not built yet, can be traced for these arguments."""
    import keras

    symbols = arguments.map(lambda array: keras.KerasTensor(array.shape, dtype=str(array.dtype)))
    try:
        if not layer.built:
            layer(symbols.inputs, **symbols.call)
        specs_by_trace(trial, layer, arguments)
    except Exception:  # that is the question
        return False
    return True
