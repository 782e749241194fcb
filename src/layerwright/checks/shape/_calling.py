"""Calling a layer at sizes that nothing else calls it at."""

from typing import Any

from layerwright.checks.shape._shapes import specs_by_trace
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.slices import Call, calling
from layerwright.trial.trial import Trial


def calling_new(trial: Trial) -> Call:
    """Return a new layer for every call, as a function from arguments to its output arrays, in inference."""

    def call(arguments: Arguments) -> list[Array]:
        layer = trial.construct()
        if trial.backend.NAME == "jax" and traces(trial, layer, arguments):
            return calling(trial, layer, arguments, training=False, loops_only=False)(arguments)
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
