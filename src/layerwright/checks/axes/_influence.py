"""Influence maps: how much output slice i moves when input slice j is replaced."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from layerwright.checks.axes._subject import Call, caller
from layerwright.core.finding import Finding, failed, not_probed, passed
from layerwright.trial import Arguments, Array, Trial, leaves

MOST_SLICES = 16
UNREPEATABLE = "two calls with the same inputs, state and seeds differ, so a replaced input proves nothing"


@lru_cache(maxsize=2)
def batch_influence(trial: Trial, training: bool) -> Array | None:
    """Return the (batch, batch) influence map: entry (i, j) is how much output row i moved when sample j was replaced.

    Every call starts from the same state and seeds. None if equal calls give different outputs.
    """
    usual, other = trial.usual, other_samples(trial)
    return influence_map(caller(trial, training), usual, other, axis=0, places=range(len(usual.arrays())))


@lru_cache(maxsize=1)
def time_influence(trial: Trial) -> Array | str:
    """Return the (time, time) influence map in inference, or say why there is none.

    Entry (i, j) is how much output step i moved when step j of the first call argument was replaced in every sample.
    """
    axis, inputs = trial.case.traits.time_axis, leaves(trial.usual.inputs)
    if inputs[0].ndim <= axis:
        return f"the input of shape {inputs[0].shape} has no time axis {axis}"
    steps = inputs[0].shape[axis]
    places = _with_axis(inputs, axis, steps)
    call = caller(trial, False)
    outputs = call(trial.usual)
    timed = _with_axis(outputs, axis, steps)
    if not timed:
        return f"no output has {steps} time steps: {', '.join(str(output.shape) for output in outputs)}"
    rank = outputs[timed[0]].ndim  # a state beside a sequence may happen to have as many features as there are steps

    def sequences(arguments: Arguments) -> list[Array]:
        made = call(arguments)
        return [made[place] for place in timed if made[place].ndim == rank]

    influence = influence_map(sequences, trial.usual, trial.arguments(seed=1), axis=axis, places=places)
    return UNREPEATABLE if influence is None else influence


def influence_map(call: Call, usual: Arguments, other: Arguments, *, axis: int, places: Sequence[int]) -> Array | None:
    """Replace slices along `axis` by the other draw's, in the arrays at `places`, and see which outputs move.

    Of an axis longer than `MOST_SLICES` so many slices, evenly spread, are replaced; the columns of others are NaN.
    None if equal calls give different outputs.
    """
    base = call(usual)
    size = usual.arrays()[places[0]].shape[axis]
    influence = np.full((size, size), np.nan)
    for index in spread(size):
        influence[:, index] = moves(base, call(replaced(usual, other, places, axis, index)), axis)
    return None if moves(base, call(usual), axis).any() else influence


def spread(size: int) -> list[int]:
    """Return all indices of an axis, or `MOST_SLICES` from its first to its last."""
    return sorted({int(index) for index in np.linspace(0, size - 1, min(size, MOST_SLICES))})


def replaced(usual: Arguments, other: Arguments, places: Sequence[int], axis: int, index: Any) -> Arguments:
    """Take `index` along `axis` from `other` in the arrays at `places`, everything else from `usual`."""
    arrays = list(usual.arrays())
    for place in places:
        arrays[place] = arrays[place].copy()
        slices = (slice(None),) * (axis % arrays[place].ndim) + (index,)
        arrays[place][slices] = other.arrays()[place][slices]
    return usual.replace_arrays(arrays)


def other_samples(trial: Trial, seed: int = 1, scale: float = 1.0) -> Arguments:
    """Return another draw, its samples one place on: padding masks, which no seed changes, then differ as well."""
    other = trial.arguments(seed=seed, scale=scale)
    return other.rows(np.roll(np.arange(other.batch), 1))


def moves(before: Sequence[Array], after: Sequence[Array], axis: int) -> Array:
    """Return how much each slice along `axis` moved, at most over all outputs; infinite where NaN or shape changed."""
    return np.asarray(np.max([_slice_moves(a, b, axis) for a, b in zip(before, after, strict=True)], axis=0))


def _slice_moves(before: Array, after: Array, axis: int) -> Array:
    size = before.shape[axis]
    if before.shape != after.shape:
        return np.full(size, np.inf)
    a, b = (np.moveaxis(array, axis, 0).reshape(size, -1) for array in (before, after))
    with np.errstate(invalid="ignore"):
        same = (a == b) | ((a != a) & (b != b))
        if a.dtype.kind in "SUO":
            return np.asarray(np.where(same, 0.0, np.inf).max(axis=1, initial=0.0))
        apart = np.abs(a.astype("float64") - b.astype("float64"))
    apart = np.where(np.isnan(apart), np.inf, np.maximum(apart, np.finfo("float64").tiny))
    return np.asarray(np.where(same, 0.0, apart).max(axis=1, initial=0.0))


def who_sees_whom(influence: Array, whole: str = "output", part: str = "sample", most: int = 4) -> str:
    """Name the pairs off the diagonal that moved, strongest first; empty if there are none."""
    off = np.where(np.eye(len(influence), dtype=bool), 0.0, influence)
    pairs = [(i, j) for i, j in np.argwhere(off > 0).tolist()]
    strongest = sorted(pairs, key=lambda pair: -off[pair])
    words = [f"{whole} {i} moved by {off[i, j]:.3g} with {part} {j}" for i, j in strongest[:most]]
    more = f" and {len(pairs) - most} more" if len(pairs) > most else ""
    return ", ".join(words) + more


def independence(trial: Trial, *, training: bool, fix: str) -> Finding:
    """Judge the batch influence map: nothing off the diagonal may move, not by one bit."""
    influence = batch_influence(trial, training)
    if influence is None:
        return not_probed(UNREPEATABLE)
    leaks = who_sees_whom(influence)
    if leaks and trial.case.traits.random and not np.triu(influence, 1).any():
        return not_probed(
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


def _with_axis(arrays: Sequence[Array], axis: int, size: int) -> list[int]:
    return [place for place, array in enumerate(arrays) if array.ndim > axis and array.shape[axis] == size]
