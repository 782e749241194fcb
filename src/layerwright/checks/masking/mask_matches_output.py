"""LW402."""

from layerwright.checks.masking._calls import outputs_and_masks
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.masks import WAY_IN_WORDS, Subject, axes_of, subject
from layerwright.trial.trial import Trial


@check("LW402", "mask-matches-output", requires=("LW901",))
def mask_matches_output(trial: Trial) -> Finding:
    """The layer works with a mask, and the mask of each output matches the output's leading axes.

    What it proves:
        The layer can be called with a mask in each way that it takes masks: as an argument, or attached to its inputs.
        The mask that `compute_mask` returns for an output has the shape of the output's leading axes, such as
        (batch, time).

    Why it matters:
        A layer that sums over time and only sets `supports_masking` passes on the mask of a time axis that its output
        no longer has. The next layer that takes a mask then fails, far from the cause. If there are as many features
        as steps, it does not even fail: it applies the mask to the features.

    How it is tested:
        The layer is called in inference mode with the mask as an argument, and with the mask attached to its inputs,
        as after `Masking`. The shape of the mask that each output carries is compared with the output's shape.

    Exempt when:
        Never. Skipped if the layer takes no mask and does not declare `supports_masking`.

    References:
        keras.io, "Understanding masking & padding", on `compute_mask`; keras.io/api/layers/base_layer.
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    for way in found.ways:
        try:
            outputs, masks = outputs_and_masks(trial, found, way)
        except LayerError as error:
            return failed(
                f"with a mask {WAY_IN_WORDS[way]}, {error}",
                "Let `call` take a boolean mask of shape (batch, time), as Keras passes it. Expand it to the rank of "
                "the inputs with `ops.expand_dims(mask, -1)`.",
            )
        for output, mask in zip(outputs, masks, strict=True):
            if mask is not None and not axes_of(mask.shape, output.shape, trial.case.traits.time_axis):
                return failed(
                    f"an output of shape {output.shape} carries a mask of shape {mask.shape}; expected a mask with the "
                    "shape of the output's leading axes, or no mask",
                    "Override `compute_mask(inputs, previous_mask)`. Return a mask for the steps of the output, or "
                    "`None` if the output has no time axis.",
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
