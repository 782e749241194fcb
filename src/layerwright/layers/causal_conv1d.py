"""`CausalConv1D`: a causal convolution over time, with masks and streaming."""

from typing import Any

import keras
import numpy as np
from keras import ops

from layerwright.core.case import InputSpec, case, declared_cases
from layerwright.layers._arguments import check_sizes
from layerwright.layers._masks import check_mask_shape


@case(init={"filters": 4}, inputs=(None, None, 5), causal=True, receptive_field=3, smooth=False)
@case(
    init={"filters": 4, "activation": "tanh"},
    inputs=(None, None, 5),
    call={"mask": InputSpec((None, None), "bool")},
    causal=True,
    receptive_field=3,
)
@case(
    init={"filters": 6, "kernel_size": 2, "dilation_rate": 3, "activation": None, "use_bias": False},
    inputs=(None, None, 4),
    causal=True,
    receptive_field=4,
)
@keras.saving.register_keras_serializable(package="layerwright")
class CausalConv1D(keras.layers.Conv1D):
    """Convolve over time so that each step depends only on itself and earlier steps.

        y[t] = φ(Σⱼ K[j] x[t - (k - 1 - j) d] + b),   j = 0 … k - 1

    K is a kernel of size k, d is the dilation rate, and φ is the activation. Before the first step, x is zero. (van den
    Oord et al. 2016, WaveNet, arXiv:1609.03499; Bai, Kolter, Koltun 2018, arXiv:1803.01271.)

    Masked steps count as zeros, even if they contain NaN or infinity, and the outputs carry the mask. `step` computes
    one time step from the `receptive_field` - 1 steps before it, so streaming gives the same outputs as a call on the
    whole series.

    `keras.layers.Conv1D(padding="causal")` convolves the values in the padding and drops the mask. Some published
    layers build windows with a reshape of the padded series. If time divides batch * (time + 2), that reshape succeeds
    and mixes samples: each sample after the first begins with values of the sample before it.

    Args:
        filters: The number of output features.
        kernel_size: The number of time steps that each output combines.
        dilation_rate: The distance between these steps.
        groups: The number of groups of features. Each group produces `filters / groups` output features.
        activation: φ, as a name or a function; None for no activation.
        use_bias: Whether to add a bias b.
        kernel_initializer: Initializer of the kernel, `(kernel_size, features / groups, filters)`.
        bias_initializer: Initializer of the bias, `(filters,)`.
        kernel_regularizer: Regularizer of the kernel.
        bias_regularizer: Regularizer of the bias.
        kernel_constraint: Constraint on the kernel.
        bias_constraint: Constraint on the bias.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)`, True for valid steps. By default, the mask attached to the inputs.

    Output: `(batch, time, filters)`, with the mask. (Keras 3.10 passes on an attached mask, but not a mask argument.)

    Raises:
        ValueError: If an argument is invalid, `groups` does not divide `filters` or the number of features, the inputs
            do not have rank 3, or the mask's shape does not match the inputs.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from layerwright.layers import CausalConv1D
        >>> layer = CausalConv1D(1, kernel_initializer="ones", activation=None)
        >>> outputs = layer(np.array([[[1.0], [2.0], [4.0], [8.0]]]))  # (batch, time, features)
        >>> print(keras.ops.convert_to_numpy(outputs)[0, :, 0])
        [ 1.  3.  7. 14.]
        >>> state = layer.get_initial_state(batch_size=1)
        >>> output, state = layer.step(np.array([[1.0]]), state)
        >>> output, state = layer.step(np.array([[2.0]]), state)
        >>> print(keras.ops.convert_to_numpy(output))
        [[3.]]
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        dilation_rate: int = 1,
        groups: int = 1,
        activation: Any = "relu",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        sizes = {"filters": filters, "kernel_size": kernel_size, "dilation_rate": dilation_rate, "groups": groups}
        check_sizes("CausalConv1D", **sizes)
        if filters % groups:
            raise ValueError(f"CausalConv1D: groups must divide filters (got groups={groups}, filters={filters}).")
        super().__init__(
            **sizes,
            padding="causal",
            data_format="channels_last",
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.supports_masking = True

    @property
    def receptive_field(self) -> int:
        """The number of input steps that an output step depends on, including its own step."""
        return int((self.kernel_size[0] - 1) * self.dilation_rate[0] + 1)

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias for inputs of this shape."""
        features = input_shape[-1]
        if features is None or features % self.groups:
            raise ValueError(
                f"CausalConv1D: the number of features must be known and divisible by groups={self.groups} (got inputs "
                f"of shape {tuple(input_shape)}); change groups, or declare the size of the last axis in keras.Input."
            )
        super().build(input_shape)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the convolution of a whole series."""
        inputs = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            check_mask_shape("CausalConv1D", mask, inputs, covers=(0, 1))
            inputs = _zero_masked_steps(mask, inputs)
        past = self.get_initial_state(ops.shape(inputs)[0])  # with ops.pad, torch.compile compiles again at every call
        return self._convolve(ops.concatenate([past, inputs], axis=1))

    def get_initial_state(self, batch_size: int) -> Any:
        """Return the state before the first step: zeros, `(batch, receptive_field - 1, features)`."""
        if not self.built:
            raise ValueError(
                "CausalConv1D: get_initial_state needs the number of features, but the layer is not built; call the "
                "layer once, or build((None, None, features)), first."
            )
        features = self.input_spec.axes[-1]
        return ops.zeros((batch_size, self.receptive_field - 1, features), self.compute_dtype)

    def step(self, inputs: Any, state: Any, mask: Any = None) -> tuple[Any, Any]:
        """Return the outputs of one time step, and the state for the next step.

        Args:
            inputs: `(batch, features)`.
            state: The state from `get_initial_state` or from the previous step.
            mask: `(batch,)`, True where the step is valid.
        """
        inputs = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            inputs = _zero_masked_steps(ops.convert_to_tensor(mask), inputs)
        window = ops.concatenate([state, ops.expand_dims(inputs, 1)], axis=1)  # (batch, receptive_field, features)
        return ops.squeeze(self._convolve(window), 1), window[:, 1:]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        for fixed in ("strides", "padding", "data_format"):
            del config[fixed]
        return {**config, "kernel_size": self.kernel_size[0], "dilation_rate": self.dilation_rate[0]}

    def _convolve(self, window: Any) -> Any:
        """Return the outputs of every step in `window` whose receptive field lies inside the window."""
        outputs = ops.conv(
            window,
            ops.cast(self.kernel, self.compute_dtype),
            padding="valid",
            data_format="channels_last",
            dilation_rate=self.dilation_rate[0],
        )
        # On TensorFlow, the convolution of an empty batch has the shape of its input.
        batch, time, _ = ops.shape(window)
        outputs = ops.reshape(outputs, (batch, time - self.receptive_field + 1, self.filters))
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, self.compute_dtype)
        return self.activation(outputs)


def _zero_masked_steps(mask: Any, inputs: Any) -> Any:
    return ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), inputs, 0.0)


def reference(
    inputs: Any, weights: Any, mask: Any = None, *, dilation_rate: int = 1, groups: int = 1, activation: Any = None
) -> Any:
    """Return the outputs in float64 NumPy. `weights` are the kernel and the bias, if the layer has one."""
    kernel, *bias = (np.asarray(weight, "float64") for weight in weights)
    x = np.asarray(inputs, "float64") if mask is None else np.where(np.asarray(mask)[..., None], inputs, 0.0)
    past, (batch, time, _) = (len(kernel) - 1) * dilation_rate, x.shape
    x = np.concatenate([np.zeros((batch, past, x.shape[2])), x], axis=1)
    windows = [x[:, tap * dilation_rate : tap * dilation_rate + time] for tap in range(len(kernel))]
    parts = zip(np.split(np.stack(windows), groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
    outputs = np.concatenate([np.einsum("kbtf,kfo->bto", *part) for part in parts], axis=-1) + sum(bias)
    return outputs if activation is None else activation(outputs)


CASES = declared_cases(CausalConv1D)

ThreePointDependency = CausalConv1D
"""The name that articles on custom Keras layers use."""

__all__ = ["CausalConv1D", "ThreePointDependency"]
