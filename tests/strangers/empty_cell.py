import keras


def make():
    class L(keras.layers.Layer):
        def call(self, x, fancy=False):
            return helper(x) if fancy else x

    return L
    helper = None


L = make()
