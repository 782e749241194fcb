"""LW411."""

from collections.abc import Sequence

import numpy as np

from layerwright.checks.masking._calls import inference_outputs
from layerwright.checks.masking._content import makes_its_own_mask
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import Subject, expanded, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial

CLEAR = 100
"""How many times the tolerance the outputs must change under an all-True mask, for the comparison to mean anything."""

FIX = (
    "A mask is True at the steps that count. Look for a sign or a pair of `ops.where` arguments the wrong way round: "
    "the large negative number belongs where the mask is False, as in `ops.where(mask, scores, -1e4)`."
)


@check("LW411", "unmasked-steps-count", requires=("LW402",), exempt={"masking": "generated", "stateful": True})
def unmasked_steps_count(trial: Trial) -> Finding:
    """Values at unmasked steps change the outputs, whether other steps are masked or not.

    What it proves:
        If values that change the outputs under an all-True mask are put at the unmasked steps of partly masked samples,
        these samples' outputs change too.

    Why it matters:
        A mask that is read upside down leaves out the data and keeps the padding. The outputs look sound, for they are
        finite and do not depend on what the padding holds, if it is set to zero first; but they say nothing of the
        sample.

    How it is tested:
        In inference mode, each unmasked step gets the values of the same step of the sample before, first with the
        usual mask, then with an all-True mask. Compared are the samples with masked and unmasked steps. The check fails
        if the outputs change by at most 1e-5 of their scale with the usual mask, and by over 1e-3 with all steps
        unmasked. Both numbers grow with the tolerance of LW401 in half precision, so that the check is skipped there.

    Exempt when:
        The layer declares `masking="generated"` or `stateful=True`. Skipped if the layer takes no mask, or if the
        values do not change its outputs under an all-True mask.

    References:
        keras.io, "Understanding masking & padding": False means that the step is skipped.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if makes_its_own_mask(found):
        return skipped("the layer takes no mask but makes one from its inputs")
    partly = _partly_masked(found)
    if not partly.any():
        return skipped("no sample is partly masked")
    change = _change(trial, found, found.masks, partly)
    change_unmasked = _change(trial, found, [mask | True for mask in found.masks], partly)
    if change_unmasked <= CLEAR * tolerance(trial):
        return skipped("the values at these steps do not change the outputs under an all-True mask either")
    if change > tolerance(trial):
        return passed(change=change, change_unmasked=change_unmasked)
    return failed(
        f"where a sample has masked steps, other values at its unmasked steps change the outputs by {change:.3g}; with "
        f"all steps unmasked they change them by {change_unmasked:.3g}: the mask seems to be read the wrong way round",
        FIX,
        change=change,
        change_unmasked=change_unmasked,
    )


def _partly_masked(found: Subject) -> Array:
    """Return which samples have masked and unmasked steps."""
    parts = [mask.reshape(len(mask), -1) for mask in found.masks]
    partly: Array = np.logical_and.reduce([mask.any(axis=1) & ~mask.all(axis=1) for mask in parts])
    return partly


def _change(trial: Trial, found: Subject, masks: Sequence[Array], samples: Array) -> float:
    """Return by how much the outputs of these samples change with the values at steps that the usual masks keep."""
    before, after = (
        [array[samples] for array in inference_outputs(trial, found, found.masked(masks, plain=plain)[1])]
        for plain in (found.plain, _exchanged(found))
    )
    return largest_difference(before, after)


def _exchanged(found: Subject) -> Arguments:
    """Return the usual arguments with the values of another sample at unmasked steps."""
    arrays = found.plain.arrays()
    for slot in found.slots:
        array = arrays[slot.place]
        arrays[slot.place] = np.where(expanded(slot.mask, slot.axes, array.shape), np.roll(array, 1, axis=0), array)
    return found.plain.replace_arrays(arrays)


def bad() -> Case:
    import keras

    class UpsideDown(keras.layers.Layer):
        def call(self, inputs, mask=None):
            scores = keras.ops.mean(inputs, axis=-1)
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
                scores = keras.ops.where(mask, scores - 60.0, keras.ops.zeros_like(scores))
            return keras.ops.einsum("bt,btf->bf", keras.ops.softmax(scores, axis=1), inputs)

    return Case(UpsideDown, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class TheRightWay(keras.layers.Layer):
        def call(self, inputs, mask=None):
            scores = keras.ops.mean(inputs, axis=-1)
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
                scores = keras.ops.where(mask, scores, keras.ops.full_like(scores, -1e4))
            return keras.ops.einsum("bt,btf->bf", keras.ops.softmax(scores, axis=1), inputs)

    return Case(TheRightWay, inputs=(None, 6, 5))
