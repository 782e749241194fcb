"""The rows that `layers.py` times: each layer at three sizes, with naive code, Keras's own layer and native code."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from contestants import (
    SAFE,
    Contestant,
    Formula,
    Row,
    Shape,
    alone_and_in_a_layer,
    built,
    series,
    weights_of,
    with_weights,
)
from keras import ops

from layerwright import layers as ours
from layerwright.layers._sample_functions import centered

SIZES = {"small": (32, 64, 16), "middle": (64, 128, 64), "large": (64, 256, 256)}
"""(batch, time, features)."""


CODES = 1024


def rows(sizes: Iterable[str] = ()) -> list[Row]:
    """Return a row for every layer and size; by default, for all three sizes."""
    return [make(SIZES[size]) for make in MAKERS for size in sizes or SIZES]


def _masked_average(shape: Shape) -> Row:
    x = series(shape)
    mask = np.arange(shape[1]) < (1 + np.arange(shape[0]) * shape[1] // shape[0])[:, None]

    def naive(_: Any, x: Any, mask: Any) -> Any:
        valid = ops.expand_dims(ops.cast(mask, x.dtype), -1)
        return ops.sum(ops.where(valid > 0, x, 0.0), axis=1) / ops.maximum(ops.sum(valid, axis=1), 1.0)

    def native(_: Any, x: Any, mask: Any) -> Any:
        valid = ops.expand_dims(ops.cast(mask, x.dtype), -1)
        return ops.sum(x * valid, axis=1) / ops.maximum(ops.sum(valid, axis=1), 1.0)

    def safe(_: Any, x: Any, mask: Any) -> Any:
        count = ops.sum(ops.cast(mask, x.dtype), axis=1, keepdims=True)
        total = ops.sum(ops.where(ops.expand_dims(mask, -1), x, 0.0), axis=1)
        return ops.where(count > 0, total / ops.where(count > 0, count, 1.0), 0.0)

    return Row(
        "MaskedAverage",
        x,
        {
            "ours": Contestant(built(ours.MaskedAverage(), x, mask=mask), call={"mask": mask}),
            "naive: where": Contestant(function=naive, call={"mask": mask}),
            "keras": Contestant(keras.layers.GlobalAveragePooling1D(), call={"mask": mask}),
            "native": Contestant(function=native, call={"mask": mask}),
            SAFE: Contestant(built(Formula(safe), x, mask=mask), call={"mask": mask}),
        },
        moved=x.nbytes,
    )


def _feature_scale(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.FeatureScale(), x)

    def native(w: Any, x: Any) -> Any:
        return x * w[0]

    return Row(
        "FeatureScale",
        x,
        {
            "ours": Contestant(layer),
            "naive: matrix": Contestant(function=lambda w, x: ops.matmul(x, ops.diag(w[0])), weights=weights_of(layer)),
            **alone_and_in_a_layer(native, layer, x),
        },
        moved=2 * x.nbytes,
    )


def _scaled_exponential(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.ScaledExponential(), x)

    def native(w: Any, x: Any) -> Any:
        return ops.exp(ops.minimum(w[0] * x, 88.0))

    return Row(
        "ScaledExponential",
        x,
        {
            "ours": Contestant(layer),
            "naive: no bound": Contestant(function=lambda w, x: ops.exp(w[0] * x), weights=weights_of(layer)),
            **alone_and_in_a_layer(native, layer, x),
        },
        moved=2 * x.nbytes,
    )


def _clipped_dense(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.ClippedDense(64, reduce="sum"), x)

    def naive(w: Any, x: Any) -> Any:
        return ops.sum(ops.matmul(ops.clip(x, -1.0, 1.0), w[0]) + w[1], axis=-1, keepdims=True)

    def native(w: Any, x: Any) -> Any:
        return ops.matmul(ops.clip(x, -1.0, 1.0), ops.sum(w[0], axis=1, keepdims=True)) + ops.sum(w[1])

    return Row(
        "ClippedDense",
        x,
        {
            "ours": Contestant(layer),
            "naive: every unit": Contestant(function=naive, weights=weights_of(layer)),
            **alone_and_in_a_layer(native, layer, x),
        },
        moved=x.nbytes,
    )


def _self_attention(shape: Shape) -> Row:
    x = series(shape)
    heads, size = 4, shape[2] // 4
    layer = built(ours.SelfAttention(size, num_heads=heads), x)

    def naive(w: Any, x: Any) -> Any:
        query, key, value = (_split(ops.matmul(x, kernel), heads) for kernel in w[:3])
        scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * size**-0.5, axis=-1)
        return ops.matmul(_joined(ops.matmul(scores, value)), w[3])

    def fused(w: Any, x: Any) -> Any:
        query, key, value = (ops.reshape(ops.matmul(x, kernel), (*ops.shape(x)[:2], heads, size)) for kernel in w[:3])
        attended = ops.dot_product_attention(query, key, value)
        return ops.matmul(ops.reshape(attended, ops.shape(x)), w[3])

    kernels = [weight.reshape(shape[2], shape[2]) for weight in weights_of(layer)]
    batch, time, features = shape
    return Row(
        "SelfAttention",
        x,
        {
            "ours": Contestant(layer),
            "keras": Contestant(
                Attending(keras.layers.MultiHeadAttention(heads, size, use_bias=False)), comparable=False
            ),
            "native": Contestant(function=naive, weights=kernels),
            "native, fused": Contestant(function=fused, weights=kernels),
            SAFE: Contestant(built(Formula(fused if keras.config.backend() == "torch" else naive, kernels), x)),
        },
        moved=2 * x.nbytes,
        operations=8 * batch * time * features**2 + 4 * batch * time**2 * features,
    )


class Attending(keras.layers.Layer):
    """Keras's attention layer as self-attention."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.attention = attention

    def call(self, inputs: Any) -> Any:
        """Return the attended values."""
        return self.attention(inputs, inputs)


