"""LW304 batch-permutation."""

import numpy as np

from layerwright.checks.axes._influence import SHAPES_ALONE, follows_shapes_alone
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.compare import largest_difference
from layerwright.trial.slices import moves
from layerwright.trial.subject import caller, draws, tolerance
from layerwright.trial.trial import Trial


@check(
    "LW304", "batch-permutation", requires=("LW301",), exempt={"batch": "coupled", "stateful": True}, models="samples"
)
def batch_permutation(trial: Trial) -> Finding:
    """In inference, another order of the samples changes only the order of the outputs.

    What it proves:
        A sample's output does not depend on its position in the batch.

    Why it matters:
        Data is shuffled, so the position in a batch carries no information. A positional encoding, a cumulative sum or
        a mask that is computed along axis 0 instead of axis 1 uses the position all the same. Replacing samples one by
        one does not reveal it.

    How it is tested:
        The usual samples are passed in their order, then in another order. Outputs are compared sample by sample, with
        a tolerance of 1e-5 of the outputs' scale (2e-2 in float16, 2e-1 in bfloat16), because kernels may compute the
        last rows of a block differently.

    Exempt when:
        The layer declares `batch="coupled"`, or `stateful=True`, because its state may come from earlier samples. The
        result is inconclusive where outputs differ and the layer draws random numbers in inference: each position in
        the batch receives its own numbers.

    References:
        Zaheer et al. 2017, "Deep Sets", arXiv:1703.06114, for equivariance to permutations.
    """
    if follows_shapes_alone(trial):
        return passed(SHAPES_ALONE)
    call = caller(trial, False)
    batch = trial.usual.batch
    order = np.r_[1:batch:2, 0:batch:2]
    expected = [output[order] for output in call(trial.usual)]
    found = call(trial.usual.rows(order))
    difference, allowed = largest_difference(expected, found), tolerance(trial)
    if difference <= allowed:
        return passed(difference=difference, tolerance=allowed)
    if draws(trial):
        return inconclusive(
            "the outputs change with the order of the samples, but also with the random seed: each position in the "
            "batch may receive its own random numbers"
        )
    moved = moves(expected, found, 0)
    worst = int(moved.argmax())
    return failed(
        f"with the samples in the order {order.tolist()}, the output of sample {order[worst]} changed by "
        f"{moved[worst]:.3g}; expected the same output at every position in the batch",
        "Look for an `arange`, a `cumsum`, a positional encoding or a mask that is computed along axis 0. Compute it "
        "along time (axis 1).",
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
