"""LW503."""

from collections.abc import Callable
from typing import Any

import numpy as np

from layerwright.checks.numerics._gradients import differentiator, modes
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Array
from layerwright.trial.inputs import with_floats
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

LARGE = 1e4
FIX = (
    "Keep what is divided by, or taken the root or logarithm of, away from 0: add epsilon under the root, "
    "ops.sqrt(x + epsilon), not to its result; choose with ops.where before the operation as well as after it, since "
    "0 * NaN is NaN."
)
PLACES: dict[str, Callable[[Array], Array]] = {
    "inputs that are all 0": np.zeros_like,
    "inputs that are all equal (1)": np.ones_like,
    f"inputs times {LARGE:g}": lambda array: array * LARGE,
}


@check("LW503", "gradients-are-finite", requires=("LW502",))
def gradients_are_finite(trial: Trial) -> Finding:
    """Gradients are finite at zeros, at ties, and at large inputs.

    What it proves:
        With inputs that are all 0, all equal, or ten thousand times as large as usual, no gradient by an input or a
        weight is NaN or infinite; nor, with equal inputs, is any output.

    Why it matters:
        Padding is zeros, a dead pixel row is ties, and an unscaled column is large. The gradient of sqrt(sum x²) is
        0/0 at 0, though the value is fine: one such sample makes every weight NaN in one step, and training is lost.

    How it is tested:
        The outputs, each multiplied by a random number, are summed and differentiated there, in inference and, where
        a part of the layer takes `training`, in training. Masks and integers stay as they are; values stay within
        the `low` and `high` of their InputSpec. Where outputs overflow at large inputs, their gradient is not judged:
        LW504 large-inputs-are-finite is.

    Exempt when:
        Never; skipped where no float goes in, not probed where nothing can be differentiated.

    References:
        jax.readthedocs.io, "FAQ: Gradients contain NaN where using where"; Goldberg 1991, "What Every Computer
        Scientist Should Know About Floating-Point Arithmetic", ACM Computing Surveys 23(1).
    """
    if not any(array.dtype.kind == "f" for array in trial.usual.arrays()):
        return skipped("the layer is fed no floating-point numbers")
    try:
        usual = _not_finite(trial, lambda array: array)
    except LayerError as error:
        return inconclusive(f"the layer cannot be differentiated: {error}")
    if usual:
        return failed(f"{', '.join(usual[:4])} held NaN or infinity at ordinary inputs", FIX)
    for where, change in PLACES.items():
        found = _not_finite(trial, change)
        overflows = where.endswith(f"{LARGE:g}") and (lively(trial).compute_dtype == "float16" or _outputs(found))
        if found and not overflows:
            return failed(
                f"at {where}, {', '.join(found[:4])} held NaN or infinity; expected finite numbers", FIX, where=found
            )
    return passed(places=list(PLACES))


def _not_finite(trial: Trial, change: Callable[[Array], Array]) -> list[str]:
    """Name the outputs, else the gradients, that are not finite at changed inputs."""
    arguments = with_floats(trial, change)
    names = [name for name, _ in arguments.named_arrays()]
    for training in modes(trial):
        outputs = caller(trial, training)(arguments)
        bad = [f"output {place}" for place, output in enumerate(outputs) if not _finite(output)]
        if bad:
            return bad
        made = differentiator(trial, training)(arguments, None)
        by_name = dict(zip(names, made.inputs, strict=True)) | dict(made.weights)
        bad = [f"the gradient by {name}" for name, each in by_name.items() if each is not None and not _finite(each)]
        if bad:
            return bad
    return []


def _outputs(found: list[str]) -> bool:
    return any(name.startswith("output") for name in found)


def _finite(array: Array) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def bad() -> Case:
    return _length(lambda squares: squares)


def good() -> Case:
    return _length(lambda squares: squares + 1e-6)


def _length(under_root: Callable[[Any], Any]) -> Case:
    import keras

    class Length(keras.layers.Layer):
        def call(self, inputs):
            squares = keras.ops.sum(keras.ops.square(inputs), axis=-1, keepdims=True)
            return keras.ops.sqrt(under_root(squares))

    return Case(Length, inputs=(None, 5))
