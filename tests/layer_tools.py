"""What tests of layers share: series, padding masks, NumPy results, gradients by the backend and by differences."""

import keras
import numpy as np
from hypothesis import settings
from keras import ops

from layerwright import backends
from layerwright.layers import causal_conv1d as conv_module

FEW = settings(max_examples=6, deadline=None, derandomize=True, database=None)
OLD_KERAS = tuple(map(int, keras.__version__.split(".")[:2])) < (3, 15)
"""Operations of Keras 3.10 fix sizes that are free, on JAX and torch; on torch it exports nothing that torch can run."""

TOLERANCES = {"float32": 1e-5, "mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}


def series(batch=3, time=6, features=5, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, time, features)).astype("float32")


def lengths_mask(batch=3, time=6, first=1):
    """A mask (batch, time) whose row i is true for `first` + i steps."""
    return np.arange(time) < (first + np.arange(batch))[:, None]


def run(function, *args, **kwargs):
    """Call without recording gradients; return float64 NumPy."""
    with backends.current().inference():
        return to_numpy(function(*args, **kwargs))


def to_numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32")).astype("float64")


def gradients(function, *arrays):
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return [to_numpy(gradient) for gradient in backends.current().gradient(function, tensors)]


def weights_of(layer):
    """The layer's weights as NumPy arrays, in its order."""
    return [ops.convert_to_numpy(weight.value) for weight in layer.weights]


def moved(layer, seed=0):
    """Move every weight of a built layer off its initial value."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(weight + rng.uniform(-0.2, 0.2, weight.shape).astype("float32"))
    return layer


def assert_close(actual, expected, policy="float32"):
    """Equal to the tolerance of the policy's compute dtype, absolute where numbers are small."""
    tolerance = TOLERANCES[policy]
    np.testing.assert_allclose(actual, expected, tolerance, 4 * tolerance)


def assert_gradients(function, *arrays):
    """The backend's gradients of a scalar function are its slopes, and finite."""
    for gradient, slope in zip(gradients(function, *arrays), slopes(function, *arrays), strict=True):
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(gradient, slope, 2e-2, 2e-2)


def slopes(function, *arrays, step=1e-2):
    """Central differences of a scalar function along every entry of each array."""
    found = []
    for position, array in enumerate(arrays):
        slope = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [other.copy() for other in arrays]
                moved[position][index] += sign * step
                sides.append(float(run(function, *map(ops.convert_to_tensor, moved))))
            slope[index] = (sides[0] - sides[1]) / (2 * step)
        found.append(slope)
    return found


def compiled(function):
    """XLA on JAX and TensorFlow; on torch what Dynamo traces, without the minutes that its code generator takes."""
    if backends.current().NAME == "jax":
        return backends.current().jit(function)
    if backends.current().NAME == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    import torch

    return torch.compile(function, backend="eager")


def built(layer, features=5):
    """Build it, and move the bias off zero."""
    layer.build((None, None, features))
    if layer.use_bias:
        layer.bias.assign(np.linspace(-0.5, 0.5, layer.filters))
    return layer


def convolved(layer, x, mask=None):
    """What the reference makes of a `CausalConv1D`'s inputs."""
    weights = [ops.convert_to_numpy(weight.value) for weight in layer.weights]
    relu = (lambda y: np.maximum(y, 0)) if layer.activation is keras.activations.relu else None
    return conv_module.reference(
        x, weights, mask, dilation_rate=layer.dilation_rate[0], groups=layer.groups, activation=relu
    )
