"""Ordinary layers as a good author writes them. No check may fail or warn on any of them.

The file is long on purpose: it stands for a user's file of layers, and is checked as one.
"""

import keras
from keras import ops

from layerwright.core.case import Case, InputSpec

register = keras.saving.register_keras_serializable(package="sound_layers")
MASK = {"mask": InputSpec((None, None), "bool")}


@register
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention; no query attends to a masked step, nor, if causal, to a later one."""

    def __init__(self, heads, head_size, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.head_size = head_size
        self.causal = causal
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.project = keras.layers.Dense(3 * heads * head_size, use_bias=False)

    def build(self, input_shape):
        self.project.build(input_shape)
        self.output_projection = keras.layers.Dense(input_shape[-1])
        self.output_projection.build((*input_shape[:-1], self.heads * self.head_size))

    def call(self, inputs, mask=None):
        if mask is not None:  # what lies in the padding must not even be multiplied by zero
            inputs = ops.where(ops.expand_dims(mask, -1), inputs, ops.zeros_like(inputs))
        steps = ops.shape(inputs)[1]
        projected = ops.reshape(self.project(inputs), (-1, steps, 3, self.heads, self.head_size))
        query, key, value = (projected[:, :, part] for part in range(3))
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) / self.head_size**0.5
        allowed = ops.ones((1, 1, steps, steps), "bool")
        if mask is not None:
            allowed = ops.logical_and(allowed, mask[:, None, None, :])
        if self.causal:
            allowed = ops.logical_and(allowed, ops.tril(ops.ones((1, 1, steps, steps), "bool")))
        scores = ops.where(allowed, ops.cast(scores, "float32"), -1e9)
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        attended = ops.einsum("bhqk,bkhd->bqhd", weights, value)
        return self.output_projection(ops.reshape(attended, (-1, steps, self.heads * self.head_size)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "head_size": self.head_size, "causal": self.causal}


@register
class CrossAttention(keras.layers.Layer):
    """Single-head attention from a sequence to another, with a residual connection; the first one's mask goes on."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True

    def build(self, input_shape):
        queries, memory = input_shape
        self.query_kernel = self.add_weight(shape=(queries[-1], self.units), name="query_kernel")
        self.key_kernel = self.add_weight(shape=(memory[-1], self.units), name="key_kernel")
        self.value_kernel = self.add_weight(shape=(memory[-1], queries[-1]), name="value_kernel")

    def call(self, inputs, mask=None):
        queries, memory = (
            each if valid is None else ops.where(ops.expand_dims(valid, -1), each, ops.zeros_like(each))
            for each, valid in zip(inputs, mask or (None, None), strict=True)
        )
        valid = None if mask is None else mask[1]
        query = ops.matmul(queries, self.query_kernel)
        key = ops.matmul(memory, self.key_kernel)
        scores = ops.cast(ops.matmul(query, ops.transpose(key, (0, 2, 1))) / self.units**0.5, "float32")
        if valid is not None:
            scores = ops.where(ops.expand_dims(valid, 1), scores, -1e9)
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        return queries + ops.matmul(weights, ops.matmul(memory, self.value_kernel))

    def compute_mask(self, inputs, mask=None):
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class AttentionPooling(keras.layers.Layer):
    """Additive attention over time to one vector (Bahdanau et al. 2015); a row without valid steps gives zeros."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.score = self.add_weight(shape=(self.units, 1), name="score")

    def call(self, inputs, mask=None):
        if mask is not None:
            mask = ops.expand_dims(mask, -1)
            inputs = ops.where(mask, inputs, ops.zeros_like(inputs))
        scores = ops.cast(ops.matmul(ops.tanh(ops.matmul(inputs, self.kernel) + self.bias), self.score), "float32")
        if mask is not None:
            scores = ops.where(mask, scores, -1e9)
        pooled = ops.sum(ops.softmax(scores, axis=1) * ops.cast(inputs, "float32"), axis=1)
        return ops.cast(pooled, self.compute_dtype)

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class GatedLinearUnit(keras.layers.Layer):
    """Half of a projection gated by the other half (Dauphin et al. 2017, arXiv:1612.08083)."""

    def __init__(self, units, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], 2 * self.units), regularizer=self.kernel_regularizer, name="kernel"
        )
        self.bias = self.add_weight(shape=(2 * self.units,), initializer="zeros", name="bias")

    def call(self, inputs):
        content, gate = ops.split(ops.matmul(inputs, self.kernel) + self.bias, 2, axis=-1)
        return content * ops.sigmoid(gate)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


@register
class FeedForward(keras.layers.Layer):
    """The feed-forward block of a transformer: two nested layers, dropout between them, a residual around them."""

    def __init__(self, units, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.rate = rate
        self.supports_masking = True
        self.expand = keras.layers.Dense(units, activation="gelu")
        self.dropout = keras.layers.Dropout(rate)

    def build(self, input_shape):
        self.expand.build(input_shape)
        self.contract = keras.layers.Dense(input_shape[-1])
        self.contract.build((*input_shape[:-1], self.units))

    def call(self, inputs, training=None):
        return inputs + self.contract(self.dropout(self.expand(inputs), training=training))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


@register
class Highway(keras.layers.Layer):
    """What is carried and what is transformed, by a learned gate (Srivastava et al. 2015, arXiv:1505.00387)."""

    def __init__(self, activation="tanh", gate_bias=-1.0, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.gate_bias = gate_bias

    def build(self, input_shape):
        features = input_shape[-1]
        self.transform = self.add_weight(shape=(features, features), name="transform")
        self.gate = self.add_weight(shape=(features, features), name="gate")
        self.bias = self.add_weight(
            shape=(features,), initializer=keras.initializers.Constant(self.gate_bias), name="bias"
        )

    def call(self, inputs):
        gate = ops.sigmoid(ops.matmul(inputs, self.gate) + self.bias)
        return gate * self.activation(ops.matmul(inputs, self.transform)) + (1.0 - gate) * inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation, "gate_bias": self.gate_bias}


@register
class RootMeanSquareNorm(keras.layers.Layer):
    """Features divided by their root mean square, in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs):
        wide = ops.cast(inputs, "float32")
        mean_square = ops.mean(ops.square(wide), axis=-1, keepdims=True)
        return ops.cast(wide * ops.rsqrt(mean_square + self.epsilon), self.compute_dtype) * self.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@register
