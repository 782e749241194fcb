"""An additive mask of -1e10 in attention: infinite in float16."""
import keras
from keras import ops


class MaskedAttention(keras.layers.Layer):
    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.supports_masking = True

    def build(self, input_shape):
        self.qkv = keras.layers.Dense(3 * self.width, dtype=self.dtype_policy)
        self.qkv.build(input_shape)
        self.built = True

    def call(self, x, mask=None):
        if mask is not None:
            x = ops.where(mask[..., None], x, ops.zeros_like(x))
        q, k, v = ops.split(self.qkv(x), 3, axis=-1)
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / self.width**0.5
        if mask is not None:
            scores = scores + (1.0 - ops.cast(mask, scores.dtype))[:, None, :] * -1e10
        return ops.matmul(ops.softmax(scores, axis=-1), v)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        return {**super().get_config(), "width": self.width}
