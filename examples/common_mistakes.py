"""Short layers, each with one common mistake. Most of them train without any error.

    layerwright check examples/common_mistakes.py

`PLANTED` maps each layer to the check that reports its mistake.
"""

import keras
import numpy as np
from keras import ops

PLANTED = {
    "SwapHeads": "LW301",
    "AttentionPooling": "LW301",
    "MaskedMean": "LW102",
    "WeightedFeatures": "LW101",
    "ChangeSinceLastBatch": "LW901",
    "LossyProjection": "LW702",
    "FixedBatchPosition": "LW204",
    "Downsample": "LW201",
    "DropSingletons": "LW204",
    "TwoBranches": "LW104",
    "ForgetfulBuild": "LW103",
    "SharedScale": "LW108",
    "NumpyRectifier": "LW102",
    "BatchCentering": "LW301",
}


class SwapHeads(keras.layers.Layer):
    """Is meant to swap time and features, but the reshape keeps the order in memory and mixes samples."""

    def call(self, inputs):
        batch, time, features = ops.shape(inputs)
        by_time = ops.transpose(inputs, (1, 0, 2))
        return ops.reshape(by_time, (batch, features, time))


class AttentionPooling(keras.layers.Layer):
    """Weights the steps of a series, but the softmax runs over axis 0, which is the batch axis."""

    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="tanh")
        self.score = keras.layers.Dense(1)

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.score.build((*input_shape[:-1], self.units))

    def call(self, inputs):
        weights = ops.softmax(self.score(self.hidden(inputs)), axis=0)
        return ops.sum(weights * inputs, axis=1)


class MaskedMean(keras.layers.Layer):
    """Multiplies inputs (batch, time, features) by a mask (batch, time) that has no features axis."""

    def call(self, inputs, mask=None):
        if mask is None:
            return ops.mean(inputs, axis=1)
        mask = ops.cast(mask, inputs.dtype)
        return ops.sum(inputs * mask, axis=1) / ops.sum(mask, axis=1)


class WeightedFeatures(keras.layers.Layer):
    """Assigns to `self.weights`, which is a property of every Keras layer."""

    def __init__(self, weights=(1.0, 0.5, 0.5, 0.5, 0.25), **kwargs):
        super().__init__(**kwargs)
        self.weights = list(weights)

    def call(self, inputs):
        return inputs * ops.convert_to_tensor(self.weights, inputs.dtype)


class ChangeSinceLastBatch(keras.layers.Layer):
    """Keeps the previous batch in a Python attribute, so each output depends on earlier calls."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.previous = None

    def call(self, inputs):
        change = inputs if self.previous is None else inputs - self.previous
        self.previous = ops.mean(inputs, axis=0, keepdims=True)
        return change


class LossyProjection(keras.layers.Layer):
    """Does not return `activation` from `get_config`, so a loaded layer has no activation."""

    def __init__(self, units=4, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def call(self, inputs):
        return self.activation(ops.matmul(inputs, self.kernel))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class FixedBatchPosition(keras.layers.Layer):
    """Repeats its position table to the size of the first batch, whatever the size of later batches."""

    def build(self, input_shape):
        self.batch = input_shape[0]
        self.table = self.add_weight(shape=(1, *input_shape[1:]), initializer="normal", name="table")

    def call(self, inputs):
        return inputs + ops.repeat(self.table, self.batch, axis=0)


class Downsample(keras.layers.Layer):
    """Keeps every second step, but `compute_output_shape` claims that it keeps all steps."""

    def call(self, inputs):
        return inputs[:, ::2]

    def compute_output_shape(self, input_shape):
        return input_shape


class DropSingletons(keras.layers.Layer):
    """Squeezes every axis of size 1, including the batch axis for a batch of one sample."""

    def call(self, inputs):
        return ops.squeeze(ops.max(inputs, axis=1, keepdims=True))


class Branch:
    """A plain object that owns a layer. Keras does not track layers inside plain objects."""

    def __init__(self, units):
        self.dense = keras.layers.Dense(units)


class TwoBranches(keras.layers.Layer):
    """Keeps its sublayers in plain objects, so their weights are neither trained nor saved."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.left, self.right = Branch(units), Branch(units)

    def build(self, input_shape):
        self.left.dense.build(input_shape)
        self.right.dense.build(input_shape)

    def call(self, inputs):
        return self.left.dense(inputs) * ops.sigmoid(self.right.dense(inputs))


class ForgetfulBuild(keras.layers.Layer):
    """Has a `build` that does not build its sublayer, so a loaded model lacks the weights of the sublayer."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def build(self, input_shape):
        super().build(input_shape)
        self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")

    def call(self, inputs):
        return self.dense(inputs) * self.scale


class SharedScale(keras.layers.Layer):
    """Keeps its weight in a class attribute, so all instances share it, and training one changes the others."""

    scales = {}  # noqa: RUF012 - this is the mistake

    def build(self, input_shape):
        size = input_shape[-1]
        if size not in self.scales:
            self.scales[size] = keras.Variable(np.ones(size, "float32"), name="scale")
        self.scale = self.scales[size]

    def call(self, inputs):
        return inputs * self.scale


class NumpyRectifier(keras.layers.Layer):
    """Calls NumPy, so it has no gradient, cannot be compiled and does not return a tensor of the backend."""

    def call(self, inputs):
        return np.maximum(np.asarray(inputs), 0.0)


class BatchCentering(keras.layers.Layer):
    """Subtracts the mean over the batch, also in inference, so each output depends on the other samples."""

    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0, keepdims=True)
