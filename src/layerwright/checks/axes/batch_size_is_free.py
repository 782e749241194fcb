"""LW303 batch-size-is-free."""

import numpy as np

from layerwright.checks.axes._influence import SHAPES_ALONE, follows_shapes_alone, replacement_samples
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.subject import caller, draws, larger, tolerance
from layerwright.trial.trial import Trial


@check("LW303", "batch-size-is-free", requires=("LW301", "LW204"), exempt={"batch": "coupled"}, models="samples")
def batch_size_is_free(trial: Trial) -> Finding:
    """In inference, a sample's output does not depend on the batch size.

    What it proves:
        The same samples give the same rows in a larger batch, and the first sample gives the same row alone.

    Why it matters:
        The last batch of an epoch is smaller, evaluation may use another batch size, and in use samples come one by
        one. A layer that divides by the batch size, or that was built for one batch size, is correct only at that size.

    How it is tested:
        The layer is called on the usual batch, on a batch that also contains other samples, and on the first sample
        alone. Rows are compared with a tolerance of 1e-5 of the outputs' scale (2e-2 in float16, 2e-1 in bfloat16),
        because backends choose other kernels for other sizes.

    Exempt when:
        The layer declares `batch="coupled"`, or declares `fixed_shape=True` and refuses another batch size. The result
        is inconclusive where outputs differ and the layer draws random numbers in inference: another batch size draws
        other numbers.

    References:
        keras.io, "Model training APIs", on `batch_size`.
    """
    if follows_shapes_alone(trial):
        return skipped(SHAPES_ALONE)
    usual, call, allowed = trial.usual.batch, caller(trial, False), tolerance(trial)
    rows = call(trial.usual)
    try:
        again = {
            arguments.batch: call(arguments) for arguments in (_with_more_samples(trial), trial.usual.rows(slice(1)))
        }
    except LayerError as error:
        if trial.case.traits.fixed_shape:
            return skipped(f"exempt: the layer declares fixed_shape=True and refuses another batch size ({error})")
        return failed(
            f"the layer was built on {usual} samples; {error}; expected no error",
            "Read the batch size from `ops.shape(x)[0]` in every call. If the layer supports only one batch size, "
            "declare the trait `fixed_shape=True`.",
        )
    for samples, outputs in again.items():
        for before, after in zip(rows, outputs, strict=True):
            expected = (samples, *before.shape[1:])
            if after.shape != expected:
                return failed(
                    f"output has shape {before.shape} for {usual} samples, but {after.shape} for {samples}; expected "
                    f"{expected}",
                    "Give `squeeze`, `reshape` and reductions explicit axes, so that no batch size is a special case.",
                )
    found = {samples: _difference_in_rows(rows, outputs, min(samples, usual)) for samples, outputs in again.items()}
    samples, most = max(found.items(), key=lambda item: item[1])
    if most <= allowed:
        return passed(differences=found, tolerance=allowed)
    if draws(trial):
        return inconclusive(
            "the outputs change with the batch size, but also with the random seed: another batch size may draw "
            "other random numbers"
        )
    return failed(
        f"outputs of the same samples differ between a batch of {samples} and a batch of {usual} by {most:.3g} of "
        f"their scale; expected at most {allowed:g}, for rounding",
        "Look for the batch size in the arithmetic: a division by it, a sum over ones, or a reshape with a fixed "
        "number in place of `ops.shape(x)[0]`.",
        differences=found,
        tolerance=allowed,
    )


def _with_more_samples(trial: Trial) -> Arguments:
    """Return the usual samples, followed by other samples."""
    more = replacement_samples(trial).rows(slice(larger(trial) - trial.usual.batch))
    pairs = zip(trial.usual.arrays(), more.arrays(), strict=True)
    return trial.usual.replace_arrays([np.concatenate(pair) for pair in pairs])


def _difference_in_rows(rows: list[Array], outputs: list[Array], samples: int) -> float:
    return largest_difference([row[:samples] for row in rows], [output[:samples] for output in outputs])


def bad() -> Case:
    import keras

    class DividedByBatchSize(keras.layers.Layer):
        def call(self, inputs):
            return inputs / keras.ops.sum(keras.ops.ones_like(inputs), axis=0)

    return Case(DividedByBatchSize, inputs=(None, 5))


def good() -> Case:
    import keras

    class DividedByFeatures(keras.layers.Layer):
        def call(self, inputs):
            return inputs / keras.ops.sum(keras.ops.ones_like(inputs), axis=-1, keepdims=True)

    return Case(DividedByFeatures, inputs=(None, 5))
