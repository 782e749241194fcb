"""What attention is made of, with what the numbers need."""

from typing import Any

import keras
from keras import ops

from layerwright.layers._precision import at_least_float32

NEVER = -1e30
"""The score of what may not be attended to: finite, so that a row of nothing else has no NaN."""


def softmax(scores: Any) -> Any:
    """Return the softmax along the last axis. Where that has size 1, as at a first step, `ops.softmax` warns."""
    return ops.exp(scores - scores) if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)


def root_mean_square_normalized(x: Any) -> Any:
    """Return x divided by its root mean square along the last axis."""
    wide = ops.cast(x, at_least_float32(keras.backend.standardize_dtype(x.dtype)))
    return ops.cast(wide * ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + 1e-6), x.dtype)


def fresh(initializer: Any) -> Any:
    """Return a copy that draws anew: the same one would draw equal kernels where shapes are equal."""
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer
