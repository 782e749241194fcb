"""LW204 any-size."""

from collections.abc import Iterator
from typing import Any

from layerwright.checks.shape._shapes import Spec, output_name, output_specs_at
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.subject import lively
from layerwright.trial.tracebacks import is_raised_on_purpose
from layerwright.trial.trial import Trial

FIX = (
    "Give `squeeze` and reductions explicit axes, and read sizes from `ops.shape(x)` in every call instead of storing "
    "them in `build`. If only some sizes work, such as even ones, raise a ValueError that says so. If an axis supports "
    "only one size, give that size in the case instead of None."
)


@check("LW204", "any-size", requires=("LW901",), exempt={"fixed_shape": True})
def any_size(trial: Trial) -> Finding:
    """The layer works for any batch size and for any size of the axes that the case leaves free.

    What it proves:
        Batches of 1, 2 and 7 samples give outputs of the usual rank and dtype, with the usual sizes of all other axes.
        Other sizes of each free axis give outputs of the usual rank and dtype.

    Why it matters:
        `squeeze` without an axis removes the batch axis when a sample comes alone. A batch size or length that is
        stored in `build` fits only the first data. Code that pairs steps needs an even length. Such errors occur in
        use, not in development.

    How it is tested:
        A built layer is called on 1, 2 and 7 samples. Then each free axis (None in the case) gets its two
        smallest sizes and size 7. The smallest sizes are 1 and 2, and the layer may refuse them. If the layer declares
        a `minimum`, they are that size and the next, and the layer must accept both. A layer may refuse sizes of a free
        axis with a ValueError of its own, raised in its own code: it states what it needs, such as an even number of
        channels. A declared `minimum` must still be accepted.

    Exempt when:
        The layer declares `fixed_shape=True`. If it declares `batch="coupled"`, only the free axes are checked.

    References:
        keras.io, "Model training APIs", on `batch_size` and partial last batches; keras.io/api/ops, "squeeze".
    """
    usual = output_specs_at(trial, trial.usual)
    sizes = () if trial.case.traits.batch in ("coupled", "graph") else (1, 2, 7)
    for samples in sizes:
        found = _problem_at_size(trial, usual, 0, samples)
        if found is not None:
            return found
    for axis, size in _sizes_of_free_axes(trial):
        found = _problem_at_size(trial, usual, axis, size)
        if found is not None:
            return found
    return passed()


def _sizes_of_free_axes(trial: Trial) -> Iterator[tuple[int, int]]:
    smallest = trial.case.traits.minimum
    for axis in sorted({axis for spec in trial.case.specs() for axis, size in enumerate(spec.shape) if size is None}):
        if axis:
            yield from ((axis, size) for size in (smallest, smallest + 1, max(7, smallest + 2)))


def _problem_at_size(trial: Trial, usual: list[Spec], axis: int, size: int) -> Finding | None:
    where = f"with size {size} on axis {axis}" if axis else f"on a batch of {size}"
    arguments = trial.arguments(free={axis: size}) if axis else trial.arguments(size)
    try:
        found = output_specs_at(trial, arguments)
    except LayerError as error:
        least = trial.case.traits.minimum
        if axis and size <= 2 and least == 1:
            return None
        if axis and (size != least or least == 1) and _states_requirement(error, lively(trial)):
            return None
        return failed(f"{where}, the layer raised {quote(error.error)}; expected no error, as at the usual sizes", FIX)
    if len(found) != len(usual):
        return failed(
            f"{where}, the layer returned {len(found)} tensors; expected {len(usual)}, as at the usual sizes", FIX
        )
    for place, (one, before) in enumerate(zip(found, usual, strict=True)):
        wanted = _with_batch_size(before, trial.usual.batch, size) if axis == 0 else before
        fits = len(one.shape) == len(wanted.shape) if axis else one.shape == wanted.shape
        if not fits or one.dtype != wanted.dtype:
            return failed(
                f"{where}, {output_name(place, usual)} is {one}; expected {_describe_expected(wanted, axis)}", FIX
            )
    return None


def _states_requirement(error: LayerError, layer: Any) -> bool:
    return isinstance(error.error, ValueError) and is_raised_on_purpose(error.error, layer)


def _with_batch_size(usual: Spec, batch: int, samples: int) -> Spec:
    """Return the spec with `samples` on axis 0, if axis 0 is the batch axis."""
    if usual.shape[:1] != (batch,):
        return usual
    return Spec((samples, *usual.shape[1:]), usual.dtype)


def _describe_expected(wanted: Spec, axis: int) -> str:
    return f"rank {len(wanted.shape)} and dtype {wanted.dtype}" if axis else str(wanted)


def bad() -> Case:
    import keras

    class PairsOfSteps(keras.layers.Layer):
        def call(self, inputs):
            batch, steps, features = keras.ops.shape(inputs)
            return keras.ops.reshape(inputs, (batch, steps // 2, 2 * features))

    return Case(PairsOfSteps, inputs=(None, None, 5))


def good() -> Case:
    import keras

    class PairsOfSteps(keras.layers.Layer):
        def call(self, inputs):
            steps = keras.ops.shape(inputs)[1]
            padded = keras.ops.pad(inputs, [[0, 0], [0, steps % 2], [0, 0]])
            batch, steps, features = keras.ops.shape(padded)
            return keras.ops.reshape(padded, (batch, steps // 2, 2 * features))

    return Case(PairsOfSteps, inputs=(None, None, 5))
