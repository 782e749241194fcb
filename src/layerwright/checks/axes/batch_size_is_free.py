"""LW303."""

import numpy as np

from layerwright.checks.axes._influence import other_samples
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.subject import caller, draws, larger, tolerance
from layerwright.trial.trial import Trial


@check("LW303", "batch-size-is-free", requires=("LW301", "LW204"), exempt={"batch": "coupled"})
def batch_size_is_free(trial: Trial) -> Finding:
    """A sample's output does not depend on how many samples are in the batch, in inference.

    What it proves:
        The same samples give the same rows within a larger batch, and the first of them gives its row alone.

    Why it matters:
        The last batch of an epoch is smaller, evaluation uses another batch size, and in use samples come one by
        one. A layer that divides by the batch size, or was built for one, is right only where it was tried.

    How it is tested:
        The usual batch is called as it is, followed by other samples, and cut down to its first sample; rows are
        compared to 1e-5 of the outputs' scale (2e-2 in float16, 2e-1 in bfloat16), since backends choose other
        kernels for other sizes.

    Exempt when:
        The layer declares `batch="coupled"`; it draws random numbers in inference, which are others in another batch;
        or it declares `fixed_shape` and refuses another batch size.

    References:
        keras.io, "Model training APIs", on `batch_size`.
    """
    usual, call, allowed = trial.usual.batch, caller(trial, False), tolerance(trial)
    rows = call(trial.usual)
    try:
        again = {arguments.batch: call(arguments) for arguments in (_followed(trial), trial.usual.rows(slice(1)))}
    except LayerError as error:
        if trial.case.traits.fixed_shape:
            return skipped(f"exempt: the layer declares fixed_shape=True and refuses another batch size ({error})")
        return failed(
            f"built on {usual} samples, {error}",
            "Take the batch size from ops.shape(x)[0] at each call; or, if one batch size is meant, declare the "
            "trait fixed_shape=True.",
        )
    for samples, outputs in again.items():
        for before, after in zip(rows, outputs, strict=True):
            if after.shape != (samples, *before.shape[1:]):
                return failed(
                    f"{usual} samples give an output of shape {before.shape}, {samples} one of shape {after.shape}; "
                    "only axis 0 should differ",
                    "Give squeeze, reshape and reductions explicit axes, so that no size of the batch is special.",
                )
    found = {samples: _difference(rows, outputs, min(samples, usual)) for samples, outputs in again.items()}
    samples, most = max(found.items(), key=lambda item: item[1])
    if most <= allowed:
        return passed(differences=found, tolerance=allowed)
    if draws(trial):
        return inconclusive("other seeds give other outputs in inference, and another batch size means other draws")
    return failed(
        f"the same samples give other outputs in a batch of {samples} than in a batch of {usual}: they differ by "
        f"{most:.3g} of the outputs' scale, at most {allowed:g} is rounding",
        "Look for the batch size in the arithmetic: a division by it, a sum over ones, a reshape with a number that "
        "should be ops.shape(x)[0].",
        differences=found,
        tolerance=allowed,
    )


def _followed(trial: Trial) -> Arguments:
    """Return the usual samples, followed by others."""
    more = other_samples(trial).rows(slice(larger(trial) - trial.usual.batch))
    pairs = zip(trial.usual.arrays(), more.arrays(), strict=True)
    return trial.usual.replace_arrays([np.concatenate(pair) for pair in pairs])


def _difference(rows: list[Array], outputs: list[Array], samples: int) -> float:
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
