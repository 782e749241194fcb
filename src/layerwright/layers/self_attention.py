"""`SelfAttention`: every step weighs the others, with masks that hold, whole or step by step."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from layerwright import backends
from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_sizes
from layerwright.layers._attention import MASKED_SCORE, independent_copy, divide_by_root_mean_square, softmax
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
    """Let each step take in a weighted mean of the steps it may see.

        q, k, v = x W_q + b_q, x W_k, x W_v + b_v            for each head
        y = softmax(s q kᵀ over what may be seen) v W_o + b_o

    with s = 1/√key_dim (Vaswani et al. 2017, arXiv:1706.03762). Query heads may share keys and values (`num_kv_heads`:
    Ainslie et al. 2023, arXiv:2305.13245), q and k may be normalised (`normalize_qk`: Henry et al. 2020,
    arXiv:2010.04245) and the sight limited (`sliding_window`: Beltagy et al. 2020, arXiv:2004.05150). Keys have no
    bias: it would add the same to every score of a query.

    Steps that the mask leaves out are seen by none, whatever lies there, NaN and inf included; a step that may see
    nothing gets zeros for the mean. Mask, causality and window hold together. Scores are computed in float32 at least.
    `step` computes one step from a cache of the keys and values before it, so that a stream gives what the whole
    series gives.

    The naive version does not scale, so that the softmax saturates as key_dim grows; multiplies scores or values by a
    mask instead of leaving keys out; divides by zero where a row is all padding; and takes an input of rank 2 for a
    series.

    Args:
        key_dim: The size of a head's queries and keys.
        num_heads: The number of query heads.
        num_kv_heads: The number of key and value heads, which divides `num_heads`; by default as many.
        value_dim: The size of a head's values; by default `key_dim`.
        output_dim: The number of output features; by default that of the inputs.
        use_bias: Whether there are biases.
        scale: s; by default as above.
        dropout: The share of weights dropped in training.
        causal: Whether a step sees no later one.
        normalize_qk: Whether each query and key is divided by its root mean square.
        sliding_window: How many steps a step sees, itself included: those before it, and if not `causal` as many after.
        flash_attention: As in `keras.ops.dot_product_attention`, which is used where it is quicker.
        seed: Seed of the dropout.
        kernel_initializer: Initialiser of the kernels.
        kernel_regularizer: Regulariser of the kernels.
        kernel_constraint: Constraint on the kernels.
        **kwargs: Those of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …, time, features)`, of rank 3 at least.
        mask: `(batch, …, time)`, true where a step counts. By default the mask that travels with the inputs.
        return_attention_scores: Whether the weights, `(batch, …, num_heads, time, time)`, are returned too.

    Output: `(batch, …, time, output_dim)`, with the mask.

    Raises:
        ValueError: If an argument is not one of those above, the inputs' rank is below 3, their number of features is
            unknown or not the layer's, or the mask's shape does not fit them.

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
            raise ValueError(f"SelfAttention: dropout must be at least 0 and below 1 (got {dropout!r}).")
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
        """Return what each step takes in; with `return_attention_scores` also the weights."""
        leading, (time, features) = ops.shape(inputs)[:-2], ops.shape(inputs)[-2:]
        x = ops.cast(ops.reshape(inputs, (-1, time, features)), self.compute_dtype)
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            check_mask_shape("SelfAttention", mask, inputs, range(len(inputs.shape) - 1), len(inputs.shape) - 2)
            mask = ops.reshape(ops.cast(mask, "bool"), (-1, time))
            x = ops.where(ops.expand_dims(mask, -1), x, 0.0)
        steps = ops.arange(time, dtype="int32")
        seen = self._seen(ops.expand_dims(steps, 1), steps)
        seen = None if seen is None else ops.expand_dims(seen, 0)
        if mask is not None:
            keys = ops.expand_dims(mask, 1)
            seen = keys if seen is None else ops.logical_and(seen, keys)
        query, key, value = self._projected(x)
        dropping = bool(training) and self.dropout > 0
        if self._delegates and not return_attention_scores and not dropping:
            mixed, weights = self._delegated(query, key, value, seen), None
        else:
            weights = self._weights(query, key, seen)
            mixed = self._mixed(self._dropped(weights) if dropping else weights, value)
        outputs = self._output(ops.reshape(mixed, (-1, time, self.num_heads * self._value_size)))
        outputs = ops.reshape(outputs, (*leading, time, self.output_kernel.shape[-1]))
        if not return_attention_scores:
            return outputs
        return outputs, ops.reshape(weights, (*leading, self.num_heads, time, time))

    def compute_output_spec(
        self,
        inputs: Any,
        mask: Any = None,  # noqa: ARG002 - it changes no shape
        training: bool | None = None,  # noqa: ARG002 - nor does this
        return_attention_scores: bool = False,
    ) -> Any:
        """Return what `call` gives, symbolically."""
        *leading, time, features = inputs.shape
        outputs = keras.KerasTensor((*leading, time, self.output_dim or features), self.compute_dtype)
        if not return_attention_scores:
            return outputs
        return outputs, keras.KerasTensor((*leading, self.num_heads, time, time), self.compute_dtype)

    def get_initial_state(self, batch_size: int, max_length: int) -> dict[str, Any]:
        """Return the cache before the first step, with room for `max_length` steps."""
        if not self.causal:
            raise ValueError("SelfAttention: without causal=True a step sees later ones, and cannot be computed alone.")
        shape = (batch_size, max_length, self._kv_heads)
        return {
            "keys": ops.zeros((*shape, self.key_dim), self.compute_dtype),
            "values": ops.zeros((*shape, self._value_size), self.compute_dtype),
            "known": ops.zeros((batch_size, max_length), "bool"),
            "step": ops.zeros((), "int32"),
        }

    def step(self, inputs: Any, state: Mapping[str, Any], mask: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the outputs of one time step in inference, and the state for the next.

        Args:
            inputs: `(batch, features)`.
            state: What `get_initial_state` or the step before returned.
            mask: `(batch,)`, true where the step counts.
        """
        x = ops.expand_dims(ops.cast(inputs, self.compute_dtype), 1)
        known = ops.ones(ops.shape(x)[:2], "bool")
        if mask is not None:
            known = ops.expand_dims(ops.cast(mask, "bool"), 1)
            x = ops.where(ops.expand_dims(known, -1), x, 0.0)
        now, steps = state["step"], ops.arange(state["keys"].shape[1], dtype="int32")
        if not backends.current().is_symbolic(now) and int(now) >= state["keys"].shape[1]:
            raise ValueError(
                f"SelfAttention: the state has room for {state['keys'].shape[1]} steps, and this is one more; "
                "pass a larger max_length to get_initial_state."
            )
        query, key, value = self._projected(x)
        here = ops.equal(steps, now)
        keys, values, known = (
            ops.where(ops.reshape(here, (1, -1, *[1] * (len(new.shape) - 2))), new, old)
            for new, old in ((key, state["keys"]), (value, state["values"]), (known, state["known"]))
        )
        seen = ops.logical_and(ops.expand_dims(self._seen(now, steps), 0), known)
        mixed = self._mixed(self._weights(query, keys, ops.expand_dims(seen, 1)), values)
        outputs = self._output(ops.reshape(mixed, (-1, self.num_heads * self._value_size)))
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
    def _delegates(self) -> bool:
        """Whether `ops.dot_product_attention` computes the same, and quicker: torch has a kernel for it."""
        return keras.config.backend() == "torch" and self._kv_heads == self.num_heads and self.value_dim is None

    def _kernel(self, name: str, inputs: int, outputs: int) -> Any:
        return self.add_weight(
            name=f"{name}_kernel",
            shape=(inputs, outputs),
            initializer=independent_copy(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def _projected(self, x: Any) -> tuple[Any, Any, Any]:
        """Return queries, scaled, keys and values, each `(batch, time, heads, size)`."""
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

    def _seen(self, query: Any, key: Any) -> Any:
        """Return whether the step `query` may see the step `key`; None if all see all."""
        behind = query - key
        seen = behind >= 0 if self.causal else None
        if self.sliding_window is not None:
            near = ops.abs(behind) < self.sliding_window
            seen = near if seen is None else ops.logical_and(seen, near)
        return seen

    def _weights(self, query: Any, key: Any, seen: Any) -> Any:
        """Return the weights, `(batch, heads, time, time)`, each row of sum 1, or 0 where nothing is seen."""
        batch, time, heads, size = ops.shape(query)
        wide, group = at_least_float32(self.compute_dtype), self.num_heads // self._kv_heads
        query = ops.reshape(query, (batch, time, self._kv_heads, group, size))
        query = ops.reshape(ops.transpose(query, (0, 2, 3, 1, 4)), (batch, self._kv_heads, group * time, size))
        keys = ops.transpose(key, (0, 2, 3, 1))
        scores = ops.matmul(ops.cast(query, wide), ops.cast(keys, wide))  # XLA takes twice as long for an einsum
        scores = ops.reshape(scores, (batch, heads, time, ops.shape(key)[1]))
        if seen is None:
            return ops.cast(softmax(scores), key.dtype)
        seen = ops.expand_dims(seen, 1)
        weights = softmax(ops.where(seen, scores, MASKED_SCORE))
        return ops.cast(ops.where(seen, weights, 0.0), key.dtype)

    def _mixed(self, weights: Any, value: Any) -> Any:
        """Return the weighted means of the values, `(batch, time, heads, size)`."""
        batch, heads, time, steps = ops.shape(weights)
        group = heads // self._kv_heads
        weights = ops.reshape(weights, (batch, self._kv_heads, group * time, steps))
        mixed = ops.matmul(weights, ops.transpose(value, (0, 2, 1, 3)))
        mixed = ops.reshape(mixed, (batch, self._kv_heads, group, time, self._value_size))
        return ops.reshape(ops.transpose(mixed, (0, 3, 1, 2, 4)), (batch, time, heads, self._value_size))

    def _dropped(self, weights: Any) -> Any:
        return keras.random.dropout(weights, self.dropout, seed=self.seed_generator)

    def _delegated(self, query: Any, key: Any, value: Any, seen: Any) -> Any:
        # None would have Keras ask torch whether flash attention can be used, which torch.compile cannot trace; without
        # being asked, torch takes the quickest kernel that it has.
        options = {"scale": 1.0, "flash_attention": bool(self.flash_attention)}
        if seen is None:
            return ops.dot_product_attention(query, key, value, **options)
        batch, time = ops.shape(query)[:2]
        mask = ops.broadcast_to(ops.expand_dims(seen, 1), (batch, self.num_heads, time, time))
        mixed = ops.dot_product_attention(query, key, value, mask=mask, **options)
        some = ops.expand_dims(ops.expand_dims(ops.any(seen, axis=-1), -1), -1)
        return ops.where(some, mixed, 0.0)

    def _output(self, mixed: Any) -> Any:
        outputs = ops.matmul(mixed, ops.cast(self.output_kernel, mixed.dtype))
        return outputs + ops.cast(self.output_bias, mixed.dtype) if self.use_bias else outputs


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
    """The same in float64 NumPy; `weights` are the four kernels and, if there are some, the three biases."""
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
