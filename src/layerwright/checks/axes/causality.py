"""LW306."""

import numpy as np

from layerwright.checks.axes._influence import time_influence
from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Array
from layerwright.trial.slices import who_sees_whom
from layerwright.trial.subject import caller
from layerwright.trial.trial import Trial

ROUNDING = 1e-6


@check("LW306", "causality", requires=("LW901",), needs={"causal": True})
def causality(trial: Trial) -> Finding:
    """No output step depends on an input step after it.

    What it proves:
        The time influence map is lower triangular: replacing input step j moves output steps j and later only.

    Why it matters:
        A model that sees the future scores far better in training and evaluation than it can in use, where the future
        is not there yet. Padding "same" for "causal", a mask that is off by one step, statistics over the whole
        sequence and a bidirectional layer inside all let it in.

    How it is tested:
        Each step (16 at most) of the first call argument is replaced in all samples at once by another draw, and the
        outputs are compared bit by bit. Every tensor in that argument with as many steps is replaced along with it;
        context that all steps may see belongs in a further call argument. A move within 1e-6 of the outputs' scale
        could be the rounding of a sum that runs over later steps, as in a convolution by FFT: it is not probed.

    Exempt when:
        The layer does not declare `causal=True`.

    References:
        van den Oord et al. 2016, "WaveNet", arXiv:1609.03499, section 2.1; Vaswani et al. 2017, arXiv:1706.03762,
        section 3.2.3; keras.io, "Conv1D layer", on `padding="causal"`.
    """
    influence = time_influence(trial)
    if isinstance(influence, str):
        return inconclusive(influence, "Give inputs and outputs the same number of steps, and `time_axis` where not 1.")
    future = np.triu(np.where(np.isnan(influence), 0.0, influence), 1)
    leaks = who_sees_whom(future, "output step", "input step")
    if not leaks:
        return passed(influence_map=influence, influence_axis="time")
    if future.max() <= ROUNDING * _scale(caller(trial, False)(trial.usual)):
        return inconclusive(
            f"later input steps move earlier output steps by rounding's size only: {leaks}",
            "If no sum runs over later steps, look for a mask that is finite where it should be -inf.",
            influence_map=influence,
            influence_axis="time",
        )
    return failed(
        f"replacing an input step moved earlier output steps: {leaks}",
        'Pad on the left only (padding="causal"), mask with query >= key, and keep statistics over time out; or drop '
        "the trait causal=True.",
        influence_map=influence,
        influence_axis="time",
    )


def _scale(outputs: list[Array]) -> float:
    """Return the largest finite absolute value."""
    values = (np.abs(output.astype("float64")) for output in outputs if output.dtype.kind not in "SUO")
    return max((float(value[np.isfinite(value)].max(initial=0.0)) for value in values), default=0.0)


def bad() -> Case:
    import keras

    class NextStep(keras.layers.Layer):
        def call(self, inputs):
            return inputs + keras.ops.pad(inputs, ((0, 0), (0, 1), (0, 0)))[:, 1:]

    return Case(NextStep, inputs=(None, 6, 5), traits=Traits(causal=True))


def good() -> Case:
    import keras

    class PreviousStep(keras.layers.Layer):
        def call(self, inputs):
            return inputs + keras.ops.pad(inputs, ((0, 0), (1, 0), (0, 0)))[:, :-1]

    return Case(PreviousStep, inputs=(None, 6, 5), traits=Traits(causal=True))
