"""LW506."""

from typing import Any

import numpy as np

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import quote
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.subject import LOW_PRECISION, lively
from layerwright.trial.trial import Trial

TOLERANCE = 1e-4
FIX = "Decide which of the two is right; the reference is called as reference(inputs, weights, **call)."


@check("LW506", "matches-reference", requires=("LW901",), exempt={"stateful": True})
def matches_reference(trial: Trial) -> Finding:
    """The layer computes what the case's own NumPy reference computes.

    What it proves:
        In inference the outputs agree with `Case.reference`, with the same weights and call arguments, masks included.

    Why it matters:
        The other checks know what every layer should do; only the author knows what this one should. A dozen lines of
        NumPy in float64, written from the formula and not from the code, find the transposed kernel, the wrong axis
        and the epsilon that stands outside the root.

    How it is tested:
        Two draws of inputs, one of them three times as large, weights off their initial values. The reference gets
        float64 arrays (integers and booleans as they are), the weights by their paths without the layer's own name.
        Outputs must have its structure's shapes and agree to 1e-4 of the largest reference value, as far as the
        layer's compute dtype allows.

    Exempt when:
        The layer declares `stateful=True`; skipped where the case names no reference.

    References:
        Hatton 1997, "The T experiments: errors in scientific software", IEEE Computational Science and Engineering
        4(2), on independent implementations.
    """
    if trial.case.reference is None:
        return skipped("the case names no reference")
    for arguments in (trial.usual, trial.arguments(seed=1, scale=3.0)):
        problem = _disagreement(trial, arguments)
        if problem:
            return failed(problem, FIX)
    return passed()


def _disagreement(trial: Trial, arguments: Arguments) -> str:
    assert trial.case.reference is not None
    layer = lively(trial)
    outputs = leaves(trial.call(layer, arguments, training=False))
    exact = arguments.map(_widened)
    try:
        made = trial.case.reference(exact.inputs, _weights(layer), **exact.call)
        expected = [np.asarray(leaf) for leaf in leaves(made)]
    except Exception as error:  # the reference is the user's, and may raise anything
        return f"the reference raised {quote(error)}"
    if len(outputs) != len(expected):
        return f"the layer returned {len(outputs)} outputs, the reference {len(expected)}"
    tolerance = LOW_PRECISION.get(str(layer.compute_dtype), TOLERANCE)
    for place, (output, wanted) in enumerate(zip(outputs, expected, strict=True)):
        if output.shape != wanted.shape:
            return f"output {place} has shape {output.shape}, the reference's {wanted.shape}"
        difference, scale = _apart(output, wanted)
        if not difference <= tolerance * scale:
            return (
                f"output {place} differs from the reference by up to {difference:.3g}, where the largest value is "
                f"{scale:.3g}; expected at most {tolerance:g} of that"
            )
    return ""


def _apart(output: Array, wanted: Array) -> tuple[float, float]:
    """Return the largest difference, and the largest absolute value wanted. Equal NaN and infinities are equal."""
    ours, theirs = output.astype("float64"), wanted.astype("float64")
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return float("inf"), 1.0
    scale = float(np.abs(theirs[finite]).max(initial=0.0))
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0)), max(scale, 1e-6)


def _weights(layer: Any) -> dict[str, Array]:
    import keras

    return {
        variable.path.removeprefix(f"{layer.name}/"): _widened(keras.ops.convert_to_numpy(variable.value))
        for variable in layer.variables
    }


def _widened(array: Any) -> Array:
    narrow: Array = np.asarray(array)
    return narrow if narrow.dtype.kind in "iubUSO" else narrow.astype("float64")


def bad() -> Case:
    return _standardised(epsilon_inside=False)


def good() -> Case:
    return _standardised(epsilon_inside=True)


def _standardised(*, epsilon_inside: bool) -> Case:
    import keras

    class Standardised(keras.layers.Layer):
        def call(self, inputs):
            centred = inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)
            variance = keras.ops.mean(keras.ops.square(centred), axis=-1, keepdims=True)
            if epsilon_inside:
                return centred / keras.ops.sqrt(variance + 1e-2)
            return centred / (keras.ops.sqrt(variance + 1e-12) + 1e-2)

    def reference(inputs, weights):  # noqa: ARG001 - there are none
        return (inputs - inputs.mean(-1, keepdims=True)) / np.sqrt(inputs.var(-1, keepdims=True) + 1e-2)

    return Case(Standardised, inputs=(None, 5), reference=reference)
