"""Influence maps along the batch and time axes, and the check that samples do not influence each other."""

import numpy as np

from layerwright.core.case import InputSpec
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import bitwise_equal, leaves
from layerwright.trial.slices import UNREPEATABLE, influence_map, who_sees_whom, with_axis
from layerwright.trial.subject import caller
from layerwright.trial.trial import Trial, once_per_trial

SHAPES_ALONE = "the outputs follow from the shapes of the inputs alone, as a table of positions does"


@once_per_trial
def batch_influence_map(trial: Trial, training: bool) -> Array | None:
    """Return the (batch, batch) influence map of all outputs together.

    Entry (i, j) is how much output row i changed when sample j was replaced. Every call starts from the same state and
    seeds. The result is None if identical calls give different outputs.
    """
    usual, other = trial.usual, replacement_samples(trial)
    return influence_map(caller(trial, training), usual, other, axis=0, places=range(len(usual.arrays())))


@once_per_trial
def time_influence_map(trial: Trial) -> Array | str:
    """Return the (time, time) influence map in inference, or the reason why there is none.

    Entry (i, j) is how much output step i changed when step j of the first call argument was replaced in every sample.
    """
    axis, inputs = trial.case.traits.time_axis, leaves(trial.usual.inputs)
    if inputs[0].ndim <= axis:
        return f"the first input has shape {inputs[0].shape}; expected time on axis {axis}"
    steps = inputs[0].shape[axis]
    places = with_axis(inputs, axis, steps)
    call = caller(trial, False)
    outputs = call(trial.usual)
    timed = with_axis(outputs, axis, steps)
    if not timed:
        return (
            f"outputs have shape {' and '.join(str(output.shape) for output in outputs)}; expected {steps} time steps "
            f"on axis {axis}"
        )
    # A state returned beside a sequence may have as many features as there are steps. Its rank tells it apart.
    rank = outputs[timed[0]].ndim

    def sequences(arguments: Arguments) -> list[Array]:
        made = call(arguments)
        return [made[place] for place in timed if made[place].ndim == rank]

    influence = influence_map(sequences, trial.usual, trial.arguments(seed=1), axis=axis, places=places)
    return UNREPEATABLE if influence is None else influence


@once_per_trial
def follows_shapes_alone(trial: Trial) -> bool:
    """Whether no value of the inputs changes an output, but their shape does, as in a table of positions."""
    usual = caller(trial, False)(trial.usual)
    for training, scale in ((False, 1.0), (False, 100.0), (True, 1.0)):
        call = caller(trial, training)
        expected = usual if scale == 1.0 and not training else call(trial.usual)
        if not bitwise_equal(expected, call(replacement_samples(trial, 1, scale))):
            return False
    axes = sorted({axis for spec in trial.case.specs() for axis in range(len(spec.shape))})
    return any(_shape_follows_axis(trial, usual, axis) for axis in axes)


def _shape_follows_axis(trial: Trial, usual: list[Array], axis: int) -> bool:
    """Whether another size of an axis of the inputs gives outputs of another shape."""

    def longer(spec: InputSpec) -> tuple[int, ...]:
        sizes = list(trial.shape_of(spec, trial.usual.batch))
        if len(sizes) > axis:
            sizes[axis] += 1
        return tuple(sizes)

    # A table of positions may be built for one length. Then it cannot be told from a layer that ignores its inputs.
    try:
        found = caller(trial, False)(trial.arguments_of(longer))
    except LayerError:
        return False
    return [output.shape for output in found] != [output.shape for output in usual]


def replacement_samples(trial: Trial, seed: int = 1, scale: float = 1.0) -> Arguments:
    """Return another random draw of the samples, rotated by one place.

    Padding masks do not depend on the seed; the rotation makes them differ from the usual ones as well.
    """
    other = trial.arguments(seed=seed, scale=scale)
    return other.rows(np.roll(np.arange(other.batch), 1))


def judge_independence(trial: Trial, *, training: bool, fix: str) -> Finding:
    """Pass if nothing off the diagonal of the batch influence map changed, not even by one bit."""
    if follows_shapes_alone(trial):
        return passed(SHAPES_ALONE)
    influence = batch_influence_map(trial, training)
    if influence is None:
        return inconclusive(UNREPEATABLE)
    leaks = who_sees_whom(influence)
    if leaks and trial.case.traits.random and not np.triu(influence, 1).any():
        return inconclusive(
            "replacing one sample changed the outputs of later samples only, in a layer that draws random numbers: if "
            "the number of draws depends on the sample, later samples receive other random numbers without any leak",
            influence_map=influence,
        )
    if leaks:
        mode = " with training=True" if training else ""
        return failed(
            f"replacing one sample changed other samples' outputs{mode}: {leaks}; expected no change",
            fix,
            influence_map=influence,
        )
    return passed(influence_map=influence)
