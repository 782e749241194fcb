"""The losses of a layer, and regularisers that remember what they were asked about."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Array
from layerwright.trial.trial import Trial

SUFFIX = "_regularizer"


def regularised(trial: Trial) -> tuple[Any, Mapping[str, Any]]:
    """Return an unbuilt layer with a `recorder` for each regulariser that its constructor names, and these by name.

    The layer is as the case has it if its constructor names none, or refuses them.
    """
    recorders = {name: recorder(trial) for name in _regularisers(trial)}
    try:
        return trial.construct(**recorders), recorders
    except LayerError:
        return trial.construct(), {}


def plain(trial: Trial) -> Any:
    """Return an unbuilt layer without the regularisers that its constructor names."""
    return trial.construct(**dict.fromkeys(_regularisers(trial)))


def recorder(trial: Trial) -> Any:
    """Return a squared regulariser that keeps, in `seen`, each array that it was asked about."""
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
    """Return what a `recorder` adds for a tensor."""
    import keras

    return 0.01 * keras.ops.sum(keras.ops.square(x))


def loss_values(layer: Any) -> list[float]:
    """Return the losses of the layer's last call."""
    import keras

    return [float(np.asarray(keras.ops.convert_to_numpy(loss)).sum()) for loss in layer.losses]


def weight_losses(layer: Any) -> float:
    """Return the losses that come from the regularisers of the layer's weights, whatever it is called on."""
    import keras

    found = [weight.regularizer(weight) for weight in layer.trainable_weights if weight.regularizer is not None]
    return float(sum(np.asarray(keras.ops.convert_to_numpy(loss)).sum() for loss in found))


def once(arrays: Sequence[Array], outputs: Sequence[Array]) -> list[Array]:
    """Leave out arrays that come again, unless outputs do: a state may well be returned beside the output it equals."""
    left: list[Array] = []
    for array in arrays:
        if _count(array, left) < max(1, _count(array, outputs)):
            left.append(array)
    return left


def _count(array: Array, among: Sequence[Array]) -> int:
    return sum(array.shape == other.shape and np.array_equal(array, other) for other in among)


def _regularisers(trial: Trial) -> list[str]:
    try:
        parameters = inspect.signature(trial.case.layer).parameters
    except (TypeError, ValueError):
        return []
    return [name for name in parameters if name.endswith(SUFFIX)]
