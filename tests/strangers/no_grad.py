import keras, torch

torch.set_grad_enabled(False)


class Scale(keras.layers.Layer):
    def build(self, s):
        self.w = self.add_weight(shape=(s[-1],), initializer="ones")

    def call(self, x):
        return x * self.w
