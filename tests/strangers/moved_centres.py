import keras
from keras import ops


class CenterDistance(keras.layers.Layer):
    def __init__(self, alpha=0.5, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def build(self, input_shape):
        features, labels = input_shape
        self.centers = self.add_weight(
            shape=(labels[-1], features[-1]), initializer="uniform", trainable=False, name="centers"
        )
        self.built = True

    def call(self, inputs, training=None):
        x, one_hot = inputs
        mine = ops.matmul(one_hot, self.centers)
        if training:
            delta = ops.matmul(ops.transpose(one_hot), mine - x) / (ops.sum(one_hot, axis=0)[:, None] + 1.0)
            self.centers.assign(self.centers - self.alpha * delta)
        return ops.sum((x - mine) ** 2, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}
