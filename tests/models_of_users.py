"""Six models as people write them, each with layers of its own: sound, and with one defect planted in one layer.

A function without arguments builds each: `layerwright check tests/models_of_users.py:classifier`.
"""

import keras
from keras import layers, ops

# A transformer that classifies padded sequences of tokens.


@keras.saving.register_keras_serializable("models_of_users")
class Positions(layers.Layer):
    """Adds a sine of each step's position."""

    def __init__(self, period=50.0, **kwargs):
        super().__init__(**kwargs)
        self.period = period
        self.supports_masking = True

    def call(self, inputs):
        steps = ops.arange(ops.shape(inputs)[1], dtype="float32")
        rates = self.period ** (ops.arange(inputs.shape[-1], dtype="float32") / inputs.shape[-1])
        return ops.cast(inputs, self.compute_dtype) + ops.cast(ops.sin(steps[:, None] / rates), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "period": self.period}


@keras.saving.register_keras_serializable("models_of_users")
class Block(layers.Layer):
    """A transformer block."""

    def __init__(self, heads, width, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.width = heads, width
        self.supports_masking = True
        self.attention = layers.MultiHeadAttention(heads, width // heads, dtype=self.dtype_policy)
        self.norm = layers.LayerNormalization(dtype=self.dtype_policy)
        self.dense = layers.Dense(width, activation="gelu", dtype=self.dtype_policy)
        self.trainable = self.trainable

    def build(self, input_shape):
        self.attention.build(input_shape, input_shape)
        self.norm.build(input_shape)
        self.dense.build(input_shape)

    def call(self, inputs, mask=None):
        attention_mask = None
        if mask is not None:
            inputs = ops.where(mask[..., None], inputs, ops.zeros_like(inputs))
            attention_mask = mask[:, None, :]
        attended = self.attention(inputs, inputs, attention_mask=attention_mask)
        return inputs + self.dense(self.norm(inputs + attended))

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "width": self.width}


@keras.saving.register_keras_serializable("models_of_users")
class MaskedMean(layers.Layer):
    """Averages the steps that are not padding."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        inputs = ops.cast(inputs, self.compute_dtype)
        if mask is None:
            return ops.mean(inputs, axis=1)
        kept = ops.where(mask[..., None], inputs, ops.zeros_like(inputs))
        count = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
        return ops.cast(ops.sum(ops.cast(kept, "float32"), axis=1) / ops.maximum(count, 1.0), inputs.dtype)

    def compute_mask(self, inputs, previous_mask=None):
        return None


@keras.saving.register_keras_serializable("models_of_users")
class Mean(layers.Layer):
    """Averages all steps, padding too: the defect."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return ops.mean(inputs, axis=1)

    def compute_mask(self, inputs, previous_mask=None):
        return None


def _classifier(pool):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 8, mask_zero=True, name="embedding")(tokens)
    x = Positions(name="positions")(x)
    x = Block(2, 8, name="block")(x)
    x = pool(name="pool")(x)
    return keras.Model(tokens, layers.Dense(3, name="head")(x), name="classifier")


def classifier():
    return _classifier(MaskedMean)


def broken_classifier():
    return _classifier(Mean)


# A graph network over padded graphs.


