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
FIX = (
    "Find out whether the layer or the reference is incorrect, and correct it. The reference is called as "
    "`reference(inputs, weights, **call)`."
)


@check("LW506", "matches-reference", requires=("LW901",), exempt={"stateful": True})
def matches_reference(trial: Trial) -> Finding:
    """The layer computes the same as the case's NumPy reference.

    What it proves:
        In inference mode the outputs agree with those of `Case.reference`, for the same inputs, weights and call
        arguments, masks included.

    Why it matters:
        The other checks know what every layer should do. Only the author knows what this layer should do. A dozen lines
        of NumPy in float64, written from the formula and not from the code, reveal a transposed kernel, a wrong axis or
        an epsilon outside the root.

    How it is tested:
        Two random inputs are used, one of them three times as large, and weights are moved off their initial values.
        The reference gets float64 arrays (integers and booleans as they are) and the weights by their paths, without
        the layer's own name. The outputs must have the number and the shapes of the reference's outputs. They may
        differ by 1e-4 of the largest reference value (by 2e-2 if the layer computes in float16, by 2e-1 in bfloat16).

    Exempt when:
        The layer declares `stateful=True`. Skipped if the case has no reference.

    References:
        Hatton 1997, "The T experiments: errors in scientific software", IEEE Computational Science and Engineering
        4(2), on independent implementations.
    """
    if trial.case.reference is None:
        return skipped("the case has no reference")
    for arguments in (trial.usual, trial.arguments(seed=1, scale=3.0)):
        problem = _describe_disagreement(trial, arguments)
        if problem:
            return failed(problem, FIX)
    return passed()


def _describe_disagreement(trial: Trial, arguments: Arguments) -> str:
    assert trial.case.reference is not None
    layer = lively(trial)
    outputs = leaves(trial.call(layer, arguments, training=False))
    exact = arguments.map(_to_float64)
    # The reference is the user's code and may raise anything.
    try:
        returned = trial.case.reference(exact.inputs, _weights_by_path(layer), **exact.call)
        expected = [np.asarray(leaf) for leaf in leaves(returned)]
    except Exception as error:
        return f"the reference raised {quote(error)}"
    if len(outputs) != len(expected):
        return f"the layer returned {len(outputs)} outputs, but the reference returned {len(expected)}"
    tolerance = LOW_PRECISION.get(str(layer.compute_dtype), TOLERANCE)
    for place, (output, wanted) in enumerate(zip(outputs, expected, strict=True)):
        if output.shape != wanted.shape:
            return f"output {place} has shape {output.shape}, but that of the reference has shape {wanted.shape}"
        difference, scale = _difference_and_scale(output, wanted)
        if not difference <= tolerance * scale:
            return (
                f"output {place} differs from the reference by up to {difference:.3g}; expected at most "
                f"{tolerance * scale:.3g} ({tolerance:g} times the largest value)"
            )
    return ""


def _difference_and_scale(output: Array, wanted: Array) -> tuple[float, float]:
    """Return the largest difference, and the largest absolute value of the reference. NaN equals NaN."""
    ours, theirs = output.astype("float64"), wanted.astype("float64")
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return float("inf"), 1.0
    scale = float(np.abs(theirs[finite]).max(initial=0.0))
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0)), max(scale, 1e-6)


def _weights_by_path(layer: Any) -> dict[str, Array]:
    import keras

    return {
        variable.path.removeprefix(f"{layer.name}/"): _to_float64(keras.ops.convert_to_numpy(variable.value))
        for variable in layer.variables
    }


def _to_float64(array: Any) -> Array:
    given: Array = np.asarray(array)
    return given if given.dtype.kind in "iubUSO" else given.astype("float64")


def bad() -> Case:
    return _standardised_case(epsilon_inside=False)


def good() -> Case:
    return _standardised_case(epsilon_inside=True)


def _standardised_case(*, epsilon_inside: bool) -> Case:
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
