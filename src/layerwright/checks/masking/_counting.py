"""Which entries of a masked layer's outputs count."""

import numpy as np

from layerwright.checks.masking._calls import eager
from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.masks import Subject, axes_of, expanded
from layerwright.trial.trial import Trial


def counting(trial: Trial, found: Subject) -> list[Array]:
    """Return for each output of the usual call with the usual masks which entries count: booleans of its shape.

    An output's own mask decides; where none goes on, that of the first masked tensor, if the output has its time axis;
    else every entry counts.
    """
    counts = []
    for place, (array, own) in enumerate(zip(*eager(trial, found, found.ways[0]), strict=True)):
        mask = found.masks[0] if own is None and keeps_time(trial, found, place, array) is not False else own
        axes = () if mask is None else axes_of(mask.shape, array.shape, trial.case.traits.time_axis)
        counts.append(expanded(mask, axes, array.shape) if mask is not None and axes else np.ones(array.shape, bool))
    return counts


def keeps_time(trial: Trial, found: Subject, place: int, output: Array) -> bool | None:
    """Whether an output has the time axis of the first masked tensor; None if that cannot be told.

    An output of rank 2 may have as many features as there are steps; it keeps time if it is of unknown size where the
    number of steps is unknown.
    """
    axis = found.slots[0].axes[-1]
    if output.ndim <= axis or output.shape[axis] != found.masks[0].shape[-1]:
        return False
    if output.ndim > 2:
        return True
    if next(trial.case.specs()).shape[axis] is not None:
        return None
    try:
        return leaves(trial.symbolic_call(found.layer))[place].shape[axis] is None
    except LayerError:  # LW201 spec-matches-call says so
        return None
