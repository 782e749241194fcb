"""LW307 receptive-field."""

from typing import Any

import numpy as np

from layerwright.checks.axes._influence import time_influence_map
from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, inconclusive, passed, skipped, warned
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial

SMALLEST_VISIBLE_CHANGE = 1e-6


@check("LW307", "receptive-field", requires=("LW901",), advisory=True)
def receptive_field(trial: Trial) -> Finding:
    """An output step depends on as many input steps as the layer declares.

    What it proves:
        The number of input steps that change an output step equals the declared `receptive_field`.

    Why it matters:
        The receptive field decides how much context a prediction has, how much padding a stream needs, and how many
        steps at its start to discard. It grows with every kernel and dilation and is easily miscalculated.

    How it is tested:
        Each input step (at most 16) is replaced in all samples by another random draw. The reach is
        the largest distance, back and ahead, from a changed output step to the replaced input step. Changes within 1e-6
        of the largest one are ignored. A declared `receptive_field` must equal the whole span of the reach or, where a
        dilated kernel skips steps, the number of input steps that have an effect. If no receptive field is declared,
        the measured one is reported.

    Exempt when:
        Inputs are not sequences, or no output has as many steps as the inputs. The result is inconclusive where the
        sequence is not longer than the declared field.

    References:
        van den Oord et al. 2016, "WaveNet", arXiv:1609.03499, section 2.1; Luo et al. 2016, "Understanding the
        effective receptive field in deep convolutional neural networks", arXiv:1701.04128.
    """
    traits = trial.case.traits
    declared = traits.receptive_field
    if declared is None and not traits.causal and leaves(trial.usual.inputs)[0].ndim != 3:
        return skipped("inputs are not sequences (batch, time, features), and no receptive_field is declared")
    influence = time_influence_map(trial)
    if isinstance(influence, str):
        return skipped(influence) if declared is None else inconclusive(influence)
    seen = influence > SMALLEST_VISIBLE_CHANGE * influence[np.isfinite(influence)].max(initial=0.0)
    steps, number = len(seen), int(seen.sum(axis=0).max(initial=0))
    outputs, inputs = np.nonzero(seen)
    back, ahead = int((outputs - inputs).max(initial=0)), int((inputs - outputs).max(initial=0))
    span = min(back + ahead + 1, steps) if number else 0
    found = f"output step t depends on {_describe_reach(seen, back, ahead)}"
    evidence: dict[str, Any] = {"influence_map": influence, "influence_axis": "time", "span": span, "number": number}
    if declared is None:
        return passed(found, **evidence)
    if steps <= declared and span == steps:
        return inconclusive(
            f"{found}, but the sequence has only {steps} steps; expected more than the declared "
            f"receptive_field={declared}",
            f"Give the case inputs with more than {declared} time steps.",
            **evidence,
        )
    if min(declared, steps) in (span, number):
        return passed(found, **evidence)
    return warned(
        f"{found}, a receptive field of {span}; expected the declared receptive_field={declared}",
        f"Declare `receptive_field={span}`, or correct kernel size, dilation and padding.",
        **evidence,
    )


def _describe_reach(seen: Array, back: int, ahead: int) -> str:
    """Say which input steps output step t depends on."""
    steps = len(seen)
    if not seen.any():
        return "no input step"
    if seen[:, seen.any(axis=0)].all() and back == ahead == steps - 1:
        return f"all {steps} input steps"
    if (back, ahead) == (steps - 1, 0):
        return "input steps 0 to t"
    if (back, ahead) == (0, steps - 1):
        return f"input steps t to {steps - 1}"
    first, last = ("t" if not offset else f"t{offset:+d}" for offset in (-back, ahead))
    return f"input steps {first} to {last}" if first != last else f"input step {first} only"


def bad() -> Case:
    return Case(_moving_average_layer(), inputs=(None, 6, 5), traits=Traits(receptive_field=2))


def good() -> Case:
    return Case(_moving_average_layer(), inputs=(None, 6, 5), traits=Traits(receptive_field=3))


def _moving_average_layer() -> type:
    import keras

    class AverageOfThree(keras.layers.Layer):
        def call(self, inputs):
            padded = keras.ops.pad(inputs, ((0, 0), (2, 0), (0, 0)))
            return (padded[:, 2:] + padded[:, 1:-1] + padded[:, :-2]) / 3

    return AverageOfThree
