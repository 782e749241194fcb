"""Put other values at masked steps, and measure what they change."""

from collections.abc import Sequence

import numpy as np

from layerwright.checks.masking._effects import Effects, effects, gradient_name, variable_names
from layerwright.checks.masking._unmasked_entries import unmasked_entries
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import Subject, expanded, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial, once_per_trial

HUGE = (1e4, -1e4)
NOT_FINITE = (np.nan, np.inf, -np.inf)


@once_per_trial
def changes_from_masked_steps(trial: Trial, contents: tuple[float, ...]) -> dict[str, float]:
    """Return what changes if masked steps hold `contents` instead of the usual values, and by how much of its scale.

    Only unmasked entries are compared. The gradient of a weight contains 0 times the values at masked steps. A layer
    that receives no mask cannot prevent that, so its weight gradients are left out if `contents` are not finite.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return {}
    left_out: set[str] = set()
    if not found.sees_mask and not np.isfinite(contents).all():
        names = variable_names(trial, found)
        left_out = {gradient_name(names[weight.path]) for weight in found.layer.trainable_variables}
    before = _usual_effects(trial, found)
    after = _effects_on_unmasked_entries(trial, found, fill_masked_steps(trial, found, contents))
    changed = {
        name: largest_difference([before[name]], [after[name]]) if name in after else float("inf")
        for name in before
        if name not in left_out
    }
    return {name: difference for name, difference in changed.items() if difference > tolerance(trial)}


def fill_masked_steps(trial: Trial, found: Subject, contents: Sequence[float]) -> Arguments:
    """Return the usual arguments with random values out of `contents` at masked steps; integers are shuffled there."""
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


def makes_its_own_mask(found: Subject) -> bool:
    """Whether the layer receives no mask, but its output carries one."""
    import keras

    if found.sees_mask:
        return False
    tensors = found.plain.map(keras.ops.convert_to_tensor)
    # A layer's own compute_mask may raise anything if there is no mask. LW402 mask-matches-output reports that.
    try:
        return found.layer.compute_mask(tensors.inputs, None) is not None
    except Exception:
        return False


def list_largest_changes(changes: dict[str, float], most: int = 3) -> str:
    """Name what changed and by how much, the largest changes first."""
    names = sorted(changes, key=lambda name: -changes[name])
    words = [name if np.isinf(changes[name]) else f"{name} (by {changes[name]:.3g})" for name in names[:most]]
    return ", ".join(words) + (f" and {len(names) - most} more" if len(names) > most else "")


@once_per_trial
def _usual_effects(trial: Trial, found: Subject) -> Effects:
    return _effects_on_unmasked_entries(trial, found, found.plain)


@once_per_trial
def _unmasked_entries(trial: Trial, found: Subject) -> list[Array]:
    return unmasked_entries(trial, found)


def _effects_on_unmasked_entries(trial: Trial, found: Subject, plain: Arguments) -> Effects:
    return effects(trial, found, found.masks, plain=plain, unmasked=_unmasked_entries(trial, found))
