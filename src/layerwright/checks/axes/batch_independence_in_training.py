"""LW302 batch-independence-in-training."""

import numpy as np

from layerwright.checks.axes._influence import batch_influence_map, follows_shapes_alone, judge_independence
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, note
from layerwright.trial.compare import bitwise_equal, largest_difference, leaves
from layerwright.trial.paths import attribute_path
from layerwright.trial.slices import who_sees_whom
from layerwright.trial.subject import caller, draws, lively
from layerwright.trial.trial import Trial, restore, snapshot


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
        seeds, so a random layer draws the same numbers each time and only the replaced sample differs. If the layer
        behaves as batch normalisation does, the result is a note: in training it updates non-trainable weights from the
        batch, inference uses them, and the order of the samples does not matter.

    Exempt when:
        The layer declares `batch="coupled-in-training"` or `batch="coupled"`.

    References:
        Ioffe and Szegedy 2015, arXiv:1502.03167; keras.io, "BatchNormalization layer".
    """
    statistics = names_of_batch_statistics(trial)
    if statistics:
        return note(
            f"in training, samples meet through statistics over the batch, whose moving averages "
            f"({', '.join(statistics[:4])}) are used in inference, as in batch normalisation",
            'If that is meant, declare the trait `batch="coupled-in-training"`.',
        )
    return judge_independence(
        trial,
        training=True,
        fix="Normalise within each sample (`LayerNormalization`, `GroupNormalization`), or declare the trait "
        '`batch="coupled-in-training"`.',
    )


def names_of_batch_statistics(trial: Trial) -> list[str]:
    """Return the moving statistics by which samples meet in training, if they meet as in batch normalisation."""
    influence = None if follows_shapes_alone(trial) else batch_influence_map(trial, True)
    if influence is None or not who_sees_whom(influence):
        return []
    layer = lively(trial)
    weights = [each for each in layer.non_trainable_variables if "float" in str(each.dtype)]
    before = snapshot(weights)
    trial.call(layer, trial.usual, training=True, keep_state=True)
    after = snapshot(weights)
    restore(before)
    moved = [
        (variable, value)
        for (variable, value), (_, old) in zip(after, before, strict=True)
        if not bitwise_equal(value, old)
    ]
    if not moved:
        return []
    usual = leaves(trial.call(layer, trial.usual, training=False))
    restore(moved)
    used = not bitwise_equal(usual, leaves(trial.call(layer, trial.usual, training=False)))
    restore(before)
    if not used or not _ignores_order(trial):
        return []
    return [attribute_path(layer, variable) for variable, _ in moved]


def _ignores_order(trial: Trial) -> bool:
    """Whether in training another order of the samples only reorders the outputs; unknown for random layers: True."""
    order = np.r_[1, 0, 2 : trial.usual.batch]
    if draws(trial, training=True):
        return True
    call = caller(trial, True)
    expected = [output[order] for output in call(trial.usual)]
    return largest_difference(expected, call(trial.usual.rows(order))) <= 1e-3


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
