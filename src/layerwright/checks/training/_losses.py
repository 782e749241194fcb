"""The losses of a layer, and regularizers that record the tensors that they receive."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Array
from layerwright.trial.trial import Trial

SUFFIX = "_regularizer"


def construct_with_recorders(trial: Trial) -> tuple[Any, Mapping[str, Any]]:
    """Return an unbuilt layer with a `recorder` for each regularizer argument, and the recorders by argument name.

    If the constructor has no regularizer argument or rejects the recorders, the layer is constructed as in the case.
    """
    recorders = {name: recorder(trial) for name in _regularizer_arguments(trial)}
    try:
        return trial.construct(**recorders), recorders
    except LayerError:
        return trial.construct(), {}


def construct_without_regularizers(trial: Trial) -> Any:
    """Return an unbuilt layer whose regularizer arguments are None."""
    return trial.construct(**dict.fromkeys(_regularizer_arguments(trial)))


def recorder(trial: Trial) -> Any:
    """Return an L2 regularizer that records each array that it receives in `seen`."""
    import keras

    class Recorder(keras.regularizers.Regularizer):
        def __init__(self) -> None:
            self.seen: list[Array] = []

        def __call__(self, x: Any) -> Any:
            if not isinstance(x, keras.KerasTensor) and not trial.backend.is_symbolic(x):
                self.seen.append(np.asarray(keras.ops.convert_to_numpy(x), "float64"))
            return penalty(x)

        def get_config(self) -> dict[str, Any]:
            return {}

    return Recorder()


def penalty(x: Any) -> Any:
    """Return the loss that a `recorder` adds for a tensor."""
    import keras

    return 0.01 * keras.ops.sum(keras.ops.square(x))


def loss_values(layer: Any) -> list[float]:
    """Return the losses of the layer's last call."""
    import keras

    return [float(np.asarray(keras.ops.convert_to_numpy(loss)).sum()) for loss in layer.losses]


def weight_losses(layer: Any) -> float:
    """Return the sum of the losses from weight regularizers, which do not depend on the inputs."""
    import keras

    found = [weight.regularizer(weight) for weight in layer.trainable_weights if weight.regularizer is not None]
    return float(sum(np.asarray(keras.ops.convert_to_numpy(loss)).sum() for loss in found))


def without_repeats(arrays: Sequence[Array], outputs: Sequence[Array]) -> list[Array]:
    """Remove repeated arrays, except those that the layer outputs as often: a state may equal the output beside it."""
    kept: list[Array] = []
    for array in arrays:
        if _occurrences(array, kept) < max(1, _occurrences(array, outputs)):
            kept.append(array)
    return kept


def _occurrences(array: Array, among: Sequence[Array]) -> int:
    return sum(array.shape == other.shape and np.array_equal(array, other) for other in among)


def _regularizer_arguments(trial: Trial) -> list[str]:
    try:
        parameters = inspect.signature(trial.case.layer).parameters
    except (TypeError, ValueError):
        return []
    return [name for name in parameters if name.endswith(SUFFIX)]
