"""LW508."""

from dataclasses import replace
from typing import Any

import numpy as np

from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, skipped, warned
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.inputs import is_bounded, is_float, specs
from layerwright.trial.trial import Trial

LEAST, MOST = 1e-4, 1e3
COPIES = 10
LEAST_STACKED, MOST_STACKED = 1e-12, 1e6
FIX = (
    "Scale initial weights by the number of inputs they sum over (GlorotUniform, HeNormal, VarianceScaling, "
    "Orthogonal), add a residual connection or normalise; if it is meant, as for a branch that starts at zero, expect "
    "this finding."
)


@check("LW508", "initial-scale", requires=("LW901",), advisory=True)
def initial_scale(trial: Trial) -> Finding:
    """A new layer keeps the scale of its inputs, by itself and stacked.

    What it proves:
        Inputs of unit variance give outputs whose root mean square is between 1e-4 and 1e3, and, where outputs have
        the shape of the inputs, between 1e-12 and 1e6 after ten copies.

    Why it matters:
        A kernel drawn with standard deviation 1 over 512 inputs multiplies the scale by 23, ten of them by 4e13; one
        drawn with 0.001 divides it as fast. Gradients do the same on the way back: the model does not start to learn.

    How it is tested:
        The layer is called as constructed, in inference, masks true throughout: what a layer puts at masked steps, as
        -3e4 for a softmax to come, has no scale to keep. Where one tensor goes in and one of its shape comes out,
        the outputs go through nine more copies, constructed from other seeds. The bounds are wide: an LSTM shrinks a
        small signal to a fifth, a ReLU without its factor of two to 0.7, and both may.

    Exempt when:
        Never; skipped where the layer has no trainable weights, or is fed integers, or values whose range the case
        bounds: there is no initialisation or no unit variance to speak of.

    References:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", AISTATS;
        He et al. 2015, arXiv:1502.01852.
    """
    layer = trial.construct()
    arguments = _with_full_masks(trial.usual)
    outputs = trial.call(layer, arguments, training=False)
    if not any("float" in str(weight.dtype) for weight in layer.trainable_variables):
        return skipped("the layer has no trainable weights")
    if not all(is_float(spec) and not is_bounded(spec) for spec in specs(trial) if spec.dtype != "bool"):
        return skipped("the layer is fed integers, or values whose range the case bounds")
    sizes = [_size(output) for output in leaves(outputs) if output.dtype.kind == "f"]
    outside = [size for size in sizes if not LEAST <= size <= MOST]
    if outside:
        return warned(
            f"inputs of unit variance give a new layer's outputs a root mean square of {outside[0]:.3g}; expected "
            f"between {LEAST:g} and {MOST:g}",
            FIX,
            sizes=sizes,
        )
    if not _stackable(trial, outputs):
        return passed(sizes=sizes)
    sizes = _stacked(trial, arguments, outputs)
    if not LEAST_STACKED <= sizes[-1] <= MOST_STACKED:
        return warned(
            f"inputs of unit variance have a root mean square of {sizes[-1]:.3g} after {COPIES} new copies of the "
            f"layer, one after another; expected between {LEAST_STACKED:g} and {MOST_STACKED:g}",
            FIX,
            sizes=sizes,
        )
    return passed(sizes=sizes)


def _with_full_masks(arguments: Arguments) -> Arguments:
    return arguments.map(lambda array: np.ones_like(array) if array.dtype.kind == "b" else array)


def _stackable(trial: Trial, outputs: Any) -> bool:
    usual = trial.usual.inputs
    return (
        isinstance(trial.case.inputs, InputSpec)
        and isinstance(outputs, np.ndarray)
        and (outputs.shape, outputs.dtype) == (usual.shape, usual.dtype)
    )


def _stacked(trial: Trial, arguments: Arguments, outputs: Array) -> list[float]:
    """Return the root mean square of the outputs of each copy of the layer, stacked one after another."""
    sizes = [_size(outputs)]
    for copy in range(1, COPIES):
        other = Trial(trial.case, trial.seed + copy)
        outputs = other.call(other.construct(), replace(arguments, inputs=outputs), training=False)
        sizes.append(_size(outputs))
    return sizes


def _size(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype("float64"))))) if array.size else 1.0


def bad() -> Case:
    return _projection(1.0)


def good() -> Case:
    return _projection(0.1)


def _projection(deviation: float) -> Case:
    import keras

    class Projection(keras.layers.Layer):
        def build(self, input_shape):
            size = input_shape[-1]
            normal = keras.initializers.RandomNormal(stddev=deviation)
            self.kernel = self.add_weight(shape=(size, size), initializer=normal, name="kernel")

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.kernel)

    return Case(Projection, inputs=(None, 100))
