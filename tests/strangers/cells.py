"""B08: RNN cells. The first declares two states and hands back one (tensorflow#34541); the second keeps the carried
state on itself instead of in the states it is given."""

import keras
from keras import ops


class TwoStateCell(keras.layers.Layer):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")
        self.built = True

    def call(self, inputs, states):
        h = states[0]
        out = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent))
        return out, [out]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class StickyCell(keras.layers.Layer):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units
        self.output_size = units
        self.carried = None

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")
        self.built = True

    def call(self, inputs, states):
        h = states[0] if self.carried is None else self.carried
        out = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent))
        self.carried = out
        return out, [out]

    def get_config(self):
        return {**super().get_config(), "units": self.units}
