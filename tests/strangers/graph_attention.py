"""F4: graph attention on one whole graph: node features (nodes, features) and an edge list (edges, 2). Sound as it is
meant, but for the missing get_config of the wrapper; axis 0 is nodes, not samples."""

import keras
from keras import ops


class GraphAttention(keras.layers.Layer):
    def __init__(self, units, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[0][-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        self.kernel_attention = self.add_weight(
            shape=(self.units * 2, 1), initializer=self.kernel_initializer, name="kernel_attention"
        )
        self.built = True

    def call(self, inputs):
        node_states, edges = inputs
        z = ops.matmul(node_states, self.kernel)
        target, source = edges[:, 0], edges[:, 1]
        pair = ops.concatenate([ops.take(z, target, axis=0), ops.take(z, source, axis=0)], axis=-1)
        scores = ops.exp(ops.clip(ops.squeeze(ops.leaky_relu(ops.matmul(pair, self.kernel_attention)), -1), -2, 2))
        nodes = ops.shape(node_states)[0]
        total = ops.segment_sum(scores, target, num_segments=nodes)
        norm = scores / (ops.take(total, target, axis=0) + 1e-8)
        return ops.segment_sum(ops.take(z, source, axis=0) * norm[:, None], target, num_segments=nodes)


class MultiHeadGraphAttention(keras.layers.Layer):
    def __init__(self, units, num_heads=8, merge_type="concat", **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.merge_type = merge_type
        self.attention_layers = [GraphAttention(units) for _ in range(num_heads)]

    def call(self, inputs):
        node_states, edges = inputs
        outputs = [layer([node_states, edges]) for layer in self.attention_layers]
        if self.merge_type == "concat":
            return ops.relu(ops.concatenate(outputs, axis=-1))
        return ops.relu(ops.mean(ops.stack(outputs, axis=0), axis=0))
