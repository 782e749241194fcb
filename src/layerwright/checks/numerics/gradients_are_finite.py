"""LW503."""

from collections.abc import Callable
from typing import Any

import numpy as np

from layerwright.checks.numerics._gradients import differentiator, training_modes
from layerwright.checks.numerics.large_inputs_are_finite import SCALE, are_finite, scaled_inputs, truly_overflows
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Array
from layerwright.trial.inputs import with_floats
from layerwright.trial.paths import attribute_path
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

LARGE = 1e4
FIX = (
    "Keep divisors and the arguments of roots and logarithms away from 0. Add epsilon inside the root, "
    "`ops.sqrt(x + epsilon)`, not to its result. Use `ops.where` before the operation as well as after it, since "
    "0 * NaN is NaN."
)
AT_LARGE = f"inputs multiplied by {LARGE:g}"
PLACES: dict[str, Callable[[Array], Array]] = {
    "inputs that are all 0": np.zeros_like,
    "inputs that are all 1": np.ones_like,
    AT_LARGE: lambda array: array * LARGE,
}


@check("LW503", "gradients-are-finite", requires=("LW502",))
def gradients_are_finite(trial: Trial) -> Finding:
    """Gradients are finite at zero inputs, equal inputs and large inputs.

    What it proves:
        If all inputs are 0, all inputs are equal, or inputs are ten thousand times as large as usual, no gradient with
        respect to an input or a weight is NaN or infinite. With zero or equal inputs no output is either.

    Why it matters:
        Padding consists of zeros, a dead row of pixels consists of equal values, and a column that was not scaled
        consists of large values. The gradient of sqrt(sum x²) is 0/0 at 0, although the value is fine. One such sample
        makes every weight NaN in one step, and training is lost.

    How it is tested:
        Each output is multiplied by a random number, and the gradient of their sum is computed at these inputs, in
        inference mode and, if the layer or a sublayer takes `training`, in training mode. Masks and integers stay as
        they are, and values stay within the `low` and `high` of their `InputSpec`. If outputs truly
        exceed the range of their dtype at large inputs, their gradient is not checked; nor where LW504
        large-inputs-are-finite reports the outputs.

    Exempt when:
        Never. Skipped if the layer has no floating-point inputs. Inconclusive if the layer cannot be differentiated.

    References:
        jax.readthedocs.io, "FAQ: Gradients contain NaN where using where"; Goldberg 1991, "What Every Computer
        Scientist Should Know About Floating-Point Arithmetic", ACM Computing Surveys 23(1).
    """
    if not any(array.dtype.kind == "f" for array in trial.usual.arrays()):
        return skipped("the layer has no floating-point inputs")
    try:
        usual = _names_of_non_finite_results(trial, lambda array: array)
    except LayerError as error:
        return inconclusive(f"the layer cannot be differentiated: {error}")
    if usual:
        return failed(
            f"with ordinary inputs, NaN or infinity appears in {', '.join(usual[:4])}; expected finite numbers", FIX
        )
    for where, change in PLACES.items():
        found = _names_of_non_finite_results(trial, change)
        if found and not (where == AT_LARGE and _is_no_matter_of_gradients(trial, found)):
            return failed(
                f"with {where}, NaN or infinity appears in {', '.join(found[:4])}; expected finite numbers",
                FIX,
                where=found,
            )
    return passed(places=list(PLACES))


def _names_of_non_finite_results(trial: Trial, change: Callable[[Array], Array]) -> list[str]:
    """Name the outputs that are not finite at changed inputs, or the gradients if all outputs are finite."""
    arguments = with_floats(trial, change)
    names = [name for name, _ in arguments.named_arrays()]
    for training in training_modes(trial):
        outputs = caller(trial, training)(arguments)
        bad = [f"output {place}" for place, output in enumerate(outputs) if not _is_finite(output)]
        if bad:
            return bad
        gradients = differentiator(trial, training)(arguments, None)
        not_finite = [name for name, each in zip(names, gradients.inputs, strict=True) if not _is_finite(each)]
        not_finite += [
            attribute_path(lively(trial), weight)
            for weight in lively(trial).trainable_variables
            if not _is_finite(gradients.weights[weight.path])
        ]
        if not_finite:
            return [f"the gradient with respect to {name}" for name in not_finite]
    return []


def _is_no_matter_of_gradients(trial: Trial, found: list[str]) -> bool:
    """Whether the layer computes in float16, or outputs truly exceed the range of the dtype, or LW504 reports them."""
    if lively(trial).compute_dtype == "float16":
        return True
    if not any(name.startswith("output") for name in found):
        return False
    call = caller(trial, False)
    return not are_finite(call(scaled_inputs(trial, SCALE))) or truly_overflows(trial, call, SCALE, LARGE)


def _is_finite(array: Array | None) -> bool:
    if array is None:
        return True
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def bad() -> Case:
    return _length_case(lambda squares: squares)


def good() -> Case:
    return _length_case(lambda squares: squares + 1e-6)


def _length_case(under_root: Callable[[Any], Any]) -> Case:
    import keras

    class Length(keras.layers.Layer):
        def call(self, inputs):
            squares = keras.ops.sum(keras.ops.square(inputs), axis=-1, keepdims=True)
            return keras.ops.sqrt(under_root(squares))

    return Case(Length, inputs=(None, 5))
