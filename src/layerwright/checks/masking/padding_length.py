"""LW407."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layerwright.checks.masking._calls import outputs
from layerwright.checks.masking._content import HUGE, leaks
from layerwright.checks.masking._counting import counting
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
"""How far inputs are shifted, and how much more rounding that makes: a variance by squares loses digits."""
FIX = (
    "Let masked steps count for nothing: divide by ops.sum(ops.cast(mask, x.dtype), axis=1), the number of steps that "
    "count, not by ops.shape(x)[1]; before a maximum or a softmax give them a large negative number, not zero; count "
    "positions from the first step. If outputs are meant to depend on the length, declare positional=True."
)


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
        number of steps instead of the number that count gives a sample other features in another batch; so does a
        maximum over steps that were replaced by zeros, for a sample whose values are all below.

    How it is tested:
        Three masked steps of zeros are added to the usual inputs and masks; outputs at steps that count must agree to
        1e-5 of their scale (2e-2 in float16, 2e-1 in bfloat16). So too, to ten times that, with all float inputs 10
        lower and 10 higher, unless the case bounds them. Where the case was worked out rather than declared, and the
        layer serves no more steps than were found, the last three are taken away instead. Not probed where finite
        values at masked steps already move the outputs: LW401 masked-content-is-ignored says so.

    Exempt when:
        The layer declares `positional=True`, `fixed_shape=True` or `stateful=True`; skipped where the case declares the
        number of steps, or the layer serves one alone.

    References:
        keras.io, "Understanding masking & padding".
    """
    found = subject(trial)
    if not isinstance(found, Subject):
        return found
    pair = _pair(trial, found)
    if pair is None:
        return skipped("the number of time steps is fixed")
    if leaks(trial, HUGE):
        return inconclusive("finite values at masked steps count; see LW401 masked-content-is-ignored")
    shorter, plain, masks = pair
    counts = counting(trial, shorter)
    apart = {shift: _apart(trial, shorter, plain, masks, counts, shift) for shift in _shifts(trial, plain)}
    moved = [shift for shift in apart if apart[shift] > tolerance(trial) * (ROUNDING if shift else 1.0)]
    if not moved:
        return passed(differences=apart)
    worst = max(moved, key=lambda shift: apart[shift])
    steps = shorter.masks[0].shape[-1]
    return failed(
        f"with {MORE} more masked steps after the {steps}, outputs differ by {apart[worst]:.3g} of their scale"
        f"{f', inputs being around {worst:g}' if worst else ''}; expected no change",
        FIX,
        differences=apart,
    )


def _pair(trial: Trial, found: Subject) -> tuple[Subject, Arguments, list[Array]] | None:
    """Return the layer with its arguments and masks, and those with more steps, all masked; None if time is fixed."""
    if not trial.case.worked_out:
        drawn = trial.arguments(free={slot.axes[-1]: slot.mask.shape[-1] + MORE for slot in found.slots})
        shapes = {name: array.shape for name, array in drawn.named_arrays()}
        longer = _longer(found, [shapes[name] for name, _ in found.plain.named_arrays()])
        return longer and (found, *longer)
    for one in (found, _shorter(found)):
        longer = _longer(one, _grown_shapes(one))
        if longer and _serves(trial, one, one.plain, one.masks) and _serves(trial, one, *longer):
            return one, *longer
    return None


def _longer(found: Subject, shapes: Sequence[tuple[int, ...]]) -> tuple[Arguments, list[Array]] | None:
    """Return arguments of these shapes and masks to go with them; None if some masked tensor's time axis is fixed."""
    arrays = [_padded(array, shape) for array, shape in zip(found.plain.arrays(), shapes, strict=True)]
    masks = []
    for slot in found.slots:
        grown = arrays[slot.place].shape
        if grown == found.plain.arrays()[slot.place].shape:
            return None
        masks.append(_padded(slot.mask, tuple(grown[axis] for axis in slot.axes)))
    return found.plain.replace_arrays(arrays), masks


def _grown_shapes(found: Subject) -> list[tuple[int, ...]]:
    """Return the shapes of the arguments, with more steps where a mask covers them."""
    shapes = [list(array.shape) for array in found.plain.arrays()]
    for slot in found.slots:
        shapes[slot.place][slot.axes[-1]] += MORE
    return [tuple(shape) for shape in shapes]


def _shorter(found: Subject) -> Subject:
    """Return the layer with fewer steps where a mask covers them."""
    arrays = found.plain.arrays()
    for slot in found.slots:
        arrays[slot.place] = np.take(arrays[slot.place], range(slot.mask.shape[-1] - MORE), axis=slot.axes[-1])
    slots = tuple(replace(slot, mask=slot.mask[..., :-MORE]) for slot in found.slots)
    return replace(found, plain=found.plain.replace_arrays(arrays), slots=slots)


def _serves(trial: Trial, found: Subject, plain: Arguments, masks: Sequence[Array]) -> bool:
    try:
        trial.call(*found.masked(masks, plain=plain), training=False)
    except LayerError:
        return False
    return True


def _shifts(trial: Trial, plain: Arguments) -> tuple[float, ...]:
    is_bounded = any(spec.low is not None or spec.high is not None for spec in trial.case.specs())
    has_floats = any(array.dtype.kind == "f" for array in plain.arrays())
    return (0.0, -SHIFT, SHIFT) if has_floats and not is_bounded else (0.0,)


def _apart(
    trial: Trial, shorter: Subject, plain: Arguments, masks: Sequence[Array], counts: Sequence[Array], shift: float
) -> float:
    """Return how far outputs at steps that count differ with more masked steps, all floats being so much higher."""
    before = outputs(trial, shorter, shorter.masked(shorter.masks, plain=_shifted(shorter.plain, shift))[1])
    after = outputs(trial, shorter, shorter.masked(masks, plain=_shifted(plain, shift))[1])
    kept = [_cut(output, own.shape) for output, own in zip(after, counts, strict=True)]
    return max(_difference(*each) for each in zip(before, kept, counts, strict=True))


def _shifted(arguments: Arguments, shift: float) -> Arguments:
    return arguments.map(lambda array: (array + shift).astype(array.dtype) if array.dtype.kind == "f" else array)


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
