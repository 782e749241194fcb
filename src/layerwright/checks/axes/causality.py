"""LW306 causality."""

import numpy as np

from layerwright.checks.axes._influence import time_influence_map
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
    """No output step depends on a later input step.

    What it proves:
        The time influence map is lower triangular: replacing input step j changes only output steps j and later.

    Why it matters:
        A model that sees the future scores far better in training and evaluation than in use, where the future is not
        available. Typical causes are `padding="same"` instead of `padding="causal"`, a mask that is off by one step,
        statistics over the whole sequence and a bidirectional sublayer.

    How it is tested:
        Each step (at most 16) of the first call argument is replaced in all samples by another random draw, and the
        outputs are compared bit by bit. Tensors in that argument with the same number of steps are replaced together.
        Context that all steps may see belongs in a further call argument. The result is inconclusive where changes stay
        within 1e-6 of the outputs' scale: they may be rounding in a sum that includes later steps, as in a convolution
        by FFT.

    Exempt when:
        The layer does not declare `causal=True`.

    References:
        van den Oord et al. 2016, "WaveNet", arXiv:1609.03499, section 2.1; Vaswani et al. 2017, arXiv:1706.03762,
        section 3.2.3; keras.io, "Conv1D layer", on `padding="causal"`.
    """
    influence = time_influence_map(trial)
    if isinstance(influence, str):
        return inconclusive(
            influence,
            "Use inputs and outputs with the same number of time steps. If time is not axis 1, declare the trait "
            "`time_axis`.",
        )
    future = np.triu(np.where(np.isnan(influence), 0.0, influence), 1)
    leaks = who_sees_whom(future, "output step", "input step")
    if not leaks:
        return passed(influence_map=influence, influence_axis="time")
    if future.max() <= ROUNDING * _largest_finite_value(caller(trial, False)(trial.usual)):
        return inconclusive(
            f"replacing an input step changed earlier output steps, but only as much as rounding can: {leaks}",
            "If no sum includes later steps, look for a mask value that is finite but should be `-inf`.",
            influence_map=influence,
            influence_axis="time",
        )
    return failed(
        f"replacing an input step changed earlier output steps: {leaks}; expected no change",
        'Pad on the left only (`padding="causal"`), mask attention with `query >= key`, and compute no statistics over '
        "time. If the layer may see the future, remove the trait `causal=True`.",
        influence_map=influence,
        influence_axis="time",
    )


def _largest_finite_value(outputs: list[Array]) -> float:
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
