"""`FeatureScale`: multiplies each feature by a learned factor, optionally followed by a sum or mean."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_choice
from layerwright.layers._axes import broadcast_along, broadcast_shape, positive_axes, sizes_along, validated_axes
from layerwright.layers._masks import broadcast_mask

Reduce = Literal["sum", "mean"]


@case(inputs=(None, None, 5))
@case(init={"reduce": "sum"}, inputs=(None, None, 5), call={"mask": InputSpec((None, None), "bool")})
@case(init={"axis": (1, 3), "use_bias": True, "reduce": "mean", "keepdims": True}, inputs=(None, 4, 6, 3))
@keras.saving.register_keras_serializable(package="layerwright")
class FeatureScale(keras.layers.Layer):
    """Multiply each feature by a learned factor, optionally followed by a sum or mean.

        y = w ⊙ x + b                         reduce=None; b only with use_bias
        y = Σ w ⊙ x + b, summed over `axis`   reduce="sum", a learned weighted sum
        y = mean of w ⊙ x over `axis` + b     reduce="mean"

    The scale w has the sizes of the inputs along `axis`, read in `build`, and broadcasts along the other axes. (This is
    the diagonal affine map of Touvron et al. 2021, "ResMLP", arXiv:2105.03404, eq. 1.) The bias has the same shape.
    With `reduce`, the bias is a single number, because a sum of several biases would act as one.

    Masked steps count as zeros, even if they contain NaN or infinity, and a mean does not count them. Sums are computed
    in float32 (float64 with a float64 policy), so half-precision inputs do not overflow in the sum.

    Some published layers store the factors in `self.weights`. Keras reserves this attribute, so the layer cannot be
    constructed. Others take the size as an argument. If that size is 1, or matches a different axis, the factors
    broadcast without an error.

    Args:
        axis: The axis, or a tuple of axes, with one factor for each position. The batch axis is not allowed.
        scale_initializer: Initializer of the scale.
        scale_regularizer: Regularizer of the scale.
        scale_constraint: Constraint on the scale.
        use_bias: Whether to add a bias b.
        bias_initializer: Initializer of the bias.
        reduce: `"sum"` or `"mean"` to reduce over `axis`; None for no reduction.
        keepdims: Whether reduced axes stay, with size 1.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …)`, with the sizes along `axis` that the layer was built with.
        mask: `(batch, time)`, or more leading axes of the inputs, True for valid steps. By default, the mask attached
            to the inputs.

    Output: the shape of the inputs, without `axis` if it is reduced. The output carries the mask, unless the mask
    covers a reduced axis.

    Raises:
        ValueError: If an argument is invalid, the inputs' sizes along `axis` are unknown or differ from those in
            `build`, or the mask's shape does not match the inputs.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import FeatureScale
        >>> layer = FeatureScale(reduce="sum")
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[1.0, 2.0, 4.0]]))))
        [7.]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        scale_initializer: Any = "ones",
        scale_regularizer: Any = None,
        scale_constraint: Any = None,
        use_bias: bool = False,
        bias_initializer: Any = "zeros",
        reduce: Reduce | None = None,
        keepdims: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = validated_axes("FeatureScale", axis)
        check_choice("FeatureScale", "reduce", reduce, (None, *get_args(Reduce)))
        self.axis = axis if isinstance(axis, int) else axes
        self.scale_initializer = keras.initializers.get(scale_initializer)
        self.scale_regularizer = keras.regularizers.get(scale_regularizer)
        self.scale_constraint = keras.constraints.get(scale_constraint)
        self.use_bias = use_bias
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.reduce = reduce
        self.keepdims = keepdims
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the scale and the bias for inputs of this shape."""
        axes = self._axes(input_shape)
        sizes = sizes_along("FeatureScale", axes, input_shape)
        self.scale = self.add_weight(
            name="scale",
            shape=sizes,
            initializer=self.scale_initializer,
            regularizer=self.scale_regularizer,
            constraint=self.scale_constraint,
        )
        self.bias = None
        if self.use_bias:
            shape = sizes if self.reduce is None else ()
            self.bias = self.add_weight(name="bias", shape=shape, initializer=self.bias_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes=dict(zip(axes, sizes, strict=True)))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the scaled inputs, or their sum or mean."""
        axes = self._axes(inputs.shape)
        keeps_dtype = self.compute_dtype == "float64" or self.reduce is None
        x = ops.cast(inputs, self.compute_dtype if keeps_dtype else "float32")
        if mask is not None:
            mask = broadcast_mask("FeatureScale", mask, inputs)
            x = ops.where(mask, x, 0.0)
        scaled = x * broadcast_along(axes, ops.cast(self.scale, x.dtype), x)
        if self.reduce is None:
            return scaled if self.bias is None else scaled + broadcast_along(axes, ops.cast(self.bias, x.dtype), x)
        total = ops.sum(scaled, axes, keepdims=self.keepdims)
        if self.reduce == "mean":
            total = total / self._term_counts(axes, mask, x)
        if self.bias is not None:
            total = total + ops.cast(self.bias, x.dtype)
        return ops.cast(total, self.compute_dtype)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the outputs: None if the input mask covers a reduced axis."""
        if previous_mask is None or self.reduce is None:
            return previous_mask
        return None if min(self._axes(inputs.shape)) < len(previous_mask.shape) else previous_mask

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the inputs, without the reduced axes, or with size 1 there."""
        if self.reduce is None:
            return tuple(input_shape)
        axes = self._axes(input_shape)
        if self.keepdims:
            return tuple(1 if axis in axes else size for axis, size in enumerate(input_shape))
        return tuple(size for axis, size in enumerate(input_shape) if axis not in axes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "scale_initializer": keras.initializers.serialize(self.scale_initializer),
            "scale_regularizer": keras.regularizers.serialize(self.scale_regularizer),
            "scale_constraint": keras.constraints.serialize(self.scale_constraint),
            "use_bias": self.use_bias,
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "reduce": self.reduce,
            "keepdims": self.keepdims,
        }

    def _axes(self, shape: Sequence[int | None]) -> tuple[int, ...]:
        return positive_axes("FeatureScale", (self.axis,) if isinstance(self.axis, int) else self.axis, shape)

    def _term_counts(self, axes: Sequence[int], mask: Any, x: Any) -> Any:
        """Return the number of unmasked terms of each mean, at least 1."""
        ones = ops.ones(broadcast_shape(axes, x.shape, self.scale.shape), x.dtype)
        counted = ones if mask is None else ones * ops.cast(mask, x.dtype)
        return ops.maximum(ops.sum(counted, axes, keepdims=self.keepdims), 1.0)


def reference(
    inputs: Any,
    weights: Any,
    mask: Any = None,
    *,
    axis: int | Sequence[int] = -1,
    reduce: Reduce | None = None,
    keepdims: bool = False,
) -> Any:
    """Return the outputs in float64 NumPy. `weights` are the scale and the bias, if the layer has one."""
    x = np.asarray(inputs, "float64")
    axes = tuple(one % x.ndim for one in ((axis,) if isinstance(axis, int) else axis))
    counts = np.ones(x.shape, bool)
    if mask is not None:
        counts = np.broadcast_to(np.reshape(mask, np.shape(mask) + (1,) * (x.ndim - np.ndim(mask))), x.shape)
    along = [size if place in axes else 1 for place, size in enumerate(x.shape)]
    scale, *bias = (np.asarray(weight, "float64") for weight in weights)
    scaled = np.where(counts, x, 0) * scale.reshape(along)
    if reduce is None:
        return scaled + sum(b.reshape(along) for b in bias)
    total = scaled.sum(axes, keepdims=keepdims)
    terms = np.maximum(counts.sum(axes, keepdims=keepdims), 1) if reduce == "mean" else 1
    return total / terms + sum(bias)


CASES = declared_cases(FeatureScale)

WeightedSum = FeatureScale
"""The name that articles on custom Keras layers use."""

__all__ = ["FeatureScale", "WeightedSum"]
