"""B01: drop path that builds a 4-axis mask for whatever rank comes in (keras-hub#3039)."""

import keras
from keras import ops


class SwinDropPath(keras.layers.Layer):
    def __init__(self, rate=0.3, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=None):
        if not training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        noise = keras.random.uniform((ops.shape(x)[0], 1, 1, 1), dtype=x.dtype, seed=self.seed_generator)
        return x / keep * ops.floor(keep + noise)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class SwinBlock(keras.layers.Layer):
    """Tokens (batch, length, channels) through a residual branch with the drop path above."""

    def __init__(self, hidden=16, rate=0.3, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.rate = rate
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.up = keras.layers.Dense(hidden, activation="gelu")
        self.drop_path = SwinDropPath(rate)

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.up.build(input_shape)
        self.down = keras.layers.Dense(input_shape[-1])
        self.down.build((*input_shape[:-1], self.hidden))
        self.built = True

    def call(self, tokens, training=None):
        batch, length, channels = tokens.shape
        y = self.down(self.up(self.norm(tokens)))
        return tokens + self.drop_path(y, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "rate": self.rate}
