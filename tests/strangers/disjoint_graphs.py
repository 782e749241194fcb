"""B13 disjoint form."""

import keras
from keras import ops


class DisjointAttentionPool(keras.layers.Layer):
    """Inputs: node features (nodes, features) and the number of each node's graph (nodes,)."""

    def __init__(self, num_graphs=2, **kwargs):
        super().__init__(**kwargs)
        self.num_graphs = num_graphs

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[0][-1], 1), name="kernel")
        self.built = True

    def call(self, inputs):
        x, graph = inputs
        weights = ops.softmax(ops.squeeze(ops.matmul(x, self.kernel), -1))
        return ops.segment_sum(weights[:, None] * x, graph, num_segments=self.num_graphs)

    def get_config(self):
        return {**super().get_config(), "num_graphs": self.num_graphs}
