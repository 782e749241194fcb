"""LW407."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layerwright.checks.masking._calls import inference_outputs
from layerwright.checks.masking._content import HUGE, changes_from_masked_steps
from layerwright.checks.masking._unmasked_entries import unmasked_entries
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.masks import Subject, subject
from layerwright.trial.subject import tolerance
from layerwright.trial.trial import Trial

MORE = 3
SHIFT, ROUNDING = 10.0, 10.0
"""How far inputs are shifted, and how much more rounding that allows: a variance computed from squares loses digits."""
FIX = (
    "Divide by the number of unmasked steps, `ops.sum(ops.cast(mask, x.dtype), axis=1)`, not by `ops.shape(x)[1]`. "
    "Before a maximum or a softmax, set masked steps to a large negative number, not to zero. Count positions from the "
    "first step. If the outputs are meant to depend on the length, declare `positional=True`."
)


@check(
    "LW407", "padding-length", requires=("LW402",), exempt={"positional": True, "fixed_shape": True, "stateful": True}
)
def padding_length(trial: Trial) -> Finding:
    """More padding does not change the outputs.

    What it proves:
        Masked steps that are added at the end do not change the outputs at unmasked steps, or the whole output if it
        has no time axis.

    Why it matters:
        The length of the padding depends on the longest sample of the batch, or on a setting. A mean that divides by
        the number of all steps, not of unmasked steps, gives a sample other features in another batch. So does a
        maximum over steps of which the masked ones were set to zero, for a sample whose values are all negative.

    How it is tested:
        Three masked steps of zeros are added to the usual inputs and masks. Outputs at unmasked steps may differ by
        1e-5 of their scale, which is their largest absolute value, at least 1 (by 2e-2 in float16, by 2e-1 in
        bfloat16). Unless the case bounds the inputs, this is repeated with all float inputs 10 lower and 10 higher, and
        ten times the tolerance. If the inputs were inferred and the layer does not accept more steps, the last three
        steps are removed instead. Inconclusive if finite values at masked steps already change the results, which LW401
        masked-content-is-ignored reports.

    Exempt when:
        The layer declares `positional=True`, `fixed_shape=True` or `stateful=True`. Skipped if the case declares the
        number of steps, or if the layer accepts only one.

    References:
        keras.io, "Understanding masking & padding".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    pair = _usual_and_longer(trial, found)
    if pair is None:
        return skipped("the number of time steps is fixed")
    if changes_from_masked_steps(trial, HUGE):
        return inconclusive("finite values at masked steps change the results; see LW401 masked-content-is-ignored")
    shorter, plain, masks = pair
    unmasked = unmasked_entries(trial, shorter)
    differences = {
        shift: _difference_from_padding(trial, shorter, plain, masks, unmasked, shift)
        for shift in _shifts(trial, plain)
    }
    allowed = {shift: tolerance(trial) * (ROUNDING if shift else 1.0) for shift in differences}
    failing = [shift for shift in differences if differences[shift] > allowed[shift]]
    if not failing:
        return passed(differences=differences)
    worst = max(failing, key=lambda shift: differences[shift])
    steps = shorter.masks[0].shape[-1]
    return failed(
        f"{MORE} additional masked steps after the first {steps} change the outputs by {differences[worst]:.3g}, "
        f"relative to the largest value{f' (with {worst:g} added to the inputs)' if worst else ''}; expected at most "
        f"{allowed[worst]:g}",
        FIX,
        differences=differences,
    )


def _usual_and_longer(trial: Trial, found: Subject) -> tuple[Subject, Arguments, list[Array]] | None:
    """Return the layer with its usual arguments, and arguments and masks with additional masked steps.

    None if the number of steps is fixed.
    """
    if "inputs" not in trial.case.inferred:
        drawn = trial.arguments(free={slot.axes[-1]: slot.mask.shape[-1] + MORE for slot in found.slots})
        shapes = {name: array.shape for name, array in drawn.named_arrays()}
        longer = _longer(found, [shapes[name] for name, _ in found.plain.named_arrays()])
        return longer and (found, *longer)
    for one in (found, _with_fewer_steps(found)):
        longer = _longer(one, _shapes_with_more_steps(one))
        if longer and _accepts(trial, one, one.plain, one.masks) and _accepts(trial, one, *longer):
            return one, *longer
    return None


