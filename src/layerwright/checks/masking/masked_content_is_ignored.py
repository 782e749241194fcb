"""LW401."""

from layerwright.checks.masking._calls import eager
from layerwright.checks.masking._content import HUGE, NOT_FINITE, leaks, worst
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.masks import Subject, subject
from layerwright.trial.trial import Trial

WHERE = "ops.where(ops.expand_dims(mask, -1), inputs, 0.0)"
FINITE_FIX = (
    f"Replace masked steps by zeros before anything mixes steps: inputs = {WHERE}; and leave them out of counts, means "
    "and maxima. If the layer does not look at the mask at all, do not set supports_masking."
)
UNREAD_FIX = (
    f"Use it in call(): inputs = {WHERE} before anything mixes steps, and leave masked steps out of counts, means and "
    "maxima; or drop the argument."
)
NOT_FINITE_FIX = (
    f"Choose instead of multiplying, and before anything is computed: inputs = {WHERE}. 0 * NaN is NaN, and the "
    "gradient of where(mask, f(x), 0) is 0 times f'(x). So too where it is a layer inside that lets them through."
)


@check("LW401", "masked-content-is-ignored", requires=("LW402",), exempt={"masking": "generated", "stateful": True})
def masked_content_is_ignored(trial: Trial) -> Finding:
    """What lies at masked steps counts for nothing, even NaN and infinity.

    What it proves:
        Huge values, infinities and NaN at masked steps move neither the outputs at steps that count (the whole outputs,
        where time is gone) nor the layer's state, nor the gradients by inputs at steps that count and by weights.

    Why it matters:
        Padding is not always zero: it is what a buffer held, what a division by zero gave, or what the layer below
        made of zeros. A mean that a mask multiplies rather than chooses turns one NaN in the padding into NaN for the
        sample; the gradient of a weight, a sum over all samples, then ends the training.

    How it is tested:
        The layer is called with a mask, in inference and in training, and differentiated, with the usual values at
        masked steps, then with ±1e4 (integers: with others), then with NaN and infinities. All must agree to 1e-5 of
        its scale (2e-2 in float16, 2e-1 in bfloat16). Outputs that the mask which goes on with them leaves out are not
        compared. Of a layer that sees no mask (one that only declares `supports_masking`, as `Dense`) gradients by
        weights are not compared where values are not finite: it cannot help them.

    Exempt when:
        The layer declares `masking="generated"`, as what lies at a step then decides whether it is masked, or takes no
        mask and makes one, as `Embedding(mask_zero=True)`; or it declares `stateful=True`, as no two calls can be
        compared.

    References:
        keras.io, "Understanding masking & padding"; jax.readthedocs.io, "FAQ: Gradients contain NaN where using where".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if not found.sees_mask and _makes_a_mask(found):
        return skipped("the layer takes no mask and makes one from what it is given")
    arrays = found.plain.arrays()
    has_floats = any(arrays[slot.place].dtype.kind == "f" for slot in found.slots)
    finite = leaks(trial, HUGE)
    if finite:
        unread = found.sees_mask and _is_unread(trial, found)
        return failed(
            f"{'values of ±1e4' if has_floats else 'other integers'} at masked steps, instead of the usual ones, move "
            f"{worst(finite)}; expected no change"
            + ("; no other mask moves anything: the layer takes a mask and does not use it" if unread else ""),
            UNREAD_FIX if unread else FINITE_FIX,
            moved=finite,
        )
    moved = leaks(trial, NOT_FINITE) if has_floats else {}
    if not moved:
        return passed()
    return failed(
        f"finite values at masked steps count for nothing, but NaN and infinity there reach {worst(moved)}; expected "
        "no change",
        NOT_FINITE_FIX,
        moved=moved,
    )


def _makes_a_mask(found: Subject) -> bool:
    """Whether an output goes on with a mask where none came in."""
    import keras

    tensors = found.plain.map(keras.ops.convert_to_tensor)
    try:
        return found.layer.compute_mask(tensors.inputs, None) is not None
    except Exception:  # a layer's own compute_mask may raise anything where no mask came in; LW402 speaks of that
        return False


def _is_unread(trial: Trial, found: Subject) -> bool:
    """Whether the outputs are the same where every step counts."""
    return bitwise_equal(*(eager(trial, found, found.ways[0], all_true=every)[0] for every in (False, True)))


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