@keras.saving.register_keras_serializable("models_of_users")
class GraphConvolution(layers.Layer):
    """Averages the features of a node's neighbours, and applies a dense layer."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, nodes_shape):
        self.kernel = self.add_weight(shape=(nodes_shape[-1], self.units), name="kernel")

    def call(self, nodes, edges):
        edges = ops.cast(edges, nodes.dtype)
        degree = ops.maximum(ops.sum(ops.abs(edges), axis=-1, keepdims=True), 1.0)
        return ops.relu(ops.matmul(ops.matmul(edges, nodes) / degree, self.kernel))

    def compute_output_shape(self, nodes_shape, edges_shape=None):
        return (*nodes_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("models_of_users")
class GraphNorm(layers.Layer):
    """Normalises each feature over the nodes of one graph."""

    axes = (1,)

    def call(self, nodes):
        nodes = ops.cast(nodes, self.compute_dtype)
        nodes32 = ops.cast(nodes, "float32")
        mean = ops.mean(nodes32, axis=self.axes, keepdims=True)
        variance = ops.mean(ops.square(nodes32 - mean), axis=self.axes, keepdims=True)
        return ops.cast((nodes32 - mean) / ops.sqrt(variance + 1e-3), nodes.dtype)


@keras.saving.register_keras_serializable("models_of_users")
class GraphNormOverBatch(GraphNorm):
    """Normalises over the graphs of the batch: the defect."""

    axes = (0, 1)


def _graph_network(norm):
    nodes, edges = keras.Input((6, 5), name="nodes"), keras.Input((6, 6), name="edges")
    x = GraphConvolution(7, name="convolution")(nodes, edges)
    x = norm(name="norm")(x)
    x = GraphConvolution(4, name="second")(x, edges)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model([nodes, edges], layers.Dense(2, name="head")(x), name="graph_network")


def graph_network():
    return _graph_network(GraphNorm)


def broken_graph_network():
    return _graph_network(GraphNormOverBatch)


# A variational autoencoder, whose parts are subclassed.


@keras.saving.register_keras_serializable("models_of_users")
class Sampling(layers.Layer):
    """Draws a code in training, and takes the mean in inference."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        mean, log_variance = inputs
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.generator)
        return mean + ops.exp(0.5 * ops.clip(log_variance, -10, 10)) * noise

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("models_of_users")
class Decoder(layers.Layer):
    """Two dense layers."""

    def __init__(self, hidden, width, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.width = hidden, width
        self.first = layers.Dense(hidden, activation="tanh", dtype=self.dtype_policy)
        self.last = layers.Dense(width, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.first.build(input_shape)
        self.last.build((*input_shape[:-1], self.hidden))

    def call(self, inputs):
        return self.last(self.first(inputs))

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "width": self.width}


@keras.saving.register_keras_serializable("models_of_users")
class ForgetfulDecoder(Decoder):
    """Saves another size than it has: the defect."""

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden + 1}


def _autoencoder(decoder):
    image = keras.Input((12,), name="image")
    x = layers.Dense(10, activation="tanh", name="encoder")(image)
    code = Sampling(seed=1, name="sampling")([layers.Dense(3, name="mean")(x), layers.Dense(3, name="log_variance")(x)])
    return keras.Model(image, decoder(9, 12, name="decoder")(code), name="autoencoder")


def autoencoder():
    return _autoencoder(Decoder)


def broken_autoencoder():
    return _autoencoder(ForgetfulDecoder)


# A network of keras.applications with blocks of one's own on top.


