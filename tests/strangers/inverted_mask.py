"""Attention pooling with the mask the wrong way round: steps that count are pushed down by 50, padding is zeroed, so
that with any padding at all the output is (almost) zero whatever the sequence says."""
import keras
from keras import ops


class InvertedPool(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 1), name="w")
        self.built = True

    def call(self, x, mask=None):
        if mask is not None:
            x = ops.where(mask[..., None], x, ops.zeros_like(x))
        scores = ops.squeeze(ops.matmul(x, self.w), -1)
        if mask is not None:
            scores = scores - 50.0 * ops.cast(mask, scores.dtype)
        return ops.einsum("bt,btf->bf", ops.softmax(scores, axis=-1), x)

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])
