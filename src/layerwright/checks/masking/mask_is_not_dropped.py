"""LW408."""

from layerwright.checks.masking._calls import eager
from layerwright.checks.masking._counting import keeps_time
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
    """A layer that keeps the time axis keeps the mask that comes with its inputs.

    What it proves:
        An output with the inputs' time axis goes on with a mask.

    Why it matters:
        A layer drops the mask unless it sets `supports_masking`. All that follows it then takes padding for data, and
        a warning, which Keras gives once, is all that is said.

    How it is tested:
        The layer is called in inference with a mask attached to its inputs, and the mask that Keras keeps with each
        output is looked up. A layer that neither takes a mask nor declares that it supports one is asked too if it is
        fed (batch, time, features) where the case leaves the number of steps free: such series come padded.

    Exempt when:
        The layer declares `masking="consumed"`, since no mask is meant to go on, or `masking="generated"`; skipped
        where no output has the inputs' time axis.

    References:
        keras.io, "Understanding masking & padding", on "Opting-in to mask propagation on compatible layers".
    """
    found = any_subject(trial)
    if not isinstance(found, Subject):
        return found
    if not found.declares and not _is_free_series(trial, found):
        return skipped(NO_MASK)
    if ATTACHED not in found.ways:
        return skipped("takes a mask as an argument only")
    outputs, masks = eager(trial, found, ATTACHED)
    kept = [
        (output, mask)
        for place, (output, mask) in enumerate(zip(outputs, masks, strict=True))
        if mask is not None or keeps_time(trial, found, place, output)
    ]
    if not kept:
        return skipped("no output has the time axis of the inputs")
    dropped = [output.shape for output, mask in kept if mask is None]
    if not dropped:
        return passed()
    return warned(
        f"inputs with a mask of shape {found.masks[0].shape} give an output of shape {dropped[0]} without one: padding "
        "counts as data from here on",
        _fix(found),
    )


def _is_free_series(trial: Trial, found: Subject) -> bool:
    """Whether the case feeds a (batch, time, features) whose number of steps it leaves free."""
    spec, slot = next(trial.case.specs()), found.slots[0]
    return slot.place == 0 and len(spec.shape) == 3 and spec.shape[slot.axes[-1]] is None


def _fix(found: Subject) -> str:
    if getattr(found.layer, "supports_masking", False):
        return (
            "Return the mask from compute_mask(inputs, previous_mask), which Keras calls with call's first argument "
            "and its mask alone; or declare masking='consumed' if none is meant to go on."
        )
    wish = "" if found.sees_mask else " if each step is computed alone; else take a `mask` and keep padding out"
    return (
        f"Set self.supports_masking = True in the constructor{wish}; declare masking='consumed' if no mask is meant to "
        "go on."
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
