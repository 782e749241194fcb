"""LW204."""

from collections.abc import Iterator

from layerwright.checks.shape._shapes import Spec, numbered, specs_at
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

FIX = (
    "Give squeeze and reductions explicit axes, take sizes from ops.shape(x) at each call instead of from build, and "
    "give an axis that serves one size only that size in the case instead of None."
)


@check("LW204", "any-size", requires=("LW901",), exempt={"fixed_shape": True})
def any_size(trial: Trial) -> Finding:
    """The layer serves any number of samples, and any size of the axes that the case leaves free.

    What it proves:
        Batches of 1, 2 and 7 samples give outputs of the usual rank, trailing sizes and dtype. So do sizes of each
        free axis, up to the sizes themselves.

    Why it matters:
        `squeeze` without an axis drops the batch axis when one sample comes alone; a batch or length noted in `build`
        fits only the data at hand; pairs of steps need an even length. These break in use, not in development.

    How it is tested:
        A built layer is called on 1, 2 and 7 samples, then with each free axis (None in the case) at 7 and at the
        smallest sizes: 1 and 2, which it may refuse, or, where it declares a `minimum`, that and the next, which it
        may not.

    Exempt when:
        The layer declares `fixed_shape`. The batch sizes: it declares `batch="coupled"`.

    References:
        keras.io, "Model training APIs", on `batch_size` and partial last batches; keras.io/api/ops, "squeeze".
    """
    usual = specs_at(trial, trial.usual)
    sizes = () if trial.case.traits.batch == "coupled" else (1, 2, 7)
    for samples in sizes:
        found = _at(trial, usual, 0, samples)
        if found is not None:
            return found
    for axis, size in _free_sizes(trial):
        found = _at(trial, usual, axis, size)
        if found is not None:
            return found
    return passed()


def _free_sizes(trial: Trial) -> Iterator[tuple[int, int]]:
    smallest = trial.case.traits.minimum
    for axis in sorted({axis for spec in trial.case.specs() for axis, size in enumerate(spec.shape) if size is None}):
        if axis:
            yield from ((axis, size) for size in (smallest, smallest + 1, max(7, smallest + 2)))


def _at(trial: Trial, usual: list[Spec], axis: int, size: int) -> Finding | None:
    where = f"with axis {axis} of size {size}" if axis else f"on a batch of {size}"
    arguments = trial.arguments(free={axis: size}) if axis else trial.arguments(size)
    try:
        found = specs_at(trial, arguments)
    except LayerError as error:
        if axis and size <= 2 and trial.case.traits.minimum == 1:
            return None
        return failed(f"{where} the layer raised {quote(error.error)}; at the usual sizes it does not", FIX)
    if len(found) != len(usual):
        return failed(f"{where} the layer returned {len(found)} tensors; usually it returns {len(usual)}", FIX)
    for place, (one, before) in enumerate(zip(found, usual, strict=True)):
        wanted = _wanted(before, trial.usual.batch, size) if axis == 0 else before
        fits = len(one.shape) == len(wanted.shape) if axis else one.shape == wanted.shape
        if not fits or one.dtype != wanted.dtype:
            return failed(f"{where} {numbered(place, usual)} is {one}; expected {_pattern(wanted, axis)}", FIX)
    return None


def _wanted(usual: Spec, batch: int, samples: int) -> Spec:
    """Return the spec with `samples` on axis 0, if that is the batch axis."""
    if usual.shape[:1] != (batch,):
        return usual
    return Spec((samples, *usual.shape[1:]), usual.dtype)


def _pattern(wanted: Spec, axis: int) -> str:
    return f"rank {len(wanted.shape)}, {wanted.dtype}" if axis else str(wanted)


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
