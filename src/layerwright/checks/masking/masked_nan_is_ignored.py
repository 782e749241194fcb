"""LW410."""

from layerwright.checks.masking._content import (
    NOT_FINITE,
    changes_from_masked_steps,
    list_largest_changes,
    makes_its_own_mask,
)
from layerwright.checks.masking.masked_content_is_ignored import ZERO_MASKED_STEPS
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, skipped, warned
from layerwright.trial.masks import Subject, subject
from layerwright.trial.trial import Trial

FIX = (
    f"Replace masked steps by zeros before anything is computed from them: {ZERO_MASKED_STEPS}. Multiplying by the "
    "mask is not enough, since 0 * NaN is NaN. Using `ops.where` afterwards is not enough either: the gradient of "
    "`where(mask, f(x), 0)` is 0 times f'(x). Do the same before the call of a sublayer that lets NaN through."
)


@check(
    "LW410",
    "masked-nan-is-ignored",
    requires=("LW401",),
    exempt={"masking": "generated", "stateful": True},
    advisory=True,
)
def masked_nan_is_ignored(trial: Trial) -> Finding:
    """NaN and infinity at masked steps do not change the results.

    What it proves:
        Advisory. NaN and infinity at masked steps change none of these: the outputs at unmasked steps (the whole output
        if it has no time axis), the layer's state, and the gradients with respect to weights and to inputs at unmasked
        steps.

    Why it matters:
        Padding may hold the result of a division by zero, or what a buffer contained before. If a sum multiplies by
        the mask instead of using `ops.where`, one NaN in the padding makes the whole sample NaN, since 0 * NaN is NaN.
        The gradient of a weight is a sum over all samples: it becomes NaN too, and training is lost. A layer whose
        padding is always finite is safe without this property; Keras's own recurrent and attention layers lack it.

    How it is tested:
        As in LW401 masked-content-is-ignored, with NaN and infinities at masked steps. If a layer receives no mask (it
        only declares `supports_masking`, as `Dense` does), they always reach the gradients of its weights; these
        gradients are then not compared.

    Exempt when:
        The layer declares `masking="generated"`, because the values at a step then decide whether it is masked; or
        `stateful=True`, because then no two calls can be compared. Skipped if the layer takes no mask but makes one, as
        `Embedding(mask_zero=True)` does, or if no masked input holds floating-point numbers.

    References:
        keras.io, "Understanding masking & padding"; jax.readthedocs.io, "FAQ: Gradients contain NaN where using where".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if makes_its_own_mask(found):
        return skipped("the layer takes no mask but makes one from its inputs")
    arrays = found.plain.arrays()
    if not any(arrays[slot.place].dtype.kind == "f" for slot in found.slots):
        return skipped("no masked input holds floating-point numbers")
    changes = changes_from_masked_steps(trial, NOT_FINITE)
    if not changes:
        return passed()
    return warned(
        f"NaN and infinity at masked steps change {list_largest_changes(changes)}; expected no change, as for finite "
        "values at masked steps",
        FIX,
        moved=changes,
    )


def bad() -> Case:
    import keras

    class MultipliedSum(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = inputs * keras.ops.cast(keras.ops.expand_dims(mask, -1), inputs.dtype)
            return keras.ops.sum(inputs, axis=1)

    return Case(MultipliedSum, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class ChosenSum(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1)

    return Case(ChosenSum, inputs=(None, None, 5))
