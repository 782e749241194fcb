"""LW305."""

from collections.abc import Iterator

import numpy as np

from layerwright.checks.axes._influence import batch_influence
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import Array
from layerwright.trial.subject import caller, larger
from layerwright.trial.trial import Trial


@check("LW305", "first-axis-is-batch", requires=("LW901",), exempt={"batch": "coupled"})
def first_axis_is_batch(trial: Trial) -> Finding:
    """Axis 0 of every output is the batch: as many rows as samples, in the samples' order.

    What it proves:
        Every output has rank 1 or more and one row for each sample, at two batch sizes, and no row answers to another
        sample instead of its own.

    Why it matters:
        Losses, masks, sample weights and `predict` pair row i of the outputs with row i of the inputs. A layer that
        puts time first, folds the batch into another axis or shifts the batch pairs them wrongly, and where sizes
        happen to agree nothing complains.

    How it is tested:
        Shapes are compared on the usual batch and on a larger one. Then each sample is replaced in turn: where
        the rows that move are the samples in another order, axis 0 is out of order.

    Exempt when:
        The layer declares `batch="coupled"`.

    References:
        keras.io, "Model training APIs", on `fit` and `predict`.
    """
    for samples, outputs in _two_sizes(trial):
        for place, output in enumerate(outputs):
            if output.ndim < 1 or output.shape[0] != samples:
                which = f"output {place}" if len(outputs) > 1 else "the output"
                return failed(
                    f"{which} has shape {output.shape} for {samples} samples; axis 0 should have size {samples}",
                    "Return (batch, …): transpose back before returning, and give reductions and reshapes explicit "
                    "axes that leave axis 0 alone.",
                )
    order = _order(batch_influence(trial, False))
    if order:
        return failed(
            f"rows {list(range(len(order)))} of the output answer to samples {order}; each should answer to its own",
            "Keep the samples in their order; a roll, flip or shift meant for time belongs on axis 1.",
        )
    return passed()


def _two_sizes(trial: Trial) -> Iterator[tuple[int, list[Array]]]:
    call = caller(trial, False)
    yield trial.usual.batch, call(trial.usual)
    try:
        yield larger(trial), call(trial.arguments(larger(trial)))
    except LayerError:
        return  # LW303 batch-size-is-free reports a layer that refuses another size


def _order(influence: Array | None) -> list[int]:
    """Return which sample each row answers to, if that is one sample each and not always its own; else nothing."""
    moved = np.zeros((0, 0), bool) if influence is None else influence > 0
    one_to_one = (moved.sum(axis=0) == 1).all() and (moved.sum(axis=1) == 1).all()
    return [int(sample) for sample in moved.argmax(axis=1)] if one_to_one and not moved.diagonal().all() else []


def bad() -> Case:
    import keras

    class BatchReversed(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.flip(inputs, axis=0)

    return Case(BatchReversed, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class TimeReversed(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.flip(inputs, axis=1)

    return Case(TimeReversed, inputs=(None, 6, 5))
