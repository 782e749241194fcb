"""Replace slices of what a layer is called with, and see which slices of its outputs move: an influence map."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial, restore, snapshot

Call = Callable[[Arguments], list[Array]]
MOST_SLICES = 16
UNREPEATABLE = "two calls with the same inputs, state and seeds differ, so a replaced input proves nothing"


def calling(trial: Trial, layer: Any, usual: Arguments, training: bool, *, loops_only: bool = True) -> Call:
    """Return a layer as a function from arguments like `usual` to the list of its output arrays.

    Each call starts from the same state and seeds. On JAX it is compiled where it holds a loop, which would else be
    compiled anew at every call; with `loops_only=False` wherever it can be, as pays where sizes are new: there every
    operation would be compiled anew.
    """
    import keras

    def eager(arguments: Arguments) -> list[Array]:
        weights = snapshot(layer.trainable_variables) if training else []  # spectral normalisation assigns its kernel
        outputs = leaves(trial.call(layer, arguments, training=training))
        restore(weights)
        return outputs

    if trial.backend.NAME != "jax":
        return eager
    flat = trial.function(layer, usual, training=training)

    def pure(*tensors: Any) -> list[Any]:
        with keras.StatelessScope():
            return leaves(flat(*tensors))

    if loops_only and not _holds_a_loop(trial, pure, usual):
        return eager
    compiled = trial.backend.jit(pure)

    def call(arguments: Arguments) -> list[Array]:
        try:
            outputs = compiled(*map(keras.ops.convert_to_tensor, arguments.arrays()))
        except Exception:  # a layer may raise anything under a trace; eagerly it works, or says clearly why not
            return eager(arguments)
        return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]

    return call


def _holds_a_loop(trial: Trial, function: Callable[..., Any], usual: Arguments) -> bool:
    try:
        program = trial.backend.trace(function, usual.arrays())
    except Exception:  # a layer may raise anything under a trace; LW801 compiled-equals-eager says so
        return False
    return "scan[" in program or "while[" in program


def influence_map(
    call: Call,
    usual: Arguments,
    other: Arguments,
    *,
    axis: int,
    places: Sequence[int],
    most: int = MOST_SLICES,
    rows: int | None = None,
) -> Array | None:
    """Replace slices along `axis` by the other draw's, in the arrays at `places`, and see which outputs move.

    Entry (i, j) is how much output slice i moved when input slice j was replaced. Of an axis longer than `most` so many
    slices, evenly spread, are replaced; the columns of others are NaN. `rows` is the number of output slices, if that
    is not the number of input slices. None if equal calls give different outputs.
    """
    base = call(usual)
    size = usual.arrays()[places[0]].shape[axis]
    influence = np.full((size if rows is None else rows, size), np.nan)
    for index in spread(size, most):
        influence[:, index] = moves(base, call(replaced(usual, other, places, axis, index)), axis)
    return None if moves(base, call(usual), axis).any() else influence


def spread(size: int, most: int = MOST_SLICES) -> list[int]:
    """Return all indices of an axis, or `most` from its first to its last."""
    return sorted({int(index) for index in np.linspace(0, size - 1, min(size, most))})


def replaced(usual: Arguments, other: Arguments, places: Sequence[int], axis: int, index: Any) -> Arguments:
    """Take `index` along `axis` from `other` in the arrays at `places`, everything else from `usual`."""
    arrays = list(usual.arrays())
    for place in places:
        arrays[place] = arrays[place].copy()
        slices = (slice(None),) * (axis % arrays[place].ndim) + (index,)
        arrays[place][slices] = other.arrays()[place][slices]
    return usual.replace_arrays(arrays)


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


def with_axis(arrays: Sequence[Array], axis: int, size: int) -> list[int]:
    """Return the places of arrays that have `size` slices along `axis`."""
    return [place for place, array in enumerate(arrays) if array.ndim > axis and array.shape[axis] == size]


def who_sees_whom(influence: Array, whole: str = "output", part: str = "sample", most: int = 4) -> str:
    """Name the pairs off the diagonal that moved, strongest first; empty if there are none."""
    off = np.where(np.eye(len(influence), dtype=bool), 0.0, influence)
    pairs = [(i, j) for i, j in np.argwhere(off > 0).tolist()]
    strongest = sorted(pairs, key=lambda pair: -off[pair])
    words = [f"{whole} {i} moved by {off[i, j]:.3g} with {part} {j}" for i, j in strongest[:most]]
    more = f" and {len(pairs) - most} more" if len(pairs) > most else ""
    return ", ".join(words) + more
