"""LW407."""

import numpy as np

from layerwright.checks.axes._subject import tolerance
from layerwright.checks.masking._calls import eager, outputs
from layerwright.checks.masking._content import HUGE, leaks
from layerwright.checks.masking._counting import counting
from layerwright.checks.masking._masks import Subject, subject
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, not_probed, passed, skipped
from layerwright.trial import Arguments, Array, Trial, largest_difference

MORE = 3


@check(
    "LW407", "padding-length", requires=("LW402",), exempt={"positional": True, "fixed_shape": True, "stateful": True}
)
def padding_length(trial: Trial) -> Finding:
    """More padding changes nothing.

    What it proves:
        With masked steps added at the end, the outputs at steps that count stay the same; so does the whole output
        where time is gone.

    Why it matters:
        How long the padding is depends on the longest sample of the batch, or on a setting. A mean that divides by the
        number of steps instead of the number that count gives a sample other features in another batch.

    How it is tested:
        Three masked steps of zeros are added to the usual inputs and masks; outputs at steps that count must agree to
        1e-5 of their scale (2e-2 in float16, 2e-1 in bfloat16). Not probed where finite values at masked steps already
        move the outputs: LW401 masked-content-is-ignored says so.

    Exempt when:
        The layer declares `positional=True`, `fixed_shape=True` or `stateful=True`; skipped where the case fixes the
        number of steps.

    References:
        keras.io, "Understanding masking & padding".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    longer = _longer(trial, found)
    if longer is None:
        return skipped("the case fixes the number of time steps")
    if leaks(trial, HUGE):
        return not_probed("finite values at masked steps count; see LW401 masked-content-is-ignored")
    plain, masks = longer
    before = eager(trial, found, found.ways[0])[0]
    after = outputs(trial, found, found.masked(masks, plain=plain)[1])
    counts = counting(trial, found)
    kept = [_cut(output, own.shape) for output, own in zip(after, counts, strict=True)]
    apart = [_difference(*each) for each in zip(before, kept, counts, strict=True)]
    if max(apart) <= tolerance(trial):
        return passed(differences=apart)
    steps = found.masks[0].shape[-1]
    return failed(
        f"with {MORE} more masked steps after the {steps}, outputs differ by {max(apart):.3g} of their scale; "
        "expected no change",
        "Divide by ops.sum(ops.cast(mask, x.dtype), axis=1), the number of steps that count, not by ops.shape(x)[1]; "
        "if outputs are meant to depend on the length, declare positional=True.",
        differences=apart,
    )


def _longer(trial: Trial, found: Subject) -> tuple[Arguments, list[Array]] | None:
    """Return arguments and masks with more steps, all masked; None if some masked tensor's time axis is fixed."""
    sizes = {slot.axes[-1]: slot.mask.shape[-1] + MORE for slot in found.slots}
    drawn = trial.arguments(free=sizes)
    shapes = dict(drawn.named_arrays())
    arrays = [_padded(array, shapes[name].shape) for name, array in found.plain.named_arrays()]
    masks = []
    for slot in found.slots:
        grown = arrays[slot.place].shape
        if grown == found.plain.arrays()[slot.place].shape:
            return None
        masks.append(_padded(slot.mask, tuple(grown[axis] for axis in slot.axes)))
    return found.plain.replace_arrays(arrays), masks


def _padded(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the array with zeros after it, or cut, to fill this shape."""
    widths = [(0, max(0, size - own)) for size, own in zip(shape, array.shape, strict=True)]
    return _cut(np.pad(array, widths), shape)


def _cut(array: Array, shape: tuple[int, ...]) -> Array:
    return array[tuple(slice(size) for size in shape)] if array.ndim == len(shape) else array


def _difference(before: Array, after: Array, counts: Array) -> float:
    return largest_difference([before[counts]], [after[counts]]) if before.shape == after.shape else float("inf")


def bad() -> Case:
    import keras

    class MeanOverAllSteps(keras.layers.Layer):
        def call(self, inputs, mask=None):
            if mask is not None:
                inputs = keras.ops.where(keras.ops.expand_dims(mask, -1), inputs, 0.0)
            return keras.ops.mean(inputs, axis=1)

    return Case(MeanOverAllSteps, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class MeanOverStepsThatCount(keras.layers.Layer):
        def call(self, inputs, mask=None):
            mask = keras.ops.ones_like(inputs[..., 0], "bool") if mask is None else mask
            weights = keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32")
            total = keras.ops.sum(keras.ops.where(weights > 0, keras.ops.cast(inputs, "float32"), 0.0), axis=1)
            return keras.ops.cast(total / keras.ops.maximum(keras.ops.sum(weights, axis=1), 1.0), self.compute_dtype)

    return Case(MeanOverStepsThatCount, inputs=(None, None, 5))
