"""LW1006."""

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, inconclusive, passed, warned
from layerwright.trial.arguments import describe
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, blaming

FACTORS = (1, 2, 3)
"""Batch sizes tried, in usual batches; the third only of a layer whose operations were more at the second."""


@check(
    "LW1006",
    "cost-grows-with-the-batch",
    requires=("LW901", "LW303"),
    exempt={"fixed_shape": True, "stateful": True},
    advisory=True,
)
def cost_grows_with_the_batch(trial: Trial) -> Finding:
    """A larger batch takes larger operations, not more of them: nothing loops over samples.

    What it proves:
        The number of operations that a call carries out does not grow with the number of samples.

    Why it matters:
        A Python loop, `ops.map` or `ops.fori_loop` over the batch gives the right numbers, and takes as many times
        longer as there are samples: what one matrix product does at once, the device is asked for one by one.

    How it is tested:
        By counting, not by the clock. Operations are counted at one, two and three usual batches, in inference: those
        carried out eagerly on TensorFlow and torch, those of the traced program on JAX, the body of a loop as often
        as it is gone through. One operation more for each sample, from each size to the next, is what the layer is
        warned of.

    Exempt when:
        The layer declares `fixed_shape` or `stateful`.

    References:
        keras.io, "ops.vectorized_map"; docs.jax.dev, "Automatic vectorization".
    """
    counts: list[int] = []
    for factor in FACTORS:
        try:
            found = _operations(trial, factor * trial.batch)
        except LayerError as error:
            return inconclusive(str(error))
        if found is None:
            return inconclusive("the traced program holds a while loop, and how often it is gone through is not known")
        counts.append(found)
        if factor > 1 and counts[-1] - counts[-2] < trial.batch:
            return passed(operations=counts)
    sizes = [factor * trial.batch for factor in FACTORS]
    seen = ", ".join(f"{count} on {size} samples" for count, size in zip(counts, sizes, strict=True))
    return warned(
        f"a call carries out {seen}, which is {(counts[-1] - counts[0]) / (sizes[-1] - sizes[0]):.3g} operations more "
        "for each sample; expected the same number",
        "Do it for all samples at once: with operations that broadcast over axis 0, ops.einsum, ops.take_along_axis "
        "or ops.vectorized_map, instead of a loop or ops.map over the batch.",
        operations=counts,
    )


def _operations(trial: Trial, samples: int) -> int | None:
    """Count the operations of a call on so many samples; those of a first call, which may set things up, are not."""
    layer, arguments = lively(trial), trial.arguments(samples)
    function = pure(layer, arguments, training=False)
    with blaming(f"calling it on {describe(arguments)}"), trial.backend.inference():
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