@keras.saving.register_keras_serializable("models_of_users")
class SqueezeExcite(layers.Layer):
    """Scales each channel by a gate that is computed from its average."""

    def __init__(self, ratio=4, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio

    def build(self, input_shape):
        channels = input_shape[-1]
        self.down = layers.Dense(max(1, channels // self.ratio), activation="relu", dtype=self.dtype_policy)
        self.up = layers.Dense(channels, activation="sigmoid", dtype=self.dtype_policy)
        self.down.build((None, channels))
        self.up.build((None, max(1, channels // self.ratio)))

    def call(self, inputs):
        inputs = ops.cast(inputs, self.compute_dtype)
        gate = self.up(self.down(ops.cast(ops.mean(ops.cast(inputs, "float32"), axis=(1, 2)), inputs.dtype)))
        return inputs * gate[:, None, None, :]

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}


@keras.saving.register_keras_serializable("models_of_users")
class SqueezeExciteInFloat32(SqueezeExcite):
    """Computes its gate in float32 and returns it so: the defect."""

    def call(self, inputs):
        mean = ops.mean(ops.cast(inputs, "float32"), axis=(1, 2))
        return ops.cast(inputs, "float32") * ops.cast(self.up(self.down(mean)), "float32")[:, None, None, :]


def _image_classifier(attention):
    body = keras.applications.MobileNetV2(input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None)
    x = layers.Conv2D(16, 1, name="narrow")(body.get_layer("block_6_expand_relu").output)
    x = attention(name="attention")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(body.input, layers.Dense(5, name="head")(x), name="image_classifier")


def image_classifier():
    return _image_classifier(SqueezeExcite)


def broken_image_classifier():
    return _image_classifier(SqueezeExciteInFloat32)


# A recurrent network with a cell of its own.


@keras.saving.register_keras_serializable("models_of_users")
class LeakyCell(layers.Layer):
    """A leaky integrator."""

    def __init__(self, units, leak=0.5, **kwargs):
        super().__init__(**kwargs)
        self.units, self.leak = units, leak
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent = self.add_weight(shape=(self.units, self.units), initializer="orthogonal", name="recurrent")

    def call(self, inputs, states):
        new = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent))
        state = self.leak * states[0] + (1 - self.leak) * new
        return state, [state]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "leak": self.leak}


@keras.saving.register_keras_serializable("models_of_users")
class CoupledCell(LeakyCell):
    """Divides by the largest value in the batch: the defect."""

    def call(self, inputs, states):
        new = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.recurrent))
        new = new / (1 + ops.max(ops.abs(new)))
        return new, [new]


def _forecaster(cell):
    series = keras.Input((None, 4), name="series")
    x = layers.RNN(cell(6, name="cell"), return_sequences=True, name="recurrent")(series)
    return keras.Model(series, layers.Dense(1, name="head")(x), name="forecaster")


def forecaster():
    return _forecaster(LeakyCell)


def broken_forecaster():
    return _forecaster(CoupledCell)


# Two towers, in a subclassed model.


@keras.saving.register_keras_serializable("models_of_users")
class UnitLength(layers.Layer):
    """Divides each vector by its length."""

    def call(self, inputs):
        wide = ops.cast(inputs, "float32")
        length = ops.sqrt(ops.sum(ops.square(wide), axis=-1, keepdims=True) + 1e-6)
        return ops.cast(wide / length, self.compute_dtype)


@keras.saving.register_keras_serializable("models_of_users")
class UnitLengthOfBatch(layers.Layer):
    """Divides by the length of all vectors of the batch together: the defect."""

    def call(self, inputs):
        wide = ops.cast(inputs, "float32")
        return ops.cast(wide / ops.sqrt(ops.sum(ops.square(wide)) + 1e-6), self.compute_dtype)


@keras.saving.register_keras_serializable("models_of_users")
class Tower(layers.Layer):
    """A dense layer, its outputs of unit length."""

    def __init__(self, units, coupled=False, **kwargs):
        super().__init__(**kwargs)
        self.units, self.coupled = units, coupled
        self.dense = layers.Dense(units, activation="tanh", dtype=self.dtype_policy)
        self.unit_length = (UnitLengthOfBatch if coupled else UnitLength)(dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.unit_length.build((*input_shape[:-1], self.units))

    def call(self, inputs):
        return self.unit_length(self.dense(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units, "coupled": self.coupled}


def _two_towers(coupled):
    inputs = {"user": keras.Input((7,), name="user"), "item": keras.Input((9,), name="item")}
    user = Tower(6, coupled, name="user_tower")(inputs["user"])
    item = Tower(6, name="item_tower")(inputs["item"])
    return keras.Model(inputs, layers.Dot(-1, name="score")([user, item]), name="two_towers")


def two_towers():
    return _two_towers(coupled=False)


def broken_two_towers():
    return _two_towers(coupled=True)


DEFECTS = {
    "classifier": "Mean",
    "graph_network": "GraphNormOverBatch",
    "autoencoder": "ForgetfulDecoder",
    "image_classifier": "SqueezeExciteInFloat32",
    "forecaster": "CoupledCell",
    "two_towers": "UnitLengthOfBatch",
}
"""For each model, the layer in which the broken one has its defect."""
