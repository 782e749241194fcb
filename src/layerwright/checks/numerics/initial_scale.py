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
    "Scale the initial weights by the number of inputs that they sum over (`GlorotUniform`, `HeNormal`, "
    "`VarianceScaling`, `Orthogonal`), add a residual connection, or normalise. If the scale is intended, as in a "
    "branch that starts at zero, add LW508 to the `expect` of the case."
)


@check("LW508", "initial-scale", requires=("LW901",), advisory=True)
def initial_scale(trial: Trial) -> Finding:
    """A new layer keeps the scale of its inputs, alone and in a stack of ten copies.

    What it proves:
        For inputs of unit variance, the root mean square of the outputs is between 1e-4 and 1e3. If the outputs have
        the shape of the inputs, it is between 1e-12 and 1e6 after ten copies of the layer in a row.

    Why it matters:
        A kernel of standard deviation 1 over 512 inputs multiplies the scale by 23. Ten such layers multiply it by
        4e13. With a standard deviation of 0.001 the scale shrinks even faster. Gradients grow or shrink in the same way
        on the way back, and the model does not start to learn.

    How it is tested:
        The layer is called as constructed, in inference mode, with all-True masks: what a layer writes at masked steps,
        such as -3e4 before a softmax, has no scale to keep. If the layer turns one tensor into a tensor of the same
        shape, the outputs pass through nine more copies of the layer, constructed from other seeds. The bounds are wide
        on purpose: an LSTM shrinks a small signal to a fifth, and a ReLU layer without the factor of two shrinks it to
        0.7. Both pass.

    Exempt when:
        Never. Skipped if the layer has no trainable weights, takes integers, or takes values whose range the case
        bounds: then there is no initialisation or no unit variance to check.

    References:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", AISTATS;
        He et al. 2015, arXiv:1502.01852.
    """
    layer = trial.construct()
    arguments = _with_all_true_masks(trial.usual)
    outputs = trial.call(layer, arguments, training=False)
    if not any("float" in str(weight.dtype) for weight in layer.trainable_variables):
        return skipped("the layer has no trainable weights")
    if not all(is_float(spec) and not is_bounded(spec) for spec in specs(trial) if spec.dtype != "bool"):
        return skipped("the layer takes integers, or values whose range the case bounds")
    sizes = [_root_mean_square(output) for output in leaves(outputs) if output.dtype.kind == "f"]
    outside = [size for size in sizes if not LEAST <= size <= MOST]
    if outside:
        return warned(
            f"for inputs of unit variance, the outputs of a new layer have a root mean square of {outside[0]:.3g}; "
            f"expected between {LEAST:g} and {MOST:g}",
            FIX,
            sizes=sizes,
        )
    if not _is_stackable(trial, outputs):
        return passed(sizes=sizes)
    sizes = _root_mean_squares_when_stacked(trial, arguments, outputs)
    if not LEAST_STACKED <= sizes[-1] <= MOST_STACKED:
        return warned(
            f"for inputs of unit variance, the outputs of {COPIES} stacked copies of a new layer have a root mean "
            f"square of {sizes[-1]:.3g}; expected between {LEAST_STACKED:g} and {MOST_STACKED:g}",
            FIX,
            sizes=sizes,
        )
    return passed(sizes=sizes)


def _with_all_true_masks(arguments: Arguments) -> Arguments:
    return arguments.map(lambda array: np.ones_like(array) if array.dtype.kind == "b" else array)


def _is_stackable(trial: Trial, outputs: Any) -> bool:
    usual = trial.usual.inputs
    return (
        isinstance(trial.case.inputs, InputSpec)
        and isinstance(outputs, np.ndarray)
        and (outputs.shape, outputs.dtype) == (usual.shape, usual.dtype)
    )


def _root_mean_squares_when_stacked(trial: Trial, arguments: Arguments, outputs: Array) -> list[float]:
    """Return the root mean square of the outputs of each copy of the layer in a stack."""
    sizes = [_root_mean_square(outputs)]
    for copy in range(1, COPIES):
        other = Trial(trial.case, trial.seed + copy)
        outputs = other.call(other.construct(), replace(arguments, inputs=outputs), training=False)
        sizes.append(_root_mean_square(outputs))
    return sizes


def _root_mean_square(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype("float64"))))) if array.size else 1.0


def bad() -> Case:
    return _projection_case(1.0)


def good() -> Case:
    return _projection_case(0.1)


def _projection_case(deviation: float) -> Case:
    import keras

    class Projection(keras.layers.Layer):
        def build(self, input_shape):
            size = input_shape[-1]
            normal = keras.initializers.RandomNormal(stddev=deviation)
            self.kernel = self.add_weight(shape=(size, size), initializer=normal, name="kernel")

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.kernel)

    return Case(Projection, inputs=(None, 100))
