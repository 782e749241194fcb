"""LW307."""

from typing import Any

import numpy as np

from layerwright.checks.axes._influence import time_influence
from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, inconclusive, passed, skipped, warned
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial

VISIBLE = 1e-6


@check("LW307", "receptive-field", requires=("LW901",), advisory=True)
def receptive_field(trial: Trial) -> Finding:
    """How many input steps an output step sees is what the layer declares.

    What it proves:
        The reach of the time influence map: which input steps, counted from t, move output step t.

    Why it matters:
        The receptive field decides how much context a prediction has, how much to pad a stream, and how many steps to
        throw away at its start. It grows with every kernel and dilation, and is easily computed wrongly.

    How it is tested:
        Each input step (16 at most) is replaced in all samples at once by another draw. How far back and ahead of it
        outputs move, at most over all steps, is the reach; a move within 1e-6 of the largest does not count. With a
        `receptive_field` declared, the layer should see that many steps, taken as the span from first to last or,
        where a dilated kernel skips steps, as their number. With none declared, what was found is reported.

    Exempt when:
        Inputs are not sequences, or no output has as many steps as they have. Nothing can be said of a declared field
        that is not shorter than the sequence.

    References:
        van den Oord et al. 2016, "WaveNet", arXiv:1609.03499, section 2.1; Luo et al. 2016, "Understanding the
        effective receptive field in deep convolutional neural networks", arXiv:1701.04128.
    """
    traits = trial.case.traits
    declared = traits.receptive_field
    if declared is None and not traits.causal and leaves(trial.usual.inputs)[0].ndim != 3:
        return skipped("inputs are no sequences (batch, time, features), and no receptive_field is declared")
    influence = time_influence(trial)
    if isinstance(influence, str):
        return skipped(influence) if declared is None else inconclusive(influence)
    seen = influence > VISIBLE * influence[np.isfinite(influence)].max(initial=0.0)
    steps, number = len(seen), int(seen.sum(axis=0).max(initial=0))
    outputs, inputs = np.nonzero(seen)
    back, ahead = int((outputs - inputs).max(initial=0)), int((inputs - outputs).max(initial=0))
    span = min(back + ahead + 1, steps) if number else 0
    found = f"output step t sees {_reach(seen, back, ahead)} of inputs"
    evidence: dict[str, Any] = {"influence_map": influence, "influence_axis": "time", "span": span, "number": number}
    if declared is None:
        return passed(found, **evidence)
    if steps <= declared and span == steps:
        return inconclusive(
            f"{found}, and the sequence has {steps} steps, no more than the receptive_field={declared} declared",
            f"Give the case inputs of more than {declared} time steps.",
            **evidence,
        )
    if min(declared, steps) in (span, number):
        return passed(found, **evidence)
    return warned(
        f"{found}: a receptive field of {span}, where receptive_field={declared} is declared",
        f"Declare receptive_field={span}, or mend kernel size, dilation and padding.",
        **evidence,
    )


def _reach(seen: Array, back: int, ahead: int) -> str:
    """Say in words which steps output step t sees."""
    steps = len(seen)
    if not seen.any():
        return "no step"
    if seen[:, seen.any(axis=0)].all() and back == ahead == steps - 1:
        return f"all {steps} steps"
    if (back, ahead) == (steps - 1, 0):
        return "steps 0…t"
    if (back, ahead) == (0, steps - 1):
        return f"steps t…{steps - 1}"
    first, last = ("t" if not offset else f"t{offset:+d}" for offset in (-back, ahead))
    return f"steps {first}…{last}" if first != last else f"step {first} only"


def bad() -> Case:
    return Case(_moving_average(), inputs=(None, 6, 5), traits=Traits(receptive_field=2))


def good() -> Case:
    return Case(_moving_average(), inputs=(None, 6, 5), traits=Traits(receptive_field=3))


def _moving_average() -> type:
    import keras

    class AverageOfThree(keras.layers.Layer):
        def call(self, inputs):
            padded = keras.ops.pad(inputs, ((0, 0), (2, 0), (0, 0)))
            return (padded[:, 2:] + padded[:, 1:-1] + padded[:, :-2]) / 3

    return AverageOfThree
