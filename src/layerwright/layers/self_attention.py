"""`SelfAttention`: multi-head self-attention, with correct masks and streaming."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from layerwright import backends
from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_sizes
from layerwright.layers._attention import MASKED_SCORE, divide_by_root_mean_square, independent_copy, softmax
from layerwright.layers._axes import feature_count
from layerwright.layers._masks import check_mask_shape
from layerwright.layers._precision import at_least_float32

MASK = {"mask": InputSpec((None, None), "bool")}


@case(init={"key_dim": 4, "num_heads": 2}, inputs=(None, None, 5), call=MASK)
@case(
    init={"key_dim": 4, "num_heads": 4, "num_kv_heads": 2, "value_dim": 3, "output_dim": 6, "causal": True},
    inputs=(None, None, 5),
    call=MASK,
    causal=True,
)
@case(
    init={"key_dim": 4, "num_heads": 2, "use_bias": True, "normalize_qk": True, "sliding_window": 3, "dropout": 0.3},
    inputs=(None, None, 5),
    random=True,
)
@keras.saving.register_keras_serializable(package="layerwright")
class SelfAttention(keras.layers.Layer):
    """Compute multi-head self-attention: each step receives a weighted mean of the steps that it may attend to.

        q, k, v = x W_q + b_q, x W_k, x W_v + b_v            for each head
        y = softmax(s q kᵀ, over the allowed keys) v W_o + b_o

    The scale s is 1/√key_dim (Vaswani et al. 2017, arXiv:1706.03762). Several query heads can share one key and value
    head (`num_kv_heads`: Ainslie et al. 2023, arXiv:2305.13245). q and k can be normalized (`normalize_qk`: Henry et
    al. 2020, arXiv:2010.04245). A window can limit attention (`sliding_window`: Beltagy et al. 2020,
    arXiv:2004.05150). Keys have no bias, because it would add the same number to every score of a query.

    No step attends to a masked step, even if that contains NaN or infinity. If a step has no allowed key, its weighted
    mean is 0. Mask, causality and window can be combined. Scores are computed in float32 or higher precision. `step`
    computes one step from a cache of the earlier keys and values, so streaming gives the same outputs as a call on the
    whole series.

    Simple implementations have four defects. Without the scale, the softmax saturates as key_dim grows. If they
    multiply scores or values by the mask, masked keys still get weight. If a row is all padding, they divide by zero.
    They accept inputs of rank 2 and treat the batch as a series.

    Args:
        key_dim: The size of the queries and keys of each head.
        num_heads: The number of query heads.
        num_kv_heads: The number of key and value heads, which must divide `num_heads`; by default `num_heads`.
        value_dim: The size of the values of each head; by default `key_dim`.
        output_dim: The number of output features; by default the number of input features.
        use_bias: Whether to add biases.
        scale: s; by default as above.
        dropout: The fraction of attention weights to drop in training.
        causal: Whether each step attends only to itself and earlier steps.
        normalize_qk: Whether to divide each query and key by its root mean square.
        sliding_window: The number of steps that each step may attend to, counting itself and the steps before it.
            Unless `causal`, it may also attend to as many steps after it.
        flash_attention: As in `keras.ops.dot_product_attention`, which the layer uses where it is faster.
        seed: Seed of the dropout.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        kernel_constraint: Constraint on the kernels.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …, time, features)`, with rank 3 or higher.
        mask: `(batch, …, time)`, True for valid steps. By default, the mask attached to the inputs.
        return_attention_scores: Whether to also return the attention weights, `(batch, …, num_heads, time, time)`.

    Output: `(batch, …, time, output_dim)`, with the mask.

    Raises:
        ValueError: If an argument is invalid, the inputs have a rank below 3, the number of features is unknown or
            differs from the one in `build`, or the mask's shape does not match the inputs.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import SelfAttention
        >>> layer = SelfAttention(key_dim=8, num_heads=2, causal=True)
        >>> print(layer(np.zeros((2, 5, 3))).shape[-1])  # (batch, time, features)
        3
        >>> state = layer.get_initial_state(batch_size=2, max_length=5)
        >>> output, state = layer.step(np.zeros((2, 3)), state)
    """

    def __init__(
        self,
        key_dim: int,
        num_heads: int = 1,
        num_kv_heads: int | None = None,
        value_dim: int | None = None,
        output_dim: int | None = None,
        use_bias: bool = False,
        scale: float | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        normalize_qk: bool = False,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        seed: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes("SelfAttention", key_dim=key_dim, num_heads=num_heads)
        optional = {
            "num_kv_heads": num_kv_heads,
            "value_dim": value_dim,
            "output_dim": output_dim,
            "sliding_window": sliding_window,
        }
        check_sizes("SelfAttention", **{name: size for name, size in optional.items() if size is not None})
        if num_heads % (num_kv_heads or num_heads):
            raise ValueError(
                f"SelfAttention: num_kv_heads must divide num_heads (got num_kv_heads={num_kv_heads}, "
                f"num_heads={num_heads})."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"SelfAttention: dropout must be at least 0 and less than 1 (got {dropout!r}).")
        self.key_dim = key_dim
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.value_dim = value_dim
        self.output_dim = output_dim
        self.use_bias = use_bias
        self.scale = scale
        self.dropout = dropout
        self.causal = causal
        self.normalize_qk = normalize_qk
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.seed = seed
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None
        self.input_spec = keras.layers.InputSpec(min_ndim=3)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights for inputs of this shape."""
        features = feature_count("SelfAttention", input_shape)
        outputs = self.output_dim or features
        self.query_kernel = self._kernel("query", features, self.num_heads * self.key_dim)
        self.key_kernel = self._kernel("key", features, self._kv_heads * self.key_dim)
        self.value_kernel = self._kernel("value", features, self._kv_heads * self._value_size)
        self.output_kernel = self._kernel("output", self.num_heads * self._value_size, outputs)
        if self.use_bias:
            self.query_bias = self.add_weight((self.num_heads * self.key_dim,), "zeros", name="query_bias")
            self.value_bias = self.add_weight((self._kv_heads * self._value_size,), "zeros", name="value_bias")
            self.output_bias = self.add_weight((outputs,), "zeros", name="output_bias")
        self.input_spec = keras.layers.InputSpec(min_ndim=3, axes={-1: features})

    def call(
        self, inputs: Any, mask: Any = None, training: bool | None = None, return_attention_scores: bool = False
    ) -> Any:
        """Return the outputs; with `return_attention_scores`, also the attention weights."""
        leading, (time, features) = ops.shape(inputs)[:-2], ops.shape(inputs)[-2:]
        x = ops.cast(ops.reshape(inputs, (-1, time, features)), self.compute_dtype)
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            check_mask_shape("SelfAttention", mask, inputs, range(len(inputs.shape) - 1), len(inputs.shape) - 2)
            mask = ops.reshape(ops.cast(mask, "bool"), (-1, time))
            x = ops.where(ops.expand_dims(mask, -1), x, 0.0)
        steps = ops.arange(time, dtype="int32")
        allowed = self._allowed(ops.expand_dims(steps, 1), steps)
        allowed = None if allowed is None else ops.expand_dims(allowed, 0)
        if mask is not None:
            keys = ops.expand_dims(mask, 1)
            allowed = keys if allowed is None else ops.logical_and(allowed, keys)
        query, key, value = self._project(x)
        dropping = bool(training) and self.dropout > 0
        if self._can_use_keras_attention and not return_attention_scores and not dropping:
            means, weights = self._keras_attention(query, key, value, allowed), None
        else:
            weights = self._weights(query, key, allowed)
            means = self._weighted_means(self._drop(weights) if dropping else weights, value)
        outputs = self._output(ops.reshape(means, (-1, time, self.num_heads * self._value_size)))
        outputs = ops.reshape(outputs, (*leading, time, self.output_kernel.shape[-1]))
        if not return_attention_scores:
            return outputs
        return outputs, ops.reshape(weights, (*leading, self.num_heads, time, time))

    def compute_output_spec(
        self,
        inputs: Any,
        mask: Any = None,  # noqa: ARG002 - it does not change the shape
        training: bool | None = None,  # noqa: ARG002 - it does not change the shape
        return_attention_scores: bool = False,
    ) -> Any:
        """Return the outputs of `call` as `keras.KerasTensor`."""
        *leading, time, features = inputs.shape
        outputs = keras.KerasTensor((*leading, time, self.output_dim or features), self.compute_dtype)
        if not return_attention_scores:
            return outputs
        return outputs, keras.KerasTensor((*leading, self.num_heads, time, time), self.compute_dtype)

    def get_initial_state(self, batch_size: int, max_length: int) -> dict[str, Any]:
        """Return the empty cache for a stream of at most `max_length` steps."""
        if not self.causal:
            raise ValueError(
                "SelfAttention: streaming needs causal=True, because a step attends to later steps otherwise; pass "
                "causal=True to the constructor."
            )
        shape = (batch_size, max_length, self._kv_heads)
        return {
            "keys": ops.zeros((*shape, self.key_dim), self.compute_dtype),
            "values": ops.zeros((*shape, self._value_size), self.compute_dtype),
            "known": ops.zeros((batch_size, max_length), "bool"),
            "step": ops.zeros((), "int32"),
        }

    def step(self, inputs: Any, state: Mapping[str, Any], mask: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the outputs of one time step in inference, and the state for the next step.

        Args:
            inputs: `(batch, features)`.
            state: The state from `get_initial_state` or from the previous step.
            mask: `(batch,)`, True where the step is valid.
        """
        x = ops.expand_dims(ops.cast(inputs, self.compute_dtype), 1)
        known = ops.ones(ops.shape(x)[:2], "bool")
        if mask is not None:
            known = ops.expand_dims(ops.cast(mask, "bool"), 1)
            x = ops.where(ops.expand_dims(known, -1), x, 0.0)
        now, steps = state["step"], ops.arange(state["keys"].shape[1], dtype="int32")
        if not backends.current().is_symbolic(now) and int(now) >= state["keys"].shape[1]:
            raise ValueError(
                f"SelfAttention: the state holds at most {state['keys'].shape[1]} steps, and it is full; pass a larger "
                "max_length to get_initial_state."
            )
        query, key, value = self._project(x)
        here = ops.equal(steps, now)
        keys, values, known = (
            ops.where(ops.reshape(here, (1, -1, *[1] * (len(new.shape) - 2))), new, old)
            for new, old in ((key, state["keys"]), (value, state["values"]), (known, state["known"]))
        )
        allowed = ops.logical_and(ops.expand_dims(self._allowed(now, steps), 0), known)
        means = self._weighted_means(self._weights(query, keys, ops.expand_dims(allowed, 1)), values)
        outputs = self._output(ops.reshape(means, (-1, self.num_heads * self._value_size)))
        return outputs, {"keys": keys, "values": values, "known": known, "step": now + 1}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        plain = (
            *("key_dim", "num_heads", "num_kv_heads", "value_dim", "output_dim", "use_bias", "scale", "dropout"),
            *("causal", "normalize_qk", "sliding_window", "flash_attention", "seed"),
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }

    @property
    def _kv_heads(self) -> int:
        return self.num_kv_heads or self.num_heads

    @property
    def _value_size(self) -> int:
        return self.value_dim or self.key_dim

    @property
    def _can_use_keras_attention(self) -> bool:
        """Whether `ops.dot_product_attention` computes the same and is faster: torch has a kernel for it."""
        return keras.config.backend() == "torch" and self._kv_heads == self.num_heads and self.value_dim is None

    def _kernel(self, name: str, inputs: int, outputs: int) -> Any:
        return self.add_weight(
            name=f"{name}_kernel",
            shape=(inputs, outputs),
            initializer=independent_copy(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def _project(self, x: Any) -> tuple[Any, Any, Any]:
        """Return scaled queries, keys and values, each `(batch, time, heads, size)`."""
        query, key, value = (
            ops.matmul(x, ops.cast(kernel, x.dtype))
            for kernel in (self.query_kernel, self.key_kernel, self.value_kernel)
        )
        if self.use_bias:
            query = query + ops.cast(self.query_bias, x.dtype)
            value = value + ops.cast(self.value_bias, x.dtype)
        batch, time, _ = ops.shape(x)
        query = ops.reshape(query, (batch, time, self.num_heads, self.key_dim))
        key = ops.reshape(key, (batch, time, self._kv_heads, self.key_dim))
        value = ops.reshape(value, (batch, time, self._kv_heads, self._value_size))
        if self.normalize_qk:
            query, key = divide_by_root_mean_square(query), divide_by_root_mean_square(key)
        scale = self.key_dim**-0.5 if self.scale is None else self.scale
        return query * ops.cast(scale, x.dtype), key, value

    def _allowed(self, query: Any, key: Any) -> Any:
        """Return whether the step number `query` may attend to the step number `key`; None if there is no limit."""
        distance = query - key
        allowed = distance >= 0 if self.causal else None
        if self.sliding_window is not None:
            near = ops.abs(distance) < self.sliding_window
            allowed = near if allowed is None else ops.logical_and(allowed, near)
        return allowed

    def _weights(self, query: Any, key: Any, allowed: Any) -> Any:
        """Return attention weights `(batch, heads, time, time)`. A row sums to 1, or to 0 if no key is allowed."""
        batch, time, heads, size = ops.shape(query)
        wide, group = at_least_float32(self.compute_dtype), self.num_heads // self._kv_heads
        query = ops.reshape(query, (batch, time, self._kv_heads, group, size))
        query = ops.reshape(ops.transpose(query, (0, 2, 3, 1, 4)), (batch, self._kv_heads, group * time, size))
        keys = ops.transpose(key, (0, 2, 3, 1))
        scores = ops.matmul(ops.cast(query, wide), ops.cast(keys, wide))  # with einsum, XLA takes twice as long
        scores = ops.reshape(scores, (batch, heads, time, ops.shape(key)[1]))
        if allowed is None:
            return ops.cast(softmax(scores), key.dtype)
        allowed = ops.expand_dims(allowed, 1)
        weights = softmax(ops.where(allowed, scores, MASKED_SCORE))
        return ops.cast(ops.where(allowed, weights, 0.0), key.dtype)

    def _weighted_means(self, weights: Any, value: Any) -> Any:
        """Return the weighted means of the values, `(batch, time, heads, size)`."""
        batch, heads, time, steps = ops.shape(weights)
        group = heads // self._kv_heads
        weights = ops.reshape(weights, (batch, self._kv_heads, group * time, steps))
        means = ops.matmul(weights, ops.transpose(value, (0, 2, 1, 3)))
        means = ops.reshape(means, (batch, self._kv_heads, group, time, self._value_size))
        return ops.reshape(ops.transpose(means, (0, 3, 1, 2, 4)), (batch, time, heads, self._value_size))

    def _drop(self, weights: Any) -> Any:
        return keras.random.dropout(weights, self.dropout, seed=self.seed_generator)

    def _keras_attention(self, query: Any, key: Any, value: Any, allowed: Any) -> Any:
        # With None, Keras would ask torch whether flash attention is available, which torch.compile cannot trace.
        # With False, torch still selects its fastest kernel.
        options = {"scale": 1.0, "flash_attention": bool(self.flash_attention)}
        if allowed is None:
            return ops.dot_product_attention(query, key, value, **options)
        batch, time = ops.shape(query)[:2]
        mask = ops.broadcast_to(ops.expand_dims(allowed, 1), (batch, self.num_heads, time, time))
        means = ops.dot_product_attention(query, key, value, mask=mask, **options)
        has_key = ops.expand_dims(ops.expand_dims(ops.any(allowed, axis=-1), -1), -1)
        return ops.where(has_key, means, 0.0)

    def _output(self, means: Any) -> Any:
        outputs = ops.matmul(means, ops.cast(self.output_kernel, means.dtype))
        return outputs + ops.cast(self.output_bias, means.dtype) if self.use_bias else outputs


def reference(
    inputs: Any,
    weights: Sequence[Any],
    mask: Any = None,
    *,
    num_heads: int = 1,
    num_kv_heads: int | None = None,
    causal: bool = False,
    sliding_window: int | None = None,
    normalize_qk: bool = False,
    scale: float | None = None,
) -> Any:
    """Return the outputs in float64 NumPy. `weights` are the four kernels and, with `use_bias`, the three biases."""
    x = np.asarray(inputs, "float64")
    batch, time, _ = x.shape
    counts = np.ones((batch, time), bool) if mask is None else np.asarray(mask, bool)
    x = np.where(counts[..., None], x, 0)
    wq, wk, wv, wo, *biases = (np.asarray(weight, "float64") for weight in weights)
    bq, bv, bo = biases or (0, 0, 0)
    kv_heads = num_kv_heads or num_heads
    query, key, value = (
        each.reshape(batch, time, heads, each.shape[-1] // heads)
        for each, heads in ((x @ wq + bq, num_heads), (x @ wk, kv_heads), (x @ wv + bv, kv_heads))
    )
    if normalize_qk:
        query, key = (each / np.sqrt((each**2).mean(-1, keepdims=True) + 1e-6) for each in (query, key))
    outputs = np.zeros((batch, time, num_heads, value.shape[-1]))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    for b, t, h in np.ndindex(batch, time, num_heads):
        group = h // (num_heads // kv_heads)
        near = [
            s
            for s in range(time)
            if counts[b, s] and not (causal and s > t) and not (sliding_window and abs(t - s) >= sliding_window)
        ]
        if near:
            scores = scale * key[b, near, group] @ query[b, t, h]
            shares = np.exp(scores - scores.max())
            outputs[b, t, h] = shares @ value[b, near, group] / shares.sum()
    return outputs.reshape(batch, time, len(wo)) @ wo + bo


CASES = declared_cases(SelfAttention)

CustomAttention = SelfAttention
"""The name that articles on custom Keras layers use."""

__all__ = ["CustomAttention", "SelfAttention"]
