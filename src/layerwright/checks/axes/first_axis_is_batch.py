"""LW305 first-axis-is-batch."""

from collections.abc import Iterator

import numpy as np

from layerwright.checks.axes._influence import SHAPES_ALONE, batch_influence_map, follows_shapes_alone
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, note, passed
from layerwright.trial.arguments import Array
from layerwright.trial.subject import caller, larger
from layerwright.trial.trial import Trial


@check("LW305", "first-axis-is-batch", requires=("LW901",), exempt={"batch": "coupled"}, models=True)
def first_axis_is_batch(trial: Trial) -> Finding:
    """Axis 0 of every output is the batch axis: one row per sample, in the order of the samples.

    What it proves:
        Every output has rank 1 or higher and one row per sample, at two batch sizes. No row depends on another sample
        instead of its own.

    Why it matters:
        Losses, masks, sample weights and `predict` pair row i of the outputs with row i of the inputs. If a layer puts
        time first, folds the batch into another axis or shifts the batch, these pairs are wrong. Where the sizes happen
        to be equal, nothing raises an error.

    How it is tested:
        Output shapes are checked on the usual batch and on a larger one. Then each sample is replaced in turn. The
        samples are out of order if every replacement changes exactly one row, each time another one, and not always the
        sample's own.

        If no value of the inputs changes an output, only their shape does, the layer is a table, such as one of
        positions, and the result is a note.

    Exempt when:
        The layer declares `batch="coupled"`.

    References:
        keras.io, "Model training APIs", on `fit` and `predict`.
    """
    if follows_shapes_alone(trial):
        samples, outputs = next(_outputs_at_two_batch_sizes(trial))
        if all(output.shape[:1] == (samples,) for output in outputs):
            return passed(SHAPES_ALONE)
        return note(
            f"{SHAPES_ALONE}, and have shape {' and '.join(str(output.shape) for output in outputs)} for {samples} "
            "samples: they have no batch axis",
            "Add the output to a batch only where its axes align from the right. As the output of a model it would "
            "need a batch axis: `ops.broadcast_to(table, (batch, …))`.",
        )
    for samples, outputs in _outputs_at_two_batch_sizes(trial):
        for place, output in enumerate(outputs):
            if output.ndim < 1 or output.shape[0] != samples:
                which = f"output {place}" if len(outputs) > 1 else "the output"
                return failed(
                    f"{which} has shape {output.shape} for {samples} samples; expected size {samples} on axis 0",
                    "Return outputs of shape (batch, …): undo a transpose before returning, and give reductions and "
                    "reshapes explicit axes that leave axis 0 alone.",
                )
    order = _order_of_samples(batch_influence_map(trial, False))
    if order:
        return failed(
            f"output rows {list(range(len(order)))} depend on samples {order}; expected each row to depend on its own "
            "sample",
            "Keep the samples in order. If a roll, flip or shift is meant to act along time, apply it to axis 1.",
        )
    return passed()


def _outputs_at_two_batch_sizes(trial: Trial) -> Iterator[tuple[int, list[Array]]]:
    call = caller(trial, False)
    yield trial.usual.batch, call(trial.usual)
    try:
        yield larger(trial), call(trial.arguments(larger(trial)))
    except LayerError:
        # LW303 batch-size-is-free reports a layer that refuses another batch size.
        return


def _order_of_samples(influence: Array | None) -> list[int]:
    """Return which sample each row depends on, if that is exactly one each and not always its own; else nothing."""
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
