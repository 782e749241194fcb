"""`SineDense`: a dense layer with a sine activation, for implicit neural representations."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from layerwright.core.case import case, declared_cases
from layerwright.layers._arguments import check_sizes
from layerwright.layers._axes import feature_count
from layerwright.layers._precision import at_least_float32


@case(init={"units": 4, "w0": 2.0}, inputs=(None, 5))
@case(init={"units": 4, "w0": 2.0, "is_first": True, "learn_frequency": True}, inputs=(None, None, 3))
@case(init={"units": 3, "w0": 1.0, "use_bias": False, "kernel_initializer": "glorot_uniform"}, inputs=(None, None, 5))
@keras.saving.register_keras_serializable(package="layerwright")
class SineDense(keras.layers.Layer):
    """Apply a dense layer and the sine: one layer of a SIREN.

        y = sin(w0 (x W + b))

    The initialization is that of Sitzmann, Martel, Bergman, Lindell, Wetzstein 2020, arXiv:2006.09661, section 3.2. For
    n features, W is uniform within ±1/n in the first layer and within ±√(c/n)/w0 in the others. b is uniform within
    ±1/√n. The inputs of the sine then have the same spread in every layer, at any depth. The inputs of the first layer
    should be coordinates within ±1. The product and the sine are computed in float32 or higher precision, and the
    weights are not cast down, because at w0 = 30 half precision would round the phase too much.

    With Keras's default initializer, the inputs of the sine in a deep network are either close to 0 or span many
    periods, and training stalls.

    Args:
        units: The number of output features.
        w0: The frequency; with `learn_frequency`, its initial value.
        is_first: Whether this is the first layer of the network.
        learn_frequency: Whether the frequency is a trainable weight.
        c: The constant in the initialization of the layers after the first.
        use_bias: Whether to add a bias b.
        kernel_initializer: Initializer of the kernel W, `(features, units)`; `"siren"` for the one above.
        bias_initializer: Initializer of the bias, `(units,)`; `"siren"` for the one above.
        kernel_regularizer: Regularizer of the kernel.
        bias_regularizer: Regularizer of the bias.
        kernel_constraint: Constraint on the kernel.
        bias_constraint: Constraint on the bias.
        seed: Seed of the `"siren"` initializers.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, …, features)`. A mask passes through unchanged.

    Output: `(batch, …, units)`, within ±1, in the layer's compute dtype.

    Raises:
        ValueError: If an argument is invalid, or the number of features is unknown or differs from the one in `build`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import SineDense
        >>> model = keras.Sequential([SineDense(64, is_first=True), SineDense(64), keras.layers.Dense(1)])
        >>> coordinates = np.linspace(-1, 1, 100)[:, None]  # (points, 1)
        >>> print(model(coordinates).shape[1])
        1
    """

    def __init__(
        self,
        units: int,
        w0: float = 30.0,
        is_first: bool = False,
        learn_frequency: bool = False,
        c: float = 6.0,
        use_bias: bool = True,
        kernel_initializer: Any = "siren",
        bias_initializer: Any = "siren",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes("SineDense", units=units)
        for name, value in (("w0", w0), ("c", c)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < np.inf:
                raise ValueError(f"SineDense: {name} must be a positive number (got {value!r}).")
        self.units = units
        self.w0 = float(w0)
        self.is_first = is_first
        self.learn_frequency = learn_frequency
        self.c = float(c)
        self.use_bias = use_bias
        self.kernel_initializer = _get_initializer(kernel_initializer)
        self.bias_initializer = _get_initializer(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.seed = seed
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights for inputs of this shape."""
        features = feature_count("SineDense", input_shape)
        within = 1 / features if self.is_first else np.sqrt(self.c / features) / self.w0
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self._siren_initializer(within, 0)
            if self.kernel_initializer == "siren"
            else self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=False,
        )
        self.bias = None
        if self.use_bias:
            within = 1 / np.sqrt(features)
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self._siren_initializer(within, 1)
                if self.bias_initializer == "siren"
                else self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                autocast=False,
            )
        self.frequency = None
        if self.learn_frequency:
            start = keras.initializers.Constant(self.w0)
            self.frequency = self.add_weight(name="frequency", shape=(), initializer=start, autocast=False)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any) -> Any:
        """Return the sine of the dense layer's outputs."""
        dtype = at_least_float32(self.compute_dtype)
        phase = ops.matmul(ops.cast(inputs, dtype), ops.cast(self.kernel, dtype))
        if self.bias is not None:
            phase = phase + ops.cast(self.bias, dtype)
        frequency = self.w0 if self.frequency is None else ops.cast(self.frequency, dtype)
        return ops.cast(ops.sin(frequency * phase), self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(batch, …, units)`."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        plain = ("units", "w0", "is_first", "learn_frequency", "c", "use_bias", "seed")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in plain},
            "kernel_initializer": _serialize_initializer(self.kernel_initializer),
            "bias_initializer": _serialize_initializer(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }

    def _siren_initializer(self, within: float, which: int) -> Any:
        # With the same seed, the bias would repeat the random numbers of the kernel.
        seed = None if self.seed is None else self.seed + which
        return keras.initializers.RandomUniform(-within, within, seed=seed)


def _get_initializer(given: Any) -> Any:
    return given if given == "siren" else keras.initializers.get(given)


def _serialize_initializer(initializer: Any) -> Any:
    return initializer if initializer == "siren" else keras.initializers.serialize(initializer)


def reference(inputs: Any, weights: Any, *, w0: float = 30.0) -> Any:
    """Return the outputs in float64 NumPy. `weights` are the kernel and the bias, if the layer has one."""
    kernel, *bias = (np.asarray(weight, "float64") for weight in weights)
    return np.sin(w0 * (np.asarray(inputs, "float64") @ kernel + sum(bias)))


CASES = declared_cases(SineDense)

CustomNonLinear = SineDense
"""The name that articles on custom Keras layers use."""

__all__ = ["CustomNonLinear", "SineDense"]
