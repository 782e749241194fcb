"""Building blocks of attention that are numerically safe."""

from typing import Any

import keras
from keras import ops

from layerwright.layers._precision import at_least_float32

MASKED_SCORE = -1e30
"""The score of a masked key. It is finite, so the softmax of a fully masked row has no NaN."""


def softmax(scores: Any) -> Any:
    """Return the softmax along the last axis. For an axis of size 1, as at a first step, `ops.softmax` would warn."""
    return ops.exp(scores - scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)


def divide_by_root_mean_square(x: Any) -> Any:
    """Return x divided by its root mean square along the last axis."""
    wide = ops.cast(x, at_least_float32(keras.backend.standardize_dtype(x.dtype)))
    return ops.cast(wide * ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + 1e-6), x.dtype)


def independent_copy(initializer: Any) -> Any:
    """Return a copy with its own random numbers. The same initializer would give equal kernels of equal shape."""
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer
