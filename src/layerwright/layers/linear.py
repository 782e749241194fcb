"""`Linear`: a matrix product and nothing else, unless asked."""

from typing import Any

import keras
import numpy as np

from layerwright.core.case import case, declared_cases
from layerwright.layers._arguments import check_sizes


@case(init={"units": 4}, inputs=(None, None, 5))
@case(init={"units": 4, "activation": "tanh", "use_bias": True}, inputs=(None, 5))
@keras.saving.register_keras_serializable(package="layerwright")
class Linear(keras.layers.Dense):
    """Combine the features linearly.

        y = φ(x W + b)

    This is `keras.layers.Dense` without bias and activation unless they are asked for: LoRA (`enable_lora`) and
    quantisation (`quantize`) are as there. The kernel is Glorot's (Glorot, Bengio 2010, AISTATS), so that y is about as
    large as x.

    The naive version creates its kernel in the constructor from an input size given by hand, or in `call`, where it is
    new at each call and never trained; draws it from a standard normal, which multiplies the scale by √features; and
    loses `units` in `get_config`.

    Args:
        units: The number of outputs.
        activation: φ, by name or as a function; None for none.
        use_bias: Whether there is a b.
        kernel_initializer: Initialiser of the kernel W, `(features, units)`.
        bias_initializer: Initialiser of the bias, `(units,)`.
        **kwargs: Those of `keras.layers.Dense`, such as `kernel_regularizer` and `lora_rank`, and of every Keras layer.

    Call arguments:
        inputs: `(batch, …, features)`. A mask travels on untouched.

    Output: `(batch, …, units)`.

    Raises:
        ValueError: If `units` is not a whole number of at least 1, or the inputs do not fit.

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
    """`Linear` with a bias, its initialisers by default those of articles: `glorot_normal` and `ones`.

    Arguments, shapes and errors are those of `Linear`.

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
    """The same in float64 NumPy; `weights` are the kernel and, if there is one, the bias."""
    kernel, *bias = (np.asarray(weight, "float64") for weight in weights)
    outputs = np.asarray(inputs, "float64") @ kernel + sum(bias)
    return outputs if activation is None else activation(outputs)


CASES = declared_cases(Linear)
