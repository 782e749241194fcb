"""LW1006 cost-grows-with-the-batch."""

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, inconclusive, passed, warned
from layerwright.trial.arguments import describe
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, blaming

FACTORS = (1, 2, 3)
"""Batch sizes, in multiples of the usual batch. The third is used only if the second needed more operations."""


@check(
    "LW1006",
    "cost-grows-with-the-batch",
    requires=("LW901", "LW303"),
    exempt={"fixed_shape": True, "stateful": True},
    advisory=True,
)
def cost_grows_with_the_batch(trial: Trial) -> Finding:
    """A call on a larger batch does not need more operations: the layer does not loop over samples.

    What it proves:
        The number of operations in a call does not grow with the number of samples.

    Why it matters:
        A loop over the batch, in Python or with `ops.map` or `ops.fori_loop`, gives correct results but is slow: the
        device runs many small operations one after another instead of one large operation.

    How it is tested:
        The check counts operations; it does not measure time. It counts them in inference for one, two and three times
        the usual batch: eager operations on TensorFlow and torch, operations of the traced program on JAX, where the
        body of a loop counts once for each iteration. It warns if each larger batch needs at least one more operation
        for each additional sample.

    Exempt when:
        The layer declares `fixed_shape` or `stateful`.

    References:
        keras.io, "ops.vectorized_map"; docs.jax.dev, "Automatic vectorization".
    """
    counts: list[int] = []
    for factor in FACTORS:
        try:
            found = _count_operations(trial, factor * trial.batch)
        except LayerError as error:
            return inconclusive(str(error))
        if found is None:
            return inconclusive("the traced program contains a while loop with an unknown number of iterations")
        counts.append(found)
        if factor > 1 and counts[-1] - counts[-2] < trial.batch:
            return passed(operations=counts)
    sizes = [factor * trial.batch for factor in FACTORS]
    seen = ", ".join(f"{count} for {size} samples" for count, size in zip(counts, sizes, strict=True))
    growth = (counts[-1] - counts[0]) / (sizes[-1] - sizes[0])
    return warned(
        f"the number of operations in a call is {seen}: {growth:.3g} more for each sample; expected the same number "
        "for every batch size",
        "Replace the loop or `ops.map` over the batch by operations on all samples at once: broadcasting over axis 0, "
        "`ops.einsum`, `ops.take_along_axis` or `ops.vectorized_map`.",
        operations=counts,
    )


def _count_operations(trial: Trial, samples: int) -> int | None:
    """Count the operations of a call on this many samples. The layer was called before, so set-up is not counted."""
    layer, arguments = lively(trial), trial.arguments(samples)
    function = pure(layer, arguments, training=False)
    with blaming(f"calling the layer on {describe(arguments)}"), trial.backend.inference():
        return trial.backend.operations(function, tensors_of(layer, arguments))


def bad() -> Case:
    import keras

    class LoopsOverSamples(keras.layers.Layer):
        def call(self, inputs):
            samples = keras.ops.shape(inputs)[0]

            def add_row(index, outputs):
                here = keras.ops.cast(keras.ops.arange(samples) == index, inputs.dtype)[:, None]
                row = keras.ops.sum(here * inputs, axis=0)
                return outputs + here * keras.ops.softmax(row)

            return keras.ops.fori_loop(0, samples, add_row, keras.ops.zeros_like(inputs))

    return Case(LoopsOverSamples, inputs=(None, 5))


def good() -> Case:
    import keras

    class AllAtOnce(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.softmax(inputs, axis=-1)

    return Case(AllAtOnce, inputs=(None, 5))
