"""The influence maps of a trial along batch and time, and what they say of samples that see one another."""

import numpy as np

from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.slices import UNREPEATABLE, influence_map, who_sees_whom, with_axis
from layerwright.trial.subject import caller
from layerwright.trial.trial import Trial, once_per_trial


@once_per_trial
def batch_influence(trial: Trial, training: bool) -> Array | None:
    """Return the (batch, batch) influence map: entry (i, j) is how much output row i moved when sample j was replaced.

    Every call starts from the same state and seeds. None if equal calls give different outputs.
    """
    usual, other = trial.usual, other_samples(trial)
    return influence_map(caller(trial, training), usual, other, axis=0, places=range(len(usual.arrays())))


@once_per_trial
def time_influence(trial: Trial) -> Array | str:
    """Return the (time, time) influence map in inference, or say why there is none.

    Entry (i, j) is how much output step i moved when step j of the first call argument was replaced in every sample.
    """
    axis, inputs = trial.case.traits.time_axis, leaves(trial.usual.inputs)
    if inputs[0].ndim <= axis:
        return f"the input of shape {inputs[0].shape} has no time axis {axis}"
    steps = inputs[0].shape[axis]
    places = with_axis(inputs, axis, steps)
    call = caller(trial, False)
    outputs = call(trial.usual)
    timed = with_axis(outputs, axis, steps)
    if not timed:
        return f"no output has {steps} time steps: {', '.join(str(output.shape) for output in outputs)}"
    rank = outputs[timed[0]].ndim  # a state beside a sequence may happen to have as many features as there are steps

    def sequences(arguments: Arguments) -> list[Array]:
        made = call(arguments)
        return [made[place] for place in timed if made[place].ndim == rank]

    influence = influence_map(sequences, trial.usual, trial.arguments(seed=1), axis=axis, places=places)
    return UNREPEATABLE if influence is None else influence


def other_samples(trial: Trial, seed: int = 1, scale: float = 1.0) -> Arguments:
    """Return another draw, its samples one place on: padding masks, which no seed changes, then differ as well."""
    other = trial.arguments(seed=seed, scale=scale)
    return other.rows(np.roll(np.arange(other.batch), 1))


def independence(trial: Trial, *, training: bool, fix: str) -> Finding:
    """Judge the batch influence map: nothing off the diagonal may move, not by one bit."""
    influence = batch_influence(trial, training)
    if influence is None:
        return inconclusive(UNREPEATABLE)
    leaks = who_sees_whom(influence)
    if leaks and trial.case.traits.random and not np.triu(influence, 1).any():
        return inconclusive(
            "replacing one sample moved outputs of later samples only, in a layer that draws random numbers: each "
            "sample may use as many draws as its content asks for, and so shift those of the next",
            influence_map=influence,
        )
    if leaks:
        during = ", with training=True," if training else ""
        return failed(
            f"replacing one sample{during} moved other samples' outputs: {leaks}", fix, influence_map=influence
        )
    return passed(influence_map=influence)