class RunningStandardization(keras.layers.Layer):
    """Features standardised by the batch in training, by running statistics after it: batch normalisation unscaled."""

    def __init__(self, momentum=0.9, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean", autocast=False)
        self.variance = self.add_weight(
            shape=shape, initializer="ones", trainable=False, name="variance", autocast=False
        )

    def call(self, inputs, training=False):
        wide = ops.cast(inputs, "float32")
        mean, variance = self.mean, self.variance
        if training and self.trainable:
            mean, variance = ops.moments(wide, axes=tuple(range(len(inputs.shape) - 1)))
            self.mean.assign(self.momentum * self.mean + (1 - self.momentum) * ops.cast(mean, self.mean.dtype))
            self.variance.assign(
                self.momentum * self.variance + (1 - self.momentum) * ops.cast(variance, self.variance.dtype)
            )
        mean, variance = ops.cast(mean, "float32"), ops.cast(variance, "float32")
        return ops.cast((wide - mean) * ops.rsqrt(variance + self.epsilon), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


@register
class TokenAndPosition(keras.layers.Layer):
    """A learned vector for each token plus one for each place; token 0 is padding and makes the mask."""

    def __init__(self, tokens, length, units, **kwargs):
        super().__init__(**kwargs)
        self.tokens = tokens
        self.length = length
        self.units = units
        self.embedding = keras.layers.Embedding(tokens, units, mask_zero=True)

    def build(self, input_shape):
        self.embedding.build(input_shape)
        self.places = self.add_weight(shape=(self.length, self.units), initializer="normal", name="places")

    def call(self, inputs):
        return self.embedding(inputs) + self.places[: ops.shape(inputs)[1]]

    def compute_mask(self, inputs, mask=None):
        return self.embedding.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.units)

    def get_config(self):
        return {**super().get_config(), "tokens": self.tokens, "length": self.length, "units": self.units}


@register
class SinusoidalPositions(keras.layers.Layer):
    """Sines and cosines of the step added to a sequence (Vaswani et al. 2017, arXiv:1706.03762)."""

    def __init__(self, longest=10000.0, **kwargs):
        super().__init__(**kwargs)
        self.longest = longest
        self.supports_masking = True

    def call(self, inputs):
        steps, features = ops.shape(inputs)[1], inputs.shape[-1]
        index = ops.arange(features, dtype="int32")
        rates = ops.power(self.longest, -ops.cast(2 * (index // 2), "float32") / features)
        angles = ops.expand_dims(ops.cast(ops.arange(steps), "float32"), -1) * rates
        waves = ops.where(index % 2 == 0, ops.sin(angles), ops.cos(angles))
        return inputs + ops.cast(waves, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "longest": self.longest}


@register
class MaskedMaxPooling(keras.layers.Layer):
    """The largest value over time of each feature among valid steps; zeros where there is none."""

    def call(self, inputs, mask=None):
        if mask is None:
            return ops.max(inputs, axis=1)
        mask = ops.expand_dims(mask, -1)
        largest = ops.max(ops.where(mask, inputs, ops.full_like(inputs, -6e4)), axis=1)
        return ops.where(ops.any(mask, axis=1), largest, ops.zeros_like(largest))

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@register
class GeneralizedMeanPooling(keras.layers.Layer):
    """The generalised mean over space with a learned exponent (Radenović et al. 2018, arXiv:1711.02512)."""

    def __init__(self, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.exponent = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(3.0), name="exponent", autocast=False
        )

    def call(self, inputs):
        exponent = ops.cast(self.exponent, "float32")
        logarithms = ops.log(ops.maximum(ops.cast(inputs, "float32"), self.epsilon))
        size = inputs.shape[1] * inputs.shape[2]
        total = ops.logsumexp(exponent * logarithms, axis=(1, 2))
        return ops.cast(ops.exp((total - ops.log(float(size))) / exponent), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@register
class MinimalGatedCell(keras.layers.Layer):
    """A recurrent cell with one gate (Zhou et al. 2016, arXiv:1603.09420), for `keras.layers.RNN`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 2 * self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 2 * self.units), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(2 * self.units,), initializer="zeros", name="bias")

    def call(self, inputs, states):
        (state,) = states
        gate_in, candidate_in = ops.split(ops.matmul(inputs, self.kernel) + self.bias, 2, axis=-1)
        gate_kernel, candidate_kernel = ops.split(self.recurrent_kernel, 2, axis=-1)
        gate = ops.sigmoid(gate_in + ops.matmul(state, gate_kernel))
        candidate = ops.tanh(candidate_in + ops.matmul(gate * state, candidate_kernel))
        state = (1.0 - gate) * state + gate * candidate
        return state, [state]

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype)]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@register
class MinimalGatedUnit(keras.layers.Layer):
    """A recurrent layer around `MinimalGatedCell`, with its last or all of its outputs."""

    def __init__(self, units, return_sequences=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences = return_sequences
        self.recurrence = keras.layers.RNN(MinimalGatedCell(units), return_sequences=return_sequences)

    def build(self, input_shape):
        self.recurrence.build(input_shape)

    def call(self, inputs, mask=None):
        if mask is not None:
            inputs = ops.where(ops.expand_dims(mask, -1), inputs, ops.zeros_like(inputs))
        return self.recurrence(inputs, mask=mask)

    def compute_mask(self, inputs, mask=None):
        return mask if self.return_sequences else None

    def compute_output_shape(self, input_shape):
        time = (input_shape[1],) if self.return_sequences else ()
        return (input_shape[0], *time, self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "return_sequences": self.return_sequences}


@register
class ExponentialSmoothing(keras.layers.Layer):
    """A moving average over valid steps, its rate learned for each feature: s_t = a s_{t-1} + (1 - a) x_t."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.rate = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="rate")

    def call(self, inputs, mask=None):
        steps = ops.shape(inputs)[1]
        wide, valid = ops.cast(inputs, "float32"), ops.ones((1, steps), "float32")
        if mask is not None:
            wide, valid = ops.where(ops.expand_dims(mask, -1), wide, 0.0), ops.cast(mask, "float32")
        elapsed = ops.cumsum(valid, axis=1)
        lag = ops.maximum(elapsed[:, :, None] - elapsed[:, None, :], 0.0)[..., None]  # (batch, output, input, 1)
        keep = ops.cast(ops.sigmoid(self.rate), "float32")
        earlier = ops.tril(ops.ones((steps, steps), "float32"))[None, :, :, None]
        weights = (1.0 - keep) * ops.power(keep, lag) * earlier
        return ops.cast(ops.sum(weights * wide[:, None], axis=2), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@register
class StochasticDepth(keras.layers.Layer):
    """A residual branch left out for some samples in training (Huang et al. 2016, arXiv:1603.09382)."""

    def __init__(self, rate=0.2, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        shortcut, branch = inputs
        if not training or self.rate == 0:
            return shortcut + branch
        shape = (ops.shape(branch)[0], *[1] * (len(branch.shape) - 1))
        kept = keras.random.uniform(shape, seed=self.seed_generator) >= self.rate
        return shortcut + branch * ops.cast(kept, branch.dtype) / (1.0 - self.rate)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@register
class GaussianBottleneck(keras.layers.Layer):
    """A sampled code with its divergence from the prior as a loss (Kingma and Welling 2014, arXiv:1312.6114)."""

    def __init__(self, units, weight=1e-2, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.weight = weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.mean = keras.layers.Dense(units)
        self.log_variance = keras.layers.Dense(units)

    def build(self, input_shape):
        self.mean.build(input_shape)
        self.log_variance.build(input_shape)

    def call(self, inputs, training=False):
        mean, log_variance = self.mean(inputs), ops.clip(self.log_variance(inputs), -8.0, 8.0)
        wide, log_wide = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
        divergence = 0.5 * ops.sum(ops.square(wide) + ops.exp(log_wide) - 1.0 - log_wide, axis=-1)
        self.add_loss(self.weight * ops.mean(divergence))
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "weight": self.weight, "seed": self.seed}


@register
class Bilinear(keras.layers.Layer):
    """A score for each pair of a user's and an item's vector: u W i + b."""

    def build(self, input_shape):
        shape = (input_shape["user"][-1], input_shape["item"][-1])
        self.kernel = self.add_weight(shape=shape, name="kernel")
        self.bias = self.add_weight(shape=(1,), initializer="zeros", name="bias")

    def call(self, inputs):
        projected = ops.matmul(inputs["user"], self.kernel)
        return ops.sum(projected * inputs["item"], axis=-1, keepdims=True) + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape["user"][0], 1)


@register
class SqueezeExcite(keras.layers.Layer):
    """Channels weighed by what all of an image says of them (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, ratio=2, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio

    def build(self, input_shape):
        channels = input_shape[-1]
        hidden = max(1, channels // self.ratio)
        self.squeeze = keras.layers.Dense(hidden, activation="relu")
        self.squeeze.build((input_shape[0], channels))
        self.excite = keras.layers.Dense(channels, activation="sigmoid")
        self.excite.build((input_shape[0], hidden))

    def call(self, inputs):
        weights = self.excite(self.squeeze(ops.mean(inputs, axis=(1, 2))))
        return inputs * weights[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}


@register
class CausalBlock(keras.layers.Layer):
    """A dilated causal convolution, layer normalisation and a residual connection, as temporal networks stack them."""

    def __init__(self, kernel_size=3, dilation_rate=2, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.supports_masking = True
        self.normalization = keras.layers.LayerNormalization()

    def build(self, input_shape):
        self.normalization.build(input_shape)
        self.convolution = keras.layers.Conv1D(
            input_shape[-1],
            self.kernel_size,
            padding="causal",
            dilation_rate=self.dilation_rate,
            activation="relu",
        )
        self.convolution.build(input_shape)

    def call(self, inputs, mask=None):
        if mask is None:
            return inputs + self.convolution(self.normalization(inputs))
        mask = ops.expand_dims(mask, -1)
        inputs = ops.where(mask, inputs, ops.zeros_like(inputs))
        hidden = self.normalization(inputs)
        return inputs + self.convolution(ops.where(mask, hidden, ops.zeros_like(hidden)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size, "dilation_rate": self.dilation_rate}


SEQUENCE = (None, None, 5)
CASES = (
    Case(SelfAttention, {"heads": 2, "head_size": 3}, SEQUENCE, MASK),
    Case(SelfAttention, {"heads": 2, "head_size": 3, "causal": True}, SEQUENCE, traits={"causal": True}),
    Case(CrossAttention, {"units": 3}, [SEQUENCE, (None, 7, 4)]),
    Case(AttentionPooling, {"units": 3}, SEQUENCE, MASK, {"masking": "consumed"}),
    Case(GatedLinearUnit, {"units": 3}, SEQUENCE),
    Case(FeedForward, {"units": 7, "rate": 0.3}, SEQUENCE, traits={"random": True}),
    Case(Highway, inputs=(None, 5)),
    Case(RootMeanSquareNorm, inputs=SEQUENCE),
    Case(RunningStandardization, inputs=(None, 5), traits={"batch": "coupled-in-training"}),
    Case(
        TokenAndPosition,
        {"tokens": 9, "length": 12, "units": 4},
        InputSpec((None, None), "int32", high=9),
        traits={"masking": "generated"},
    ),
    Case(SinusoidalPositions, inputs=SEQUENCE),
    Case(MaskedMaxPooling, {}, SEQUENCE, MASK, {"masking": "consumed", "smooth": False}),
    Case(GeneralizedMeanPooling, inputs=InputSpec((None, 6, 7, 3), low=0.1, high=1.0)),
    Case(MinimalGatedCell, {"units": 3}, (None, 5), {"states": [InputSpec((None, 3))]}),
    Case(MinimalGatedUnit, {"units": 3, "return_sequences": True}, SEQUENCE, traits={"causal": True}),
    Case(ExponentialSmoothing, inputs=SEQUENCE, traits={"causal": True}),
    Case(StochasticDepth, {"rate": 0.3}, [(None, 5), (None, 5)], traits={"random": True}),
    Case(GaussianBottleneck, {"units": 3}, (None, 5), traits={"random": True}),
    Case(Bilinear, inputs={"user": (None, 5), "item": (None, 3)}),
    Case(SqueezeExcite, inputs=(None, 6, 7, 4)),
    Case(CausalBlock, inputs=SEQUENCE, traits={"causal": True, "receptive_field": 5}),
)
