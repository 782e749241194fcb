"""An encoder whose call takes `padding_mask`, so that the mask an Embedding makes never arrives."""
import keras
from keras import ops


class Encoder(keras.layers.Layer):
    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.supports_masking = True

    def build(self, input_shape):
        dim = input_shape[-1]
        self.q = keras.layers.Dense(self.width, name="q")
        self.k = keras.layers.Dense(self.width, name="k")
        self.v = keras.layers.Dense(dim, name="v")
        for part in (self.q, self.k, self.v):
            part.build(input_shape)
        self.built = True

    def call(self, inputs, padding_mask=None):
        scores = ops.matmul(self.q(inputs), ops.transpose(self.k(inputs), (0, 2, 1))) / self.width**0.5
        if padding_mask is not None:
            keep = ops.cast(padding_mask, "bool")[:, None, :]
            scores = ops.where(keep, scores, ops.cast(-1e4, scores.dtype))
        return inputs + ops.matmul(ops.softmax(scores, axis=-1), self.v(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "width": self.width}
