"""LW304."""

import numpy as np

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import moves
from layerwright.trial.subject import caller, draws, tolerance
from layerwright.trial.trial import Trial


@check("LW304", "batch-permutation", requires=("LW301",), exempt={"batch": "coupled", "stateful": True})
def batch_permutation(trial: Trial) -> Finding:
    """Samples in another order give the same outputs in that order, in inference.

    What it proves:
        A sample's output does not depend on its place in the batch.

    Why it matters:
        Data is shuffled, so a place in the batch means nothing. A position code, a cumulative sum or a mask built
        along axis 0 instead of axis 1 reads it all the same, and replacing samples one by one does not show it.

    How it is tested:
        The usual samples are called in their order and with the odd ones first; outputs are compared sample by sample
        to 1e-5 of the outputs' scale (2e-2 in float16, 2e-1 in bfloat16), since kernels may treat the last rows of a
        block in another way.

    Exempt when:
        The layer declares `batch="coupled"`, or `stateful`, as its state may be that of the samples before, or draws
        random numbers in inference, which belong to places.

    References:
        Zaheer et al. 2017, "Deep Sets", arXiv:1703.06114, for equivariance to permutations.
    """
    call = caller(trial, False)
    batch = trial.usual.batch
    order = np.r_[1:batch:2, 0:batch:2]
    expected = [output[order] for output in call(trial.usual)]
    found = call(trial.usual.rows(order))
    difference, allowed = largest_difference(expected, found), tolerance(trial)
    if difference <= allowed:
        return passed(difference=difference, tolerance=allowed)
    if draws(trial):
        return inconclusive("other seeds give other outputs in inference, and each place in the batch has its own draw")
    moved = moves(expected, found, 0)
    worst = int(moved.argmax())
    return failed(
        f"in the order {order.tolist()} sample {order[worst]} gave another output than at its own place: it moved by "
        f"{moved[worst]:.3g}; the order of samples should change nothing but the order of outputs",
        "Look for what is made along axis 0: arange, cumsum, position codes or masks that should run along time "
        "(axis 1).",
        difference=difference,
        tolerance=allowed,
    )


def bad() -> Case:
    import keras

    class PositionAlongBatch(keras.layers.Layer):
        def call(self, inputs):
            return inputs + keras.ops.cumsum(keras.ops.ones_like(inputs), axis=0)

    return Case(PositionAlongBatch, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class PositionAlongTime(keras.layers.Layer):
        def call(self, inputs):
            return inputs + keras.ops.cumsum(keras.ops.ones_like(inputs), axis=1)

    return Case(PositionAlongTime, inputs=(None, 6, 5))
