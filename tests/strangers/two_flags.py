import keras


class TwoFlags(keras.layers.Layer):
    def __init__(self, centre=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        if not centre and not scale:
            raise ValueError("centre and scale cannot both be off")
        self.centre, self.scale = centre, scale

    def call(self, inputs):
        x = inputs - keras.ops.mean(inputs, axis=-1, keepdims=True) if self.centre else inputs
        return x * 2.0 if self.scale else x

    def get_config(self):
        return {**super().get_config(), "centre": self.centre, "scale": self.scale}
