"""B09: the table of relative biases is gathered once, in build, so call uses a copy of it (maxvit#7)."""

import keras
import numpy as np
from keras import ops


class RelativeAttention(keras.layers.Layer):
    def __init__(self, length=6, width=8, **kwargs):
        super().__init__(**kwargs)
        self.length = length
        self.width = width

    def build(self, input_shape):
        self.qkv = keras.layers.Dense(3 * self.width)
        self.qkv.build(input_shape)
        self.relative_bias = self.add_weight(
            shape=(2 * self.length - 1,), initializer="random_normal", name="relative_bias"
        )
        steps = np.arange(self.length)
        self.bias_matrix = ops.take(self.relative_bias, steps[:, None] - steps[None, :] + self.length - 1)
        self.built = True

    def call(self, x):
        q, k, v = ops.split(self.qkv(x), 3, axis=-1)
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / self.width**0.5 + ops.cast(self.bias_matrix, x.dtype)
        return ops.matmul(ops.softmax(scores, axis=-1), v)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        return {**super().get_config(), "length": self.length, "width": self.width}
