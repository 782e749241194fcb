"""K3: zero configuration: one feature only; a time axis given by a default argument; two inputs of other ranks; a dict of these."""

import keras
from keras import ops


class OneFeature(keras.layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(1, 3), name="w")
        self.built = True

    def call(self, x):
        return ops.matmul(x, self.w)


class FixedLength(keras.layers.Layer):
    def __init__(self, length=6, **kwargs):
        super().__init__(**kwargs)
        self.length = length

    def build(self, input_shape):
        self.p = self.add_weight(shape=(self.length, input_shape[-1]), name="p")
        self.built = True

    def call(self, x):
        return x + self.p

    def get_config(self):
        return {**super().get_config(), "length": self.length}


class TwoRanks(keras.layers.Layer):
    def call(self, inputs):
        sequence, vector = inputs
        if len(sequence.shape) != 3 or len(vector.shape) != 2:
            raise ValueError("TwoRanks takes (batch, time, features) and (batch, features).")
        return sequence * vector[:, None, :]


class TwoRanksDict(keras.layers.Layer):
    def call(self, inputs):
        sequence, vector = inputs["sequence"], inputs["vector"]
        return ops.einsum("btf,bf->bt", sequence, vector)
