"""LW402."""

from layerwright.checks.masking._calls import eager
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.masks import Subject, axes_of, subject
from layerwright.trial.trial import Trial


@check("LW402", "mask-matches-output", requires=("LW901",))
def mask_matches_output(trial: Trial) -> Finding:
    """The layer works with a mask, and the mask that goes on with an output has the output's leading shape.

    What it proves:
        It can be called with a mask in each way that it takes one, and what `compute_mask` returns covers the output:
        (batch, time) of the output's own time axis.

    Why it matters:
        A layer that sums over time and only sets `supports_masking` hands on the mask of a time axis that is gone. The
        next layer that takes a mask fails far from the cause, or broadcasts it against the features, silently where
        there are as many of these as there were steps.

    How it is tested:
        The layer is called in inference with a mask as an argument and with one attached to its inputs, as behind
        `Masking`; the mask that Keras keeps with each output is compared with the output's shape.

    Exempt when:
        Never; skipped where the layer takes no mask and does not declare `supports_masking`.

    References:
        keras.io, "Understanding masking & padding", on `compute_mask`; keras.io/api/layers/base_layer.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    for way in found.ways:
        try:
            outputs, masks = eager(trial, found, way)
        except LayerError as error:
            return failed(
                f"with {'a mask as an argument' if way == 'explicit' else 'a mask attached to its inputs'}, {error}",
                "Take a boolean mask of shape (batch, time), which Keras passes on; expand it to the inputs' rank with "
                "ops.expand_dims(mask, -1).",
            )
        for output, mask in zip(outputs, masks, strict=True):
            if mask is not None and not axes_of(mask.shape, output.shape, trial.case.traits.time_axis):
                return failed(
                    f"an output of shape {output.shape} goes on with a mask of shape {mask.shape}; expected one of its "
                    "leading shape, or none",
                    "Override compute_mask(inputs, previous_mask): return the mask of the output's own steps, or None "
                    "where time is gone.",
                )
    return passed(ways=found.ways)


def bad() -> Case:
    import keras

    class SumWithMask(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1)

    return Case(SumWithMask, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class SumWithoutMask(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1)

        def compute_mask(self, inputs, mask=None):  # noqa: ARG002 - as Keras calls it
            return None

    return Case(SumWithoutMask, inputs=(None, None, 5))
