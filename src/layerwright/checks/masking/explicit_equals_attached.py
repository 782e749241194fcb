"""LW403."""

from typing import Any

import numpy as np

from layerwright.checks.masking._calls import inference_outputs, outputs_and_masks
from layerwright.checks.masking._content import fill_masked_steps
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import Arguments
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.masks import WAY_IN_WORDS, Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial, blaming

FIX = (
    "Name the mask argument `mask` if `call` takes one tensor, or one list of tensors. If `call` takes several tensor "
    "arguments, name it `<argument>_mask`, such as `inputs_mask`. Keras passes attached masks to arguments with these "
    "names only."
)


@check("LW403", "explicit-equals-attached", requires=("LW402",), exempt={"masking": "generated", "stateful": True})
def explicit_equals_attached(trial: Trial) -> Finding:
    """A mask passed as an argument and a mask attached to the inputs give the same outputs.

    What it proves:
        The outputs are the same with `mask=…`, on inputs that carry that mask, and in a functional model after
        `Masking`.

    Why it matters:
        In a model nobody passes masks by hand. `Embedding(mask_zero=True)` and `Masking` attach them to their outputs,
        and Keras passes an attached mask to the layer's mask argument, which it finds by name. If the argument has
        another name, or if the layer takes several tensors, Keras may pass nothing. Padding then counts as data, and
        no error is raised.

    How it is tested:
        The layer is called in inference mode on the usual inputs, with the mask as an argument and with the mask
        attached to the inputs. If each masked input has shape (batch, time, features), masked steps are also set to 0,
        and `Masking` makes the mask in a functional model. Outputs may differ by 1e-5 of their scale, which is their
        largest absolute value, at least 1 (by 2e-2 in float16, by 2e-1 in bfloat16).

    Exempt when:
        The layer declares `masking="generated"` or `stateful=True`. Skipped if the layer takes masks in only one way.

    References:
        keras.io, "Understanding masking & padding"; keras.io, "Masking layer" and "Embedding layer".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    if len(found.ways) < 2:
        return skipped(f"the layer takes a mask in only one way: {WAY_IN_WORDS[found.ways[0]]}")
    explicit, attached = (outputs_and_masks(trial, found, way)[0] for way in found.ways)
    differences = {"attached to the inputs": largest_difference(explicit, attached)}
    zeroed = fill_masked_steps(trial, found, (0.0,))
    if _masking_makes_usual_masks(found, zeroed):
        _, given = found.masked(found.masks, plain=zeroed)
        modelled = leaves(trial.call(*_model_with_masking(found, zeroed), training=False))
        expected = inference_outputs(trial, found, given)
        differences["made by `Masking` in a functional model"] = largest_difference(expected, modelled)
    way, most = max(differences.items(), key=lambda item: item[1])
    if most <= tolerance(trial):
        return passed(differences=differences)
    return failed(
        f"a mask {way} gives other outputs than the same mask as an argument: they differ by {most:.3g}, relative to "
        f"the largest value; expected at most {tolerance(trial):g}",
        FIX,
        differences=differences,
    )


def _masking_makes_usual_masks(found: Subject, plain: Arguments) -> bool:
    """Whether `Masking` makes exactly the usual masks from these arguments."""
    arrays = plain.arrays()
    return all(
        slot.axes == (0, 1)
        and arrays[slot.place].ndim == 3
        and _mask_marks_nonzero_steps(slot.mask, arrays[slot.place])
        for slot in found.slots
    )


def _mask_marks_nonzero_steps(mask: Any, array: Any) -> bool:
    return bool(array.dtype.kind == "f" and np.array_equal((array != 0).any(-1), mask))


def _model_with_masking(found: Subject, plain: Arguments) -> tuple[Any, Arguments]:
    """Return a functional model in which `Masking` makes the masks, and the arguments to call it with."""
    import keras

    arrays = plain.arrays()
    inputs = [keras.Input((None, *array.shape[1:])[1:], dtype=str(array.dtype)) for array in arrays]
    tensors = list(inputs)
    for slot in found.slots:
        tensors[slot.place] = keras.layers.Masking()(inputs[slot.place])
    given = plain.replace_arrays(tensors)
    with blaming("calling the layer in a functional model after Masking"):
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
