"""K1: claims supports_masking, has no mask argument, mixes over time: padding counts."""

import keras
from keras import ops


class ClaimsMasking(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 1), name="w")
        self.built = True

    def call(self, x):
        weights = ops.softmax(ops.matmul(x, self.w), axis=1)
        return x + ops.sum(weights * x, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return input_shape


class OtherNamedMask(keras.layers.Layer):
    """The same with an argument `padding_mask`, which Keras fills by itself only where it is named after an input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 1), name="w")
        self.built = True

    def call(self, x, padding_mask=None):
        scores = ops.matmul(x, self.w)
        if padding_mask is not None:
            keep = ops.cast(padding_mask, "bool")[..., None]
            scores = ops.where(keep, scores, ops.cast(-3e4, scores.dtype))
            x = ops.where(keep, x, ops.zeros_like(x))
        weights = ops.softmax(scores, axis=1)
        return x + ops.sum(weights * x, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return input_shape
