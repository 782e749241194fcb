"""LW408."""

from layerwright.checks.masking._calls import outputs_and_masks
from layerwright.checks.masking._unmasked_entries import keeps_time
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, skipped, warned
from layerwright.trial.masks import ATTACHED, NO_MASK, Subject, any_subject
from layerwright.trial.trial import Trial


@check(
    "LW408",
    "mask-is-not-dropped",
    requires=("LW402",),
    exempt={"masking": ("consumed", "generated")},
    advisory=True,
)
def mask_is_not_dropped(trial: Trial) -> Finding:
    """A layer that keeps the time axis passes the mask of its inputs on to its outputs.

    What it proves:
        Each output that has the inputs' time axis carries a mask.

    Why it matters:
        Keras drops the mask at a layer that does not set `supports_masking`. All later layers then treat padding as
        data. The only sign of it is a warning, which Keras shows once.

    How it is tested:
        The layer is called in inference mode on inputs that carry a mask, and the mask that each output carries is
        read. A layer that takes no mask and does not declare `supports_masking` is checked too if its input has shape
        (batch, time, features) and the case leaves the number of steps free: such series are usually padded.

    Exempt when:
        The layer declares `masking="consumed"`, which says that its outputs carry no mask on purpose, or
        `masking="generated"`. Skipped if no output has the inputs' time axis.

    References:
        keras.io, "Understanding masking & padding", on "Opting-in to mask propagation on compatible layers".
    """
    found = any_subject(trial)
    if not isinstance(found, Subject):
        return found
    if not found.declares and not _is_free_series(trial, found):
        return skipped(NO_MASK)
    if ATTACHED not in found.ways:
        return skipped("the layer takes a mask only as an argument")
    outputs, masks = outputs_and_masks(trial, found, ATTACHED)
    kept = [
        (output, mask)
        for place, (output, mask) in enumerate(zip(outputs, masks, strict=True))
        if mask is not None or keeps_time(trial, found, place, output)
    ]
    if not kept:
        return skipped("no output has the inputs' time axis")
    dropped = [output.shape for output, mask in kept if mask is None]
    if not dropped:
        return passed()
    return warned(
        f"the inputs carry a mask of shape {found.masks[0].shape}, but an output of shape {dropped[0]} carries none; "
        "expected a mask, because later layers would treat padding as data",
        _fix(found),
    )


def _is_free_series(trial: Trial, found: Subject) -> bool:
    """Whether the first input has shape (batch, time, features), with a free number of steps."""
    spec, slot = next(trial.case.specs()), found.slots[0]
    return slot.place == 0 and len(spec.shape) == 3 and spec.shape[slot.axes[-1]] is None


def _fix(found: Subject) -> str:
    otherwise = 'If the outputs should carry no mask, declare `masking="consumed"`.'
    if getattr(found.layer, "supports_masking", False):
        return (
            "Return the mask from `compute_mask(inputs, previous_mask)`. Keras calls it with the first argument of "
            f"`call` and the mask of that argument. {otherwise}"
        )
    if found.sees_mask:
        return f"Set `self.supports_masking = True` in the constructor. {otherwise}"
    return (
        "Set `self.supports_masking = True` in the constructor if each step is computed independently of the others. "
        f"If not, add an argument `mask` to `call` and exclude masked steps. {otherwise}"
    )


def bad() -> Case:
    import keras

    class DropsMask(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return inputs

    return Case(DropsMask, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class KeepsMask(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return inputs

    return Case(KeepsMask, inputs=(None, None, 5))
