"""`ScaledExponential`: an exponential with learned rates that cannot overflow."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from layerwright.core.case import case, declared_cases
from layerwright.layers._arguments import check_choice
from layerwright.layers._axes import broadcast_along, positive_axes, sizes_along, validated_axes
from layerwright.layers._precision import at_least_float32

Output = Literal["linear", "log"]
MARGIN = 1e-4
"""The distance of the largest exponent from log(largest number), so that rounding cannot cause an overflow."""

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895e38, "float32": 3.4028e38, "float64": 1.7976e308}


@case(init={"scale": 0.1}, inputs=(None, 5))
@case(init={"scale": 0.25, "learn_scale": True}, inputs=(None, None, 5))
@case(init={"scale": -2.0, "axis": (1, 3), "output": "log"}, inputs=(None, 4, None, 3))
@keras.saving.register_keras_serializable(package="layerwright")
class ScaledExponential(keras.layers.Layer):
    """Compute the exponential of a learned multiple of each feature, without overflow.

        y = s exp(min(w ⊙ x, m))             output="linear"
        y = log|s| + min(w ⊙ x, m)           output="log": log|y| of the first line, for losses on a log scale

    The limit m is log(L) - log(max(|s|, 1)), where L is the largest number of the compute dtype. So |y| is at most L.
    Without the limit, float16 overflows from w x = 11.1 and float32 from 88.7. Above the limit, the output is constant
    and its gradient is 0, never NaN. The exponent is computed in float32 or higher precision. (Kendall, Gal 2017,
    arXiv:1703.04977, predict log σ² for the same reason.)

    The simple formula `scale * exp(x * w)` overflows as soon as training makes w x large. Then the loss is infinite,
    its gradient is NaN, and all weights become NaN.

    Args:
        scale: s; with `learn_scale`, its initial value.
        learn_scale: Whether s is a trainable weight.
        axis: The axis, or a tuple of axes, with one rate w for each position. The batch axis is not allowed.
        exponent_initializer: Initializer of w.
        exponent_regularizer: Regularizer of w.
        exponent_constraint: Constraint on w.
        max_logit: m; `"auto"` for the limit above. With a number, the result can still overflow.
        output: `"linear"` or `"log"`.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …)`, with the sizes along `axis` that the layer was built with. A mask passes through
            unchanged.

    Output: the shape of the inputs, in the layer's compute dtype.

    Raises:
        ValueError: If an argument is invalid, or the inputs' sizes along `axis` are unknown or differ from those in
            `build`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import ScaledExponential
        >>> layer = ScaledExponential(scale=2.0, dtype="float16")
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[0.0, 1.0, 100.0]]))))
        [[2.000e+00 5.438e+00 6.550e+04]]
    """

    def __init__(
        self,
        scale: float = 1.0,
        learn_scale: bool = False,
        axis: int | Sequence[int] = -1,
        exponent_initializer: Any = "ones",
        exponent_regularizer: Any = None,
        exponent_constraint: Any = None,
        max_logit: float | Literal["auto"] = "auto",
        output: Output = "linear",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = validated_axes("ScaledExponential", axis)
        check_choice("ScaledExponential", "output", output, get_args(Output))
        if not _is_finite(scale) or scale == 0:
            raise ValueError(f"ScaledExponential: scale must be a finite number other than 0 (got {scale!r}).")
        if max_logit != "auto" and not _is_finite(max_logit):
            raise ValueError(f"ScaledExponential: max_logit must be a finite number or 'auto' (got {max_logit!r}).")
        self.scale = float(scale)
        self.learn_scale = learn_scale
        self.axis = axis if isinstance(axis, int) else axes
        self.exponent_initializer = keras.initializers.get(exponent_initializer)
        self.exponent_regularizer = keras.regularizers.get(exponent_regularizer)
        self.exponent_constraint = keras.constraints.get(exponent_constraint)
        self.max_logit = max_logit
        self.output_kind = output
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the rates, and the scale if it is trainable, for inputs of this shape."""
        axes = self._axes(input_shape)
        sizes = sizes_along("ScaledExponential", axes, input_shape)
        self.exponent = self.add_weight(
            name="exponent",
            shape=sizes,
            initializer=self.exponent_initializer,
            regularizer=self.exponent_regularizer,
            constraint=self.exponent_constraint,
            autocast=False,
        )
        self.learned_scale = None
        if self.learn_scale:
            start = keras.initializers.Constant(self.scale)
            self.learned_scale = self.add_weight(name="scale", shape=(), initializer=start, autocast=False)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes=dict(zip(axes, sizes, strict=True)))

    def call(self, inputs: Any) -> Any:
        """Return the scaled exponential of the inputs."""
        dtype = at_least_float32(self.compute_dtype)
        rates = broadcast_along(self._axes(inputs.shape), ops.cast(self.exponent, dtype), inputs)
        exponent = ops.cast(inputs, dtype) * rates
        scale = self.scale if self.learned_scale is None else ops.cast(self.learned_scale, dtype)
        highest = self._max_exponent(scale)
        bounded = ops.minimum(exponent, highest)
        if self.learned_scale is not None:
            scale = ops.where(exponent > highest, ops.stop_gradient(scale), scale)
        if self.output_kind == "log":
            return ops.cast(bounded + _log_abs(scale), self.compute_dtype)
        raised = ops.exp(bounded)
        is_one = self.learned_scale is None and self.scale == 1.0
        return ops.cast(raised if is_one else scale * raised, self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "learn_scale": self.learn_scale,
            "axis": self.axis,
            "exponent_initializer": keras.initializers.serialize(self.exponent_initializer),
            "exponent_regularizer": keras.regularizers.serialize(self.exponent_regularizer),
            "exponent_constraint": keras.constraints.serialize(self.exponent_constraint),
            "max_logit": self.max_logit,
            "output": self.output_kind,
        }

    def _axes(self, shape: Sequence[int | None]) -> tuple[int, ...]:
        return positive_axes("ScaledExponential", (self.axis,) if isinstance(self.axis, int) else self.axis, shape)

    def _max_exponent(self, scale: Any) -> Any:
        """Return m, without a gradient: the largest possible output does not depend on the scale."""
        if self.max_logit != "auto":
            return self.max_logit
        highest = math.log(LARGEST[self.compute_dtype]) - MARGIN
        if self.learned_scale is None:
            return highest - math.log(max(abs(self.scale), 1.0))
        return highest - ops.stop_gradient(ops.log(ops.maximum(ops.abs(scale), 1.0)))


def _log_abs(scale: Any) -> Any:
    return math.log(abs(scale)) if isinstance(scale, float) else ops.log(ops.abs(scale))


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def reference(inputs: Any, weights: Any, *, scale: float = 1.0, axis: int = -1, output: Output = "linear") -> Any:
    """Return the outputs in float64 NumPy, without the limit. `weights` are the rates and the scale, if trainable."""
    x = np.asarray(inputs, "float64")
    rates, *learned = (np.asarray(weight, "float64") for weight in weights)
    factor = float(learned[0]) if learned else scale
    logits = x * rates.reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)])
    return logits + np.log(abs(factor)) if output == "log" else factor * np.exp(logits)


CASES = declared_cases(ScaledExponential)

__all__ = ["ScaledExponential"]
