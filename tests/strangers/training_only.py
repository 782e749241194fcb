"""K2: layers with no trainable weight that break in fit only."""

import keras
from keras import ops


class MeanProbe(keras.layers.Layer):
    def build(self, input_shape):
        self.mean_seen = keras.metrics.Mean(name="mean_seen")
        self.built = True

    def call(self, x):
        self.mean_seen.update_state(ops.mean(x, axis=-1))
        return x


class TrainOnlyShape(keras.layers.Layer):
    """A doubled last axis in training only."""

    def call(self, x, training=None):
        return ops.concatenate([x, x], axis=-1) if training else x

    def compute_output_shape(self, input_shape):
        return input_shape


class TrainOnlyDtype(keras.layers.Layer):
    """float32 in training, the compute dtype in inference."""

    def call(self, x, training=None):
        return ops.cast(x, "float32") * 2.0 if training else x * 2

    def compute_output_shape(self, input_shape):
        return input_shape
