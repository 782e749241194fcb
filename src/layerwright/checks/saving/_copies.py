"""Find arrays in a layer that are copies of the values which its weights had when they were created."""

from typing import Any

import numpy as np

from layerwright.trial.paths import attribute_path
from layerwright.trial.reachable import reachable
from layerwright.trial.trial import Trial

MOST_VALUES = 1_000_000


def copy_fix(trial: Trial) -> str:
    """Return what to do if the layer holds a copy of a weight's values; empty if it holds none."""
    import keras

    layer = trial.built()
    weights = [
        (weight, np.unique(np.asarray(keras.ops.convert_to_numpy(weight.value), "float64")))
        for weight in layer.weights
        if "float" in str(weight.dtype)
    ]
    for path, held in reachable(layer, lambda value: _is_array(trial, value)):
        values = np.unique(np.asarray(keras.ops.convert_to_numpy(held), "float64"))
        for weight, known in weights:
            # Zeros and ones are in many weights.
            if values.size > 2 and np.isin(values, known).all():
                name = attribute_path(layer, weight)
                return (
                    f"`{path}` holds a copy of the value that `{name}` had when the copy was taken. Loading and "
                    f"training change the weight but not the copy. Read `{name}` in `call`: move the computation of "
                    f"`{path}` there."
                )
    return ""


def _is_array(trial: Trial, value: Any) -> bool:
    """Whether a value is an array or tensor of floats with a known, moderate size, and not a variable."""
    import keras

    if isinstance(value, keras.Variable) or trial.backend.is_native_variable(value):
        return False
    if not isinstance(value, np.ndarray) and not trial.backend.is_native(value):
        return False
    size = np.prod([each or 0 for each in value.shape])
    return "float" in str(value.dtype) and not trial.backend.is_symbolic(value) and bool(2 < size <= MOST_VALUES)
