"""Other contents at masked steps, and what they move."""

from collections.abc import Sequence

import numpy as np

from layerwright.checks.masking._counting import counting
from layerwright.checks.masking._effects import Effects, effects
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import Subject, expanded, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial, once_per_trial

HUGE = (1e4, -1e4)
NOT_FINITE = (np.nan, np.inf, -np.inf)


@once_per_trial
def leaks(trial: Trial, contents: tuple[float, ...]) -> dict[str, float]:
    """Return what moves when masked steps hold `contents` instead of the usual values, and how far for its scale.

    Looked at is what the mask leaves. A layer that sees no mask cannot help what the gradients of its weights are made
    of, 0 times what lies at a masked step; where that is not finite they are left out.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return {}
    helpless = not found.sees_mask and not np.isfinite(contents).all()
    excused = {f"the gradient by {weight.path}" for weight in found.layer.trainable_variables if helpless}
    before, after = _usual(trial, found), _effects(trial, found, filled(trial, found, contents))
    moved = {
        name: largest_difference([before[name]], [after[name]]) if name in after else float("inf")
        for name in before
        if name not in excused
    }
    return {name: difference for name, difference in moved.items() if difference > tolerance(trial)}


def filled(trial: Trial, found: Subject, contents: Sequence[float]) -> Arguments:
    """Return the usual arguments with `contents` at masked steps, in turn at random; integers are shuffled there."""
    rng = np.random.default_rng((trial.seed, 5))
    arrays = found.plain.arrays()
    for slot in found.slots:
        array = arrays[slot.place]
        if array.dtype.kind == "f":
            other = rng.choice(contents, array.shape).astype(array.dtype)
        else:
            other = rng.permuted(array.reshape(-1)).reshape(array.shape)
        arrays[slot.place] = np.where(expanded(slot.mask, slot.axes, array.shape), array, other)
    return found.plain.replace_arrays(arrays)


def worst(moved: dict[str, float], most: int = 3) -> str:
    """Name what moved, the furthest first, and how far."""
    names = sorted(moved, key=lambda name: -moved[name])
    words = [name if np.isinf(moved[name]) else f"{name} (by {moved[name]:.3g})" for name in names[:most]]
    return ", ".join(words) + (f" and {len(names) - most} more" if len(names) > most else "")


@once_per_trial
def _usual(trial: Trial, found: Subject) -> Effects:
    return _effects(trial, found, found.plain)


@once_per_trial
def _counting(trial: Trial, found: Subject) -> list[Array]:
    return counting(trial, found)


def _effects(trial: Trial, found: Subject, plain: Arguments) -> Effects:
    return effects(trial, found, found.masks, plain=plain, counts=_counting(trial, found))
