"""B17: two of four sublayers in each list are never called, so never built (keras#18823)."""

import keras


class PartlyUsed(keras.layers.Layer):
    def __init__(self, depth=4, units=8, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth
        self.units = units
        self.dense_layers = [keras.layers.Dense(units, activation="relu") for _ in range(depth)]
        self.norms = [keras.layers.LayerNormalization() for _ in range(depth)]
        self.out = keras.layers.Dense(units)

    def call(self, x):
        for i, (dense, norm) in enumerate(zip(self.dense_layers, self.norms)):
            if i < 2:
                continue
            x = norm(dense(x))
        return self.out(x)

    def get_config(self):
        return {**super().get_config(), "depth": self.depth, "units": self.units}
