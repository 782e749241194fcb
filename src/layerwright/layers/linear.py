"""`Linear`: a dense layer without bias or activation by default."""

from typing import Any

import keras
import numpy as np

from layerwright.core.case import case, declared_cases
from layerwright.layers._arguments import check_sizes


@case(init={"units": 4}, inputs=(None, None, 5))
@case(init={"units": 4, "activation": "tanh", "use_bias": True}, inputs=(None, 5))
@keras.saving.register_keras_serializable(package="layerwright")
class Linear(keras.layers.Dense):
    """Multiply the inputs by a matrix, optionally followed by a bias and an activation.

        y = φ(x W + b)

    This is `keras.layers.Dense` without a bias by default. LoRA (`enable_lora`) and quantization (`quantize`) work the
    same. The default initializer is Glorot's (Glorot, Bengio 2010, AISTATS), which gives y about the scale of x.

    Some published layers create the kernel in the constructor from an input size argument. Others create it in `call`,
    where each call gets a new kernel that is never trained. Many draw it from a standard normal distribution, which
    multiplies the scale by √features, or do not return `units` from `get_config`.

    Args:
        units: The number of output features.
        activation: φ, as a name or a function; None for no activation.
        use_bias: Whether to add a bias b.
        kernel_initializer: Initializer of the kernel W, `(features, units)`.
        bias_initializer: Initializer of the bias, `(units,)`.
        **kwargs: Arguments of `keras.layers.Dense`, such as `kernel_regularizer` and `lora_rank`, and of every Keras
            layer.

    Call arguments:
        inputs: `(batch, …, features)`. A mask passes through unchanged.

    Output: `(batch, …, units)`.

    Raises:
        ValueError: If `units` is not a positive integer, or the inputs do not match the kernel.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import Linear
        >>> layer = Linear(2, kernel_initializer="ones")
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[1.0, 2.0]]))))
        [[3. 3.]]
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        check_sizes("Linear", units=units)
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="layerwright")
class CustomInitLayer(Linear):
    """`Linear` with the defaults that articles use: a bias, and the initializers `glorot_normal` and `ones`.

    Arguments, shapes and errors are the same as for `Linear`.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import CustomInitLayer
        >>> layer = CustomInitLayer(2, kernel_initializer="zeros")
        >>> print(keras.ops.convert_to_numpy(layer(np.array([[1.0, 2.0]]))))
        [[1. 1.]]
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_normal",
        bias_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation, use_bias, kernel_initializer, bias_initializer, **kwargs)


def reference(inputs: Any, weights: Any, *, activation: Any = None) -> Any:
    """Return the outputs in float64 NumPy. `weights` are the kernel and the bias, if the layer has one."""
    kernel, *bias = (np.asarray(weight, "float64") for weight in weights)
    outputs = np.asarray(inputs, "float64") @ kernel + sum(bias)
    return outputs if activation is None else activation(outputs)


CASES = declared_cases(Linear)

CustomLinear = Linear
"""The name that articles on custom Keras layers use."""

__all__ = ["CustomInitLayer", "CustomLinear", "Linear"]
