"""LW302 batch-independence-in-training."""

from layerwright.checks.axes._influence import judge_independence
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding
from layerwright.trial.trial import Trial


@check(
    "LW302",
    "batch-independence-in-training",
    requires=("LW301", "LW209"),
    exempt={"batch": ("coupled", "coupled-in-training")},
    models="samples in training",
)
def batch_independence_in_training(trial: Trial) -> Finding:
    """In training, no sample's output depends on another sample of the batch.

    What it proves:
        With `training=True`, replacing sample j changes row j of the outputs and no other row.

    Why it matters:
        Statistics over the batch make gradients depend on how samples are grouped. Results then change with the batch
        size, the number of devices and gradient accumulation. Batch normalisation does this on purpose. Any other
        layer that does it, directly or through a sublayer, should at least declare it.

    How it is tested:
        As in LW301 batch-independence, with `training=True`. Every call starts from the same weights, statistics and
        seeds, so a random layer draws the same numbers each time and only the replaced sample differs.

    Exempt when:
        The layer declares `batch="coupled-in-training"` or `batch="coupled"`.

    References:
        Ioffe and Szegedy 2015, arXiv:1502.03167; keras.io, "BatchNormalization layer".
    """
    return judge_independence(
        trial,
        training=True,
        fix="Normalise within each sample (`LayerNormalization`, `GroupNormalization`), or declare the trait "
        '`batch="coupled-in-training"`.',
    )


def bad() -> Case:
    import keras

    class CentreOverBatch(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs - keras.ops.mean(inputs, axis=0) if training else inputs

    return Case(CentreOverBatch, inputs=(None, 5))


def good() -> Case:
    import keras

    class CentreOverFeatures(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True) if training else inputs

    return Case(CentreOverFeatures, inputs=(None, 5))
