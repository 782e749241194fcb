"""Functions of one sample, such as `SampleMap` is given: what its cases apply."""

from typing import Any

import keras
from keras import ops


def centered(sample: Any) -> Any:
    """Return a sample less its own mean, which a whole batch at once would not do."""
    return sample - ops.mean(sample)


def masked_total(sample: Any, mask: Any = None) -> Any:
    """Return the sum of a sample's unmasked steps."""
    return ops.sum(sample if mask is None else ops.where(mask[:, None], sample, 0.0), axis=0)


for function in (centered, masked_total):
    keras.saving.register_keras_serializable(package="layerwright")(function)
