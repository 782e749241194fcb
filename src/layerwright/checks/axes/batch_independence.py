"""LW301 batch-independence."""

from layerwright.checks.axes._influence import judge_independence
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding
from layerwright.trial.trial import Trial


@check("LW301", "batch-independence", requires=("LW305",), exempt={"batch": "coupled"}, models="samples")
def batch_independence(trial: Trial) -> Finding:
    """In inference, no sample's output depends on another sample of the batch.

    What it proves:
        Replacing sample j changes row j of the outputs and no other row.

    Why it matters:
        A layer that mixes samples trains and evaluates without an error. Its scores are too good: in use, samples come
        alone or in other batches. Typical causes are a reshape that folds the batch into another axis, a softmax or a
        mean over axis 0, and a mask that broadcasts along the batch.

    How it is tested:
        Each sample in turn is replaced by another random draw, and the outputs are compared with the original ones bit
        by bit. At a fixed batch size, backends compute unaffected rows with identical bits, so even a leak of 1e-7 is
        visible. Weights are moved off their initial values first, so that a gate that starts at zero hides nothing. The
        influence map in the evidence contains, at (i, j), how much output row i changed when sample j was replaced.

    Exempt when:
        The layer declares `batch="coupled"`.

    References:
        keras.io, "Making new layers and models via subclassing"; Ioffe and Szegedy 2015, arXiv:1502.03167, for batch
        normalisation, which couples samples in training on purpose.
    """
    return judge_independence(
        trial,
        training=False,
        fix="Keep axis 0 out of every reshape, transpose, reduction and softmax: name the other axes (`axis=1`, "
        "`axis=-1`), and reshape to (batch, …) with the batch size from `ops.shape(x)[0]`. "
        'If the layer is meant to mix samples, or axis 0 is not a batch axis, declare the trait `batch="coupled"`.',
    )


def bad() -> Case:
    import keras

    class SoftmaxOverBatch(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.softmax(inputs, axis=0)

    return Case(SoftmaxOverBatch, inputs=(None, 5))


def good() -> Case:
    import keras

    class SoftmaxOverFeatures(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.softmax(inputs, axis=-1)

    return Case(SoftmaxOverFeatures, inputs=(None, 5))
