"""`ClippedDense`: a dense layer with clipped inputs, and the same gradient on every backend."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from layerwright.core.case import case, declared_cases
from layerwright.layers._arguments import check_choice, check_sizes
from layerwright.layers._axes import feature_count

Gradient = Literal["hard", "straight_through"]


@case(init={"units": 4}, inputs=(None, 5), smooth=False)
@case(init={"units": 2, "learn_bounds": True, "reduce": "sum"}, inputs=(None, None, 5), smooth=False)
@case(
    init={"units": 3, "clip_min": -0.5, "clip_max": 0.25, "gradient": "straight_through", "use_bias": False},
    inputs=(None, None, 5),
    smooth=False,
)
@keras.saving.register_keras_serializable(package="layerwright")
class ClippedDense(keras.layers.Layer):
    """Clip the inputs and apply a dense layer, optionally followed by the sum over its units.

        c = min(max(x, clip_min), clip_max)
        y = c W + b                          reduce=None
        y = Σⱼ (c W + b)ⱼ                    reduce="sum", of shape (…, 1), computed as c (Σⱼ Wⱼ) + Σⱼ bⱼ

    `gradient` selects the gradient of c with respect to x. `"hard"`: 1 inside the bounds and exactly on them, 0
    outside. `"straight_through"`: 1 everywhere, the straight-through estimator of Bengio, Léonard, Courville 2013,
    arXiv:1308.3432. Both are the same on every backend; the gradient of `ops.clip` exactly on a bound is 0, ½ or 1,
    depending on the backend. NaN stays NaN.

    A simple implementation multiplies by the whole kernel and then sums, which takes `units` times the work. It also
    accepts a lower bound above the upper bound, and then gives the same result for every input.

    Args:
        units: The number of columns of W.
        clip_min: The lower bound; with `learn_bounds`, its initial value.
        clip_max: The upper bound; with `learn_bounds`, its initial value.
        learn_bounds: Whether the bounds are trainable weights. If training moves the upper bound below the lower
            bound, the layer uses the lower bound for both.
        gradient: `"hard"` or `"straight_through"`, as above.
        reduce: None, or `"sum"` to return the sum over the units.
        use_bias: Whether to add a bias b.
        kernel_initializer: Initializer of the kernel W, `(features, units)`.
        bias_initializer: Initializer of the bias, `(units,)`.
        kernel_regularizer: Regularizer of the kernel.
        bias_regularizer: Regularizer of the bias.
        kernel_constraint: Constraint on the kernel.
        bias_constraint: Constraint on the bias.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …, features)`. A mask passes through unchanged.

    Output: `(batch, …, units)`, or `(batch, …, 1)` with `reduce="sum"`.

    Raises:
        ValueError: If an argument is invalid, `clip_min` is not below `clip_max`, or the number of features is unknown
            or differs from the one in `build`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import ClippedDense
        >>> layer = ClippedDense(3, reduce="sum", kernel_initializer="ones")
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[0.5, 7.0]]))))
        [[4.5]]
    """

    def __init__(
        self,
        units: int,
        clip_min: float = -1.0,
        clip_max: float = 1.0,
        learn_bounds: bool = False,
        gradient: Gradient = "hard",
        reduce: Literal["sum"] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes("ClippedDense", units=units)
        check_choice("ClippedDense", "gradient", gradient, get_args(Gradient))
        check_choice("ClippedDense", "reduce", reduce, (None, "sum"))
        if not clip_min < clip_max:
            raise ValueError(
                f"ClippedDense: clip_min must be below clip_max (got clip_min={clip_min!r}, clip_max={clip_max!r})."
            )
        self.units = units
        self.clip_min, self.clip_max = float(clip_min), float(clip_max)
        self.learn_bounds = learn_bounds
        self.gradient = gradient
        self.reduce = reduce
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights for inputs of this shape."""
        features = feature_count("ClippedDense", input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        if self.learn_bounds:
            self.lower, self.upper = (
                self.add_weight(name=name, shape=(), initializer=keras.initializers.Constant(start))
                for name, start in (("clip_min", self.clip_min), ("clip_max", self.clip_max))
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any) -> Any:
        """Return the outputs of the dense layer for the clipped inputs, or their sum."""
        clipped = self._clipped(ops.cast(inputs, self.compute_dtype))
        kernel = ops.cast(self.kernel, self.compute_dtype)
        bias = None if self.bias is None else ops.cast(self.bias, self.compute_dtype)
        if self.reduce == "sum":
            kernel = ops.sum(kernel, axis=-1, keepdims=True)
            bias = None if bias is None else ops.sum(bias)
        outputs = ops.matmul(clipped, kernel)
        return outputs if bias is None else outputs + bias

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(batch, …, units)`, or `(batch, …, 1)`."""
        return (*input_shape[:-1], 1 if self.reduce == "sum" else self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        plain = ("units", "clip_min", "clip_max", "learn_bounds", "gradient", "reduce", "use_bias")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }

    def _clipped(self, x: Any) -> Any:
        """Return x clipped. On a bound, the gradient of `ops.clip` is 1/2 on JAX and 1 on the other backends."""
        lower, upper = self._bounds(x.dtype)
        if keras.config.backend() == "jax":
            clipped = ops.where(x < lower, lower, ops.where(x > upper, upper, x))
        else:
            clipped = ops.clip(x, lower, upper)
        if self.gradient == "hard":
            return clipped
        outside = ops.logical_and(ops.logical_or(x < lower, x > upper), ops.isfinite(x))
        passing = ops.where(outside, x, 0.0)
        return clipped + (passing - ops.stop_gradient(passing))

    def _bounds(self, dtype: Any) -> tuple[Any, Any]:
        if not self.learn_bounds:
            return self.clip_min, self.clip_max
        lower, upper = ops.cast(self.lower, dtype), ops.cast(self.upper, dtype)
        return lower, ops.where(upper > lower, upper, lower)


def reference(
    inputs: Any, weights: Any, *, clip_min: float = -1.0, clip_max: float = 1.0, reduce: str | None = None
) -> Any:
    """Return the outputs in float64 NumPy. `weights` are the kernel and the bias, if the layer has one."""
    kernel, *bias = (np.asarray(weight, "float64") for weight in weights)
    outputs = np.clip(np.asarray(inputs, "float64"), clip_min, clip_max) @ kernel + sum(bias)
    return outputs.sum(-1, keepdims=True) if reduce == "sum" else outputs


CASES = declared_cases(ClippedDense)

ClippingWeightedSum = ClippedDense
"""The name that articles on custom Keras layers use."""

__all__ = ["ClippedDense", "ClippingWeightedSum"]
