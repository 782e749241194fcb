"""Call a layer at sizes that no other check calls it at."""

from typing import Any

from layerwright.checks.shape._shapes import traced_output_specs
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.slices import Call, calling
from layerwright.trial.trial import Trial


def new_layer_caller(trial: Trial) -> Call:
    """Return a function from arguments to output arrays, in inference, that constructs a new layer for every call."""

    def call(arguments: Arguments) -> list[Array]:
        layer = trial.construct()
        if trial.backend.NAME == "jax" and is_traceable(trial, layer, arguments):
            return calling(trial, layer, arguments, training=False, loops_only=False)(arguments)
        return leaves(trial.call(trial.construct(), arguments, training=False))

    return call


def is_traceable(trial: Trial, layer: Any, arguments: Arguments) -> bool:
    """Whether the layer can be traced for these arguments. If it is not built yet, it is built symbolically first."""
    import keras

    symbols = arguments.map(lambda array: keras.KerasTensor(array.shape, dtype=str(array.dtype)))
    try:
        if not layer.built:
            layer(symbols.inputs, **symbols.call)
        traced_output_specs(trial, layer, arguments)
    # A layer may raise anything under a trace. Here it only means that the layer cannot be traced.
    except Exception:
        return False
    return True
