"""Replace slices of a layer's inputs and measure which slices of its outputs change: an influence map."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial, restore, snapshot

Call = Callable[[Arguments], list[Array]]
MOST_SLICES = 16
UNREPEATABLE = (
    "two calls with the same inputs, state and seeds give different outputs, so the influence of an input cannot be "
    "measured"
)


def calling(trial: Trial, layer: Any, usual: Arguments, training: bool, *, loops_only: bool = True) -> Call:
    """Return a layer as a function that takes arguments like `usual` and returns the list of output arrays.

    Each call starts from the same state and seeds. On JAX the layer is compiled if it contains a loop, because an eager
    call would compile the loop again each time. With `loops_only=False` it is compiled whenever that works. This is
    faster if the sizes are new, because an eager call would compile every operation for them.
    """
    import keras

    def eager(arguments: Arguments) -> list[Array]:
        # Some layers assign trainable weights in training mode: SpectralNormalization assigns the kernel.
        weights = snapshot(layer.trainable_variables) if training else []
        outputs = leaves(trial.call(layer, arguments, training=training))
        restore(weights)
        return outputs

    if trial.backend.NAME != "jax":
        return eager
    flat = trial.function(layer, usual, training=training)

    def pure(*tensors: Any) -> list[Any]:
        with keras.StatelessScope():
            return leaves(flat(*tensors))

    if loops_only and not _contains_loop(trial, pure, usual):
        return eager
    compiled = trial.backend.jit(pure)

    def call(arguments: Arguments) -> list[Array]:
        # A layer may raise anything while it is traced. The eager call succeeds or raises a clearer exception.
        try:
            outputs = compiled(*map(keras.ops.convert_to_tensor, arguments.arrays()))
        except Exception:
            return eager(arguments)
        return [np.asarray(keras.ops.convert_to_numpy(output)) for output in outputs]

    return call


def _contains_loop(trial: Trial, function: Callable[..., Any], usual: Arguments) -> bool:
    # A layer may raise anything while it is traced. LW801 compiled-equals-eager reports it.
    try:
        program = trial.backend.trace(function, usual.arrays())
    except Exception:
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
    """Replace slices along `axis`, in the arrays at `places`, by those of `other`, and measure the change of outputs.

    Entry (i, j) is the change of output slice i when input slice j was replaced. If the axis is longer than `most`,
    only that many slices, evenly spread, are replaced; the columns of the others are NaN. `rows` is the number of
    output slices, if it is not the number of input slices. Returns None if equal calls give different outputs.
    """
    base = call(usual)
    size = usual.arrays()[places[0]].shape[axis]
    influence = np.full((size if rows is None else rows, size), np.nan)
    for index in spread(size, most):
        influence[:, index] = moves(base, call(replaced(usual, other, places, axis, index)), axis)
    return None if moves(base, call(usual), axis).any() else influence


def spread(size: int, most: int = MOST_SLICES) -> list[int]:
    """Return all indices of an axis, or `most` evenly spread ones from the first to the last."""
    return sorted({int(index) for index in np.linspace(0, size - 1, min(size, most))})


def replaced(usual: Arguments, other: Arguments, places: Sequence[int], axis: int, index: Any) -> Arguments:
    """Return `usual` with the slice `index` along `axis` taken from `other`, in the arrays at `places`."""
    arrays = list(usual.arrays())
    for place in places:
        arrays[place] = arrays[place].copy()
        slices = (slice(None),) * (axis % arrays[place].ndim) + (index,)
        arrays[place][slices] = other.arrays()[place][slices]
    return usual.replace_arrays(arrays)


def moves(before: Sequence[Array], after: Sequence[Array], axis: int) -> Array:
    """Return the largest change of each slice along `axis` over all outputs; infinite if NaN or the shape changed."""
    return np.asarray(np.max([_change_of_slices(a, b, axis) for a, b in zip(before, after, strict=True)], axis=0))


def _change_of_slices(before: Array, after: Array, axis: int) -> Array:
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
    """Return the indices of the arrays that have `size` slices along `axis`."""
    return [place for place, array in enumerate(arrays) if array.ndim > axis and array.shape[axis] == size]


def who_sees_whom(influence: Array, whole: str = "output", part: str = "sample", most: int = 4) -> str:
    """Name the entries off the diagonal that are not 0, the largest changes first; empty if there are none."""
    off = np.where(np.eye(len(influence), dtype=bool), 0.0, influence)
    pairs = [(i, j) for i, j in np.argwhere(off > 0).tolist()]
    strongest = sorted(pairs, key=lambda pair: -off[pair])
    words = [f"{whole} {i} changed with {part} {j} (by {off[i, j]:.3g})" for i, j in strongest[:most]]
    more = f" and {len(pairs) - most} more" if len(pairs) > most else ""
    return ", ".join(words) + more