def _split(x: Any, heads: int) -> Any:
    batch, time, features = ops.shape(x)
    return ops.transpose(ops.reshape(x, (batch, time, heads, features // heads)), (0, 2, 1, 3))


def _joined(x: Any) -> Any:
    batch, heads, time, size = ops.shape(x)
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, time, heads * size))


def _linear(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.Linear(shape[2]), x)

    def native(w: Any, x: Any) -> Any:
        return ops.matmul(x, w[0])

    return Row(
        "Linear",
        x,
        {
            "ours": Contestant(layer),
            "keras": Contestant(with_weights(keras.layers.Dense(shape[2], use_bias=False), x, weights_of(layer))),
            **alone_and_in_a_layer(native, layer, x),
        },
        moved=2 * x.nbytes,
        operations=2 * x.size * shape[2],
    )


def _sine_dense(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.SineDense(shape[2]), x)
    dense = keras.layers.Dense(shape[2], activation=lambda y: ops.sin(30.0 * y))

    def native(w: Any, x: Any) -> Any:
        return ops.sin(30.0 * (ops.matmul(x, w[0]) + w[1]))

    return Row(
        "SineDense",
        x,
        {
            "ours": Contestant(layer),
            "keras": Contestant(with_weights(dense, x, weights_of(layer))),
            **alone_and_in_a_layer(native, layer, x),
        },
        moved=2 * x.nbytes,
        operations=2 * x.size * shape[2],
    )


def _causal_conv1d(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.CausalConv1D(shape[2]), x)
    conv = keras.layers.Conv1D(shape[2], 3, padding="causal", activation="relu")

    def native(w: Any, x: Any) -> Any:
        padded = ops.concatenate([ops.zeros((shape[0], 2, shape[2])), x], axis=1)  # torch.compile fails on ops.pad
        return ops.relu(ops.conv(padded, w[0], padding="valid") + w[1])

    return Row(
        "CausalConv1D",
        x,
        {
            "ours": Contestant(layer),
            "keras": Contestant(with_weights(conv, x, weights_of(layer))),
            **alone_and_in_a_layer(native, layer, x),
        },
        moved=2 * x.nbytes,
        operations=6 * x.size * shape[2],
    )


def _codebook_decoder(shape: Shape) -> Row:
    batch, time, features = shape
    indices = np.random.default_rng(0).integers(0, CODES, (batch, time)).astype("int32")
    codebook = series((CODES, features))
    layer = built(ours.CodebookDecoder(codebook, trainable=True, out_of_range="clip"), indices)

    def naive(w: Any, indices: Any) -> Any:
        return ops.matmul(ops.one_hot(indices, CODES), w[0])

    def safe(w: Any, indices: Any) -> Any:
        vectors = ops.take(w[0], ops.clip(indices, 0, CODES - 1), axis=0)
        return vectors * ops.expand_dims(ops.cast(indices != -1, vectors.dtype), -1)

    return Row(
        "CodebookDecoder",
        indices,
        {
            "ours": Contestant(layer),
            "naive: one-hot": Contestant(function=naive, weights=[codebook]),
            "keras": Contestant(with_weights(keras.layers.Embedding(CODES, features), indices, [codebook])),
            "native": Contestant(function=lambda w, indices: ops.take(w[0], indices, axis=0), weights=[codebook]),
            SAFE: Contestant(built(Formula(safe, [codebook]), indices)),
        },
        moved=2 * 4 * batch * time * features,
    )


def _sample_map(shape: Shape) -> Row:
    x = series(shape)
    return Row(
        "SampleMap",
        x,
        {
            "ours": Contestant(built(ours.SampleMap(centered), x)),
            "naive: map": Contestant(function=lambda _, x: ops.map(centered, x)),
            "native": Contestant(function=lambda _, x: x - ops.mean(x, axis=(1, 2), keepdims=True)),
            SAFE: Contestant(built(Formula(lambda _, x: ops.vectorized_map(centered, x)), x)),
        },
        moved=2 * x.nbytes,
    )


def _batch_delta(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.BatchDelta(), x, training=True)  # this batch is then the previous batch
    seen = np.ones((shape[0], 1, 1), bool)

    def safe(w: Any, x: Any) -> Any:
        previous, seen = (ops.convert_to_tensor(each)[: ops.shape(x)[0]] for each in w)
        return (x - previous) * ops.cast(seen, x.dtype)

    return Row(
        "BatchDelta",
        x,
        {
            "ours": Contestant(layer),
            "native": Contestant(function=lambda _, x, previous: x - previous, call={"previous": x}),
            SAFE: Contestant(built(Formula(safe, [x, seen], trainable=False), x)),
        },
        moved=3 * x.nbytes,
    )


def _intermediate_output(shape: Shape) -> Row:
    x = series(shape)
    layer = built(ours.IntermediateOutput(keras.layers.Dense(shape[2], use_bias=False), "square"), x)
    dense = keras.layers.Dense(shape[2], use_bias=False)
    return Row(
        "IntermediateOutput",
        x,
        {
            "ours": Contestant(layer),
            "keras": Contestant(with_weights(dense, x, weights_of(layer))),
            SAFE: Contestant(with_weights(Squaring(shape[2]), x, weights_of(layer))),
        },
        moved=2 * x.nbytes,
        operations=2 * x.size * shape[2],
    )


class Squaring(keras.layers.Dense):
    """Keras's dense layer, which adds the mean square of its outputs to the loss."""

    def __init__(self, units: int) -> None:
        super().__init__(units, use_bias=False)

    def call(self, inputs: Any, training: Any = None) -> Any:  # noqa: ARG002 - as Keras calls it
        """Return the outputs."""
        outputs = super().call(inputs)
        self.add_loss(ops.mean(ops.square(outputs)))
        return outputs


MAKERS = (
    _sample_map,
    _feature_scale,
    _masked_average,
    _scaled_exponential,
    _clipped_dense,
    _self_attention,
    _linear,
    _sine_dense,
    _causal_conv1d,
    _codebook_decoder,
    _intermediate_output,
    _batch_delta,
)
