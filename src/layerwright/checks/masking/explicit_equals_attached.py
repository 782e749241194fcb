"""LW403."""

from typing import Any

import numpy as np

from layerwright.checks.masking._calls import eager, outputs
from layerwright.checks.masking._content import filled
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.masks import Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial, blaming

FIX = (
    "Name the argument `mask` where the layer is called on one tensor (or one list of them), `<argument>_mask` where "
    "on several: Keras fills these, and no others, with the masks that come with tensors."
)


@check("LW403", "explicit-equals-attached", requires=("LW402",), exempt={"masking": "generated", "stateful": True})
def explicit_equals_attached(trial: Trial) -> Finding:
    """A mask given as an argument and one that comes with the inputs give the same outputs.

    What it proves:
        Called with `mask=…`, on a tensor with that mask attached, and in a functional model behind `Masking`, the layer
        computes the same.

    Why it matters:
        In a model nobody passes masks by hand: `Embedding(mask_zero=True)` and `Masking` attach them, and Keras fills
        the layer's mask argument by its name. Where the name is not the one that Keras looks for, or the layer is
        called on several tensors, nothing is filled, and padding counts as data without a word.

    How it is tested:
        The usual inputs are called in inference with the mask as an argument and with it attached; and with zeros at
        masked steps, in a functional model, where each masked input is (batch, time, features). Outputs must agree to
        1e-5 of their scale (2e-2 in float16, 2e-1 in bfloat16).

    Exempt when:
        The layer declares `masking="generated"` or `stateful=True`; skipped where it takes masks in one way only.

    References:
        keras.io, "Understanding masking & padding"; keras.io, "Masking layer" and "Embedding layer".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if len(found.ways) < 2:
        return skipped(f"takes masks in one way only: {found.ways[0]}")
    explicit, attached = (eager(trial, found, way)[0] for way in found.ways)
    apart = {"attached to the inputs": largest_difference(explicit, attached)}
    zeroed = filled(trial, found, (0.0,))
    if _can_pass_masking(found, zeroed):
        _, given = found.masked(found.masks, plain=zeroed)
        modelled = leaves(trial.call(*_behind_masking(found, zeroed), training=False))
        apart["from Masking, in a functional model,"] = largest_difference(outputs(trial, found, given), modelled)
    way, most = max(apart.items(), key=lambda item: item[1])
    if most <= tolerance(trial):
        return passed(differences=apart)
    return failed(
        f"the same mask gives other outputs {way} than as an argument: they differ by {most:.3g} of the outputs' "
        "scale, expected 0",
        FIX,
        differences=apart,
    )


def _can_pass_masking(found: Subject, plain: Arguments) -> bool:
    """Whether `Masking` makes exactly the usual masks of these arguments."""
    arrays = plain.arrays()
    return all(
        slot.axes == (0, 1) and arrays[slot.place].ndim == 3 and _nonzero_steps_are(slot.mask, arrays[slot.place])
        for slot in found.slots
    )


def _nonzero_steps_are(mask: Any, array: Any) -> bool:
    return bool(array.dtype.kind == "f" and np.array_equal((array != 0).any(-1), mask))


def _behind_masking(found: Subject, plain: Arguments) -> tuple[Any, Arguments]:
    """Return a functional model in which masks come from `Masking`, and what to call it with."""
    import keras

    arrays = plain.arrays()
    inputs = [keras.Input((None, *array.shape[1:])[1:], dtype=str(array.dtype)) for array in arrays]
    tensors = list(inputs)
    for slot in found.slots:
        tensors[slot.place] = keras.layers.Masking()(inputs[slot.place])
    given = plain.replace_arrays(tensors)
    with blaming("calling it in a functional model, behind Masking,"):
        model = keras.Model(inputs, found.layer(given.inputs, **given.call))
    return model, Arguments(arrays)


def bad() -> Case:
    import keras

    class ScaledSum(keras.layers.Layer):
        def call(self, inputs, scale, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1) * scale

    return Case(ScaledSum, inputs=(None, None, 5), call={"scale": InputSpec((None, 5))})


def good() -> Case:
    import keras

    class ScaledSum(keras.layers.Layer):
        def call(self, inputs, scale, inputs_mask=None):
            if inputs_mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(inputs_mask, -1), inputs, 0.0)
            return keras.ops.sum(inputs, axis=1) * scale

    return Case(ScaledSum, inputs=(None, None, 5), call={"scale": InputSpec((None, 5))})
