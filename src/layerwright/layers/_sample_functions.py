"""Functions of one sample that the cases of `SampleMap` use."""

from typing import Any

import keras
from keras import ops


def centered(sample: Any) -> Any:
    """Subtract a sample's mean from it. Applied to a whole batch, this would subtract the mean of the batch."""
    return sample - ops.mean(sample)


def masked_total(sample: Any, mask: Any = None) -> Any:
    """Return the sum of a sample's unmasked steps."""
    return ops.sum(sample if mask is None else ops.where(mask[:, None], sample, 0.0), axis=0)


for function in (centered, masked_total):
    keras.saving.register_keras_serializable(package="layerwright")(function)
