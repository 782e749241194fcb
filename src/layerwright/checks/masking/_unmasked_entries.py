"""Find the unmasked entries of a masked layer's outputs."""

import numpy as np

from layerwright.checks.masking._calls import outputs_and_masks
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.masks import Subject, axes_of, expanded
from layerwright.trial.trial import Trial


def unmasked_entries(trial: Trial, found: Subject) -> list[Array]:
    """Return for each output of the usual call with the usual masks which entries are unmasked, as booleans.

    The mask that an output carries decides. If it carries none but has the time axis of the first masked tensor, the
    mask of that tensor decides. Otherwise every entry is unmasked.
    """
    unmasked = []
    for place, (array, own) in enumerate(zip(*outputs_and_masks(trial, found, found.ways[0]), strict=True)):
        mask = found.masks[0] if own is None and keeps_time(trial, found, place, array) is not False else own
        axes = () if mask is None else axes_of(mask.shape, array.shape, trial.case.traits.time_axis)
        unmasked.append(expanded(mask, axes, array.shape) if mask is not None and axes else np.ones(array.shape, bool))
    return unmasked


def keeps_time(trial: Trial, found: Subject, place: int, output: Array) -> bool | None:
    """Whether an output has the time axis of the first masked tensor; None if that cannot be decided.

    An output of rank 2 may have as many features as there are steps. It has the time axis if the size of that axis is
    unknown whenever the number of steps is unknown.
    """
    axis = found.slots[0].axes[-1]
    if output.ndim <= axis or output.shape[axis] != found.masks[0].shape[-1]:
        return False
    if output.ndim > 2:
        return True
    if next(trial.case.specs()).shape[axis] is not None:
        return None
    # LW201 spec-matches-call reports a layer that cannot be called symbolically.
    try:
        return leaves(trial.symbolic_call(found.layer))[place].shape[axis] is None
    except LayerError:
        return None
