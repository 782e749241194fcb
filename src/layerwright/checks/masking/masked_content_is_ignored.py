"""LW401."""

from layerwright.checks.masking._calls import outputs_and_masks
from layerwright.checks.masking._content import (
    HUGE,
    changes_from_masked_steps,
    list_largest_changes,
    makes_its_own_mask,
)
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.masks import Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial

ZERO_MASKED_STEPS = "`inputs = ops.where(ops.expand_dims(mask, -1), inputs, 0.0)`"
FINITE_FIX = (
    f"Replace masked steps by zeros before any operation combines steps: {ZERO_MASKED_STEPS}. Leave masked steps out "
    "of counts, means and maxima. If the layer does not use the mask at all, do not set `supports_masking`."
)
UNUSED_MASK_FIX = (
    f"Use the mask in `call`: write {ZERO_MASKED_STEPS} before any operation combines steps, and leave masked steps "
    "out of counts, means and maxima. Or remove the argument."
)


@check("LW401", "masked-content-is-ignored", requires=("LW402",), exempt={"masking": "generated", "stateful": True})
def masked_content_is_ignored(trial: Trial) -> Finding:
    """Finite values at masked steps do not change the results.

    What it proves:
        Other values at masked steps, however large, change none of these: the outputs at unmasked steps (the whole
        output if it has no time axis), the layer's state, and the gradients with respect to weights and to inputs at
        unmasked steps.

    Why it matters:
        Padding is not always zero. It may be what a buffer contained before, or what the previous layer computed from
        zeros. If a mean over time counts it, a sample's output depends on how long the other samples of its batch are.

    How it is tested:
        The layer is called with a mask in inference and training mode, and its gradients are computed: with the usual
        values at masked steps, then with ±1e4 (for integers: with other integers). Each result may change by 1e-5 of
        its scale, which is its largest absolute value, at least 1 (by 2e-2 in float16, by 2e-1 in bfloat16). Output
        entries that the output's own mask excludes are not compared. LW410 masked-nan-is-ignored tries NaN and
        infinity.

    Exempt when:
        The layer declares `masking="generated"`, because the values at a step then decide whether it is masked; or
        `stateful=True`, because then no two calls can be compared. Skipped if the layer takes no mask but makes one, as
        `Embedding(mask_zero=True)` does.

    References:
        keras.io, "Understanding masking & padding".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if makes_its_own_mask(found):
        return skipped("the layer takes no mask but makes one from its inputs")
    arrays = found.plain.arrays()
    has_floats = any(arrays[slot.place].dtype.kind == "f" for slot in found.slots)
    changes = changes_from_masked_steps(trial, HUGE)
    if changes:
        unused = found.sees_mask and _mask_is_unused(trial, found)
        return failed(
            f"replacing the values at masked steps with {'±1e4' if has_floats else 'other integers'} changes "
            f"{list_largest_changes(changes)}; expected no change above {tolerance(trial):g}, relative to the largest "
            "value"
            + (
                "; an all-True mask gives the same outputs: the layer takes a mask but does not use it"
                if unused
                else ""
            ),
            UNUSED_MASK_FIX if unused else FINITE_FIX,
            moved=changes,
        )
    return passed()


def _mask_is_unused(trial: Trial, found: Subject) -> bool:
    """Whether the usual mask and an all-True mask give the same outputs."""
    way = found.ways[0]
    return bitwise_equal(*(outputs_and_masks(trial, found, way, all_true=choice)[0] for choice in (False, True)))


def bad() -> Case:
    import keras

    class QuieterSum(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.1 * inputs)
            return keras.ops.sum(inputs, axis=1)

    return Case(QuieterSum, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class ChosenSum(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1)

    return Case(ChosenSum, inputs=(None, None, 5))
