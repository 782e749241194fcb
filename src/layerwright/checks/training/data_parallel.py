"""LW1005."""

from collections.abc import Sequence

import numpy as np

from layerwright.core.case import Case, Traits
from layerwright.core.check import check
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed
from layerwright.trial.arguments import Array
from layerwright.trial.compare import largest_difference
from layerwright.trial.gradients import cotangents_for, gradients
from layerwright.trial.subject import caller, draws, lively, tolerance
from layerwright.trial.trial import Trial

ROUNDING = 10.0
"""How much more rounding a gradient may have than an output."""
FIX = (
    "Compute nothing from the batch as a whole, not even under ops.stop_gradient or in a custom gradient: average over "
    'axes after the first. If samples are to meet, declare batch="coupled" or batch="coupled-in-training".'
)


@check(
    "LW1005",
    "data-parallel",
    requires=("LW106", "LW302", "LW303"),
    exempt={"batch": "coupled", "fixed_shape": True, "stateful": True},
)
def data_parallel(trial: Trial) -> Finding:
    """Devices that share a batch compute what one computes: the same outputs and the same gradients.

    What it proves:
        A sample alone has the outputs, the gradients by its inputs and the share of the gradients by the weights that
        it has within the batch; so the gradients of several devices sum to those of one.

    Why it matters:
        Data-parallel training hands each device a part of the batch and sums the gradients. A layer whose gradient
        mixes samples, though its outputs do not (a straight-through batch mean, a gradient scaled by the batch's), or
        that couples samples in training unannounced, learns something else on two devices than on one.

    How it is tested:
        The device is simulated. The layer, its weights off their initial values, is called on and differentiated by
        the usual batch, with cotangents that are zero but for the first sample's, and by that sample alone. This is
        done with `training=True`, unless the layer draws random numbers there or declares that it couples samples in
        training. Allowed is rounding: 1e-5 of the outputs' scale (more in half precision), ten times that of the
        largest gradient. How a framework moves data between devices is not tested.

    Exempt when:
        The layer declares `batch="coupled"`, `fixed_shape` or `stateful`; or draws random numbers in inference.

    References:
        keras.io/guides/distribution; Goyal et al. 2017, arXiv:1706.02677, on gradients summed over workers.
    """
    traits = trial.case.traits
    if traits.batch == "independent" and not traits.random:
        found = _compared(trial, training=True)
        if found.outcome is Outcome.PASSED or not draws(trial, training=True):
            return found
    if draws(trial):
        return inconclusive("the layer draws random numbers in inference, and a part of a batch means other draws")
    return _compared(trial, training=False)


def _compared(trial: Trial, *, training: bool) -> Finding:
    """Compare what a sample has within the batch with what it has alone."""
    sample = trial.usual.rows(slice(1))
    outputs, share = (caller(trial, training)(arguments) for arguments in (trial.usual, sample))
    cotangents = cotangents_for(trial, [leaf for leaf in share if "float" in leaf.dtype.name])
    alone = gradients(trial, lively(trial), sample, training=training, cotangents=cotangents)
    padded = [_followed_by_zeros(cotangent, trial.batch) for cotangent in cotangents]
    within = gradients(trial, lively(trial), trial.usual, training=training, cotangents=padded)
    found = {
        "outputs": largest_difference([output[:1] for output in outputs], share),
        "gradients by its inputs": _apart(
            within.inputs, [each if each is None else _followed_by_zeros(each, trial.batch) for each in alone.inputs]
        ),
        "share of the gradients by the weights": _apart(list(within.weights.values()), list(alone.weights.values())),
    }
    for what, difference in found.items():
        allowed = tolerance(trial) * (1.0 if what == "outputs" else ROUNDING)
        if difference > allowed:
            return failed(
                f"with training={training}, a sample's {what} differ by {difference:.3g} of their scale between a "
                f"batch of {trial.batch} and the sample alone; at most {allowed:g} is rounding",
                FIX,
                differences=found,
            )
    return passed(differences=found)


def _followed_by_zeros(array: Array, samples: int) -> Array:
    return np.concatenate([array, np.zeros((samples - 1, *array.shape[1:]), array.dtype)])


def _apart(within: Sequence[Array | None], alone: Sequence[Array | None]) -> float:
    """Return how far gradients are apart, relative to the largest of them all: some are zero but for rounding."""
    pairs = [
        (np.asarray(a), np.asarray(b)) for a, b in zip(within, alone, strict=True) if a is not None and b is not None
    ]
    scale = max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a, _ in pairs), default=0.0) or 1.0
    return largest_difference([a / scale for a, _ in pairs], [b / scale for _, b in pairs])


def bad() -> Case:
    import keras

    class StraightThroughMean(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            scaled = inputs * self.scale
            mean = keras.ops.mean(scaled, axis=0)
            return scaled + (mean - keras.ops.stop_gradient(mean))

    return Case(StraightThroughMean, inputs=(None, 5), traits=Traits(smooth=False))


def good() -> Case:
    import keras

    class StraightThroughRound(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            scaled = inputs * self.scale
            return scaled + keras.ops.stop_gradient(keras.ops.round(scaled) - scaled)

    return Case(StraightThroughRound, inputs=(None, 5), traits=Traits(smooth=False))