def _longer(found: Subject, shapes: Sequence[tuple[int, ...]]) -> tuple[Arguments, list[Array]] | None:
    """Return the arguments and masks padded to these shapes; None if a masked tensor would stay as long as it is."""
    arrays = [_padded(array, shape) for array, shape in zip(found.plain.arrays(), shapes, strict=True)]
    masks = []
    for slot in found.slots:
        grown = arrays[slot.place].shape
        if grown == found.plain.arrays()[slot.place].shape:
            return None
        masks.append(_padded(slot.mask, tuple(grown[axis] for axis in slot.axes)))
    return found.plain.replace_arrays(arrays), masks


def _shapes_with_more_steps(found: Subject) -> list[tuple[int, ...]]:
    """Return the shapes of the arguments, with more steps in tensors that have a mask."""
    shapes = [list(array.shape) for array in found.plain.arrays()]
    for slot in found.slots:
        shapes[slot.place][slot.axes[-1]] += MORE
    return [tuple(shape) for shape in shapes]


def _with_fewer_steps(found: Subject) -> Subject:
    """Return the layer with fewer steps in the tensors that have a mask."""
    arrays = found.plain.arrays()
    for slot in found.slots:
        arrays[slot.place] = np.take(arrays[slot.place], range(slot.mask.shape[-1] - MORE), axis=slot.axes[-1])
    slots = tuple(replace(slot, mask=slot.mask[..., :-MORE]) for slot in found.slots)
    return replace(found, plain=found.plain.replace_arrays(arrays), slots=slots)


def _accepts(trial: Trial, found: Subject, plain: Arguments, masks: Sequence[Array]) -> bool:
    try:
        trial.call(*found.masked(masks, plain=plain), training=False)
    except LayerError:
        return False
    return True


def _shifts(trial: Trial, plain: Arguments) -> tuple[float, ...]:
    is_bounded = any(spec.low is not None or spec.high is not None for spec in trial.case.specs())
    has_floats = any(array.dtype.kind == "f" for array in plain.arrays())
    return (0.0, -SHIFT, SHIFT) if has_floats and not is_bounded else (0.0,)


def _difference_from_padding(
    trial: Trial, shorter: Subject, plain: Arguments, masks: Sequence[Array], unmasked: Sequence[Array], shift: float
) -> float:
    """Return by how much more masked steps change the outputs at unmasked steps, after all floats were shifted."""
    shifted = shorter.masked(shorter.masks, plain=_shifted(shorter.plain, shift))[1]
    before = inference_outputs(trial, shorter, shifted)
    after = inference_outputs(trial, shorter, shorter.masked(masks, plain=_shifted(plain, shift))[1])
    kept = [_cut(output, entries.shape) for output, entries in zip(after, unmasked, strict=True)]
    return max(_difference_of_entries(*each) for each in zip(before, kept, unmasked, strict=True))


def _shifted(arguments: Arguments, shift: float) -> Arguments:
    return arguments.map(lambda array: (array + shift).astype(array.dtype) if array.dtype.kind == "f" else array)


def _padded(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the array extended by zeros, or cut, to this shape."""
    widths = [(0, max(0, size - own)) for size, own in zip(shape, array.shape, strict=True)]
    return _cut(np.pad(array, widths), shape)


def _cut(array: Array, shape: tuple[int, ...]) -> Array:
    return array[tuple(slice(size) for size in shape)] if array.ndim == len(shape) else array


def _difference_of_entries(before: Array, after: Array, entries: Array) -> float:
    return largest_difference([before[entries]], [after[entries]]) if before.shape == after.shape else float("inf")


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
