"""LW1005 data-parallel."""

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
"""How many times more rounding error a gradient may have than an output."""
FIX = (
    "Do not compute anything over axis 0, the batch axis, not even inside `ops.stop_gradient` or a custom gradient: "
    "reduce over later axes, such as `ops.mean(x, axis=-1)`. If the layer combines samples on purpose, declare "
    "`batch='coupled'` or `batch='coupled-in-training'`."
)


@check(
    "LW1005",
    "data-parallel",
    requires=("LW106", "LW302", "LW303"),
    exempt={"batch": "coupled", "fixed_shape": True, "stateful": True},
    needs_tensors=True,
)
def data_parallel(trial: Trial) -> Finding:
    """Training on several devices gives the same outputs and gradients as training on one device.

    What it proves:
        A sample alone has the same outputs, the same gradients with respect to its inputs, and the same share of the
        weight gradients as in a batch. The gradients of several devices therefore sum to those of one device.

    Why it matters:
        In data-parallel training, each device processes a part of the batch, and the gradients are summed. If the
        gradient of a layer mixes samples although its outputs do not, as in a straight-through batch mean, training on
        two devices differs from training on one. The same is true of a layer that couples samples in training without
        declaring it.

    How it is tested:
        The check simulates devices; it does not test how a framework moves data between them. It changes the layer's
        weights from their initial values, and computes outputs and gradients for the usual batch and for its first
        sample alone. In the batch, only the first sample's outputs contribute to the gradients. The calls have
        `training=True`, unless the layer draws random numbers in training or declares that it couples samples there.
        Outputs may differ by 1e-5 of their largest value (more in half precision), gradients by ten times as much.

    Exempt when:
        The layer declares `batch="coupled"`, `fixed_shape` or `stateful`, or draws random numbers in inference.

    References:
        keras.io/guides/distribution; Goyal et al. 2017, arXiv:1706.02677, on gradients summed over workers.
    """
    traits = trial.case.traits
    if traits.batch == "independent" and not traits.random:
        found = _compare_sample_with_batch(trial, training=True)
        if found.outcome is Outcome.PASSED or not draws(trial, training=True):
            return found
    if draws(trial):
        return inconclusive(
            "the layer draws random numbers in inference, so a sample alone gets other random values than in a batch"
        )
    return _compare_sample_with_batch(trial, training=False)


def _compare_sample_with_batch(trial: Trial, *, training: bool) -> Finding:
    """Compare the outputs and gradients of a sample in the batch with those of the sample alone."""
    sample = trial.usual.rows(slice(1))
    outputs, share = (caller(trial, training)(arguments) for arguments in (trial.usual, sample))
    cotangents = cotangents_for(trial, [leaf for leaf in share if "float" in leaf.dtype.name])
    alone = gradients(trial, lively(trial), sample, training=training, cotangents=cotangents)
    padded = [_followed_by_zeros(cotangent, trial.batch) for cotangent in cotangents]
    within = gradients(trial, lively(trial), trial.usual, training=training, cotangents=padded)
    found = {
        "outputs": largest_difference([output[:1] for output in outputs], share),
        "gradients by its inputs": _largest_gradient_difference(
            within.inputs, [each if each is None else _followed_by_zeros(each, trial.batch) for each in alone.inputs]
        ),
        "share of the gradients by the weights": _largest_gradient_difference(
            list(within.weights.values()), list(alone.weights.values())
        ),
    }
    for what, difference in found.items():
        allowed = tolerance(trial) * (1.0 if what == "outputs" else ROUNDING)
        if difference > allowed:
            return failed(
                f"with training={training}, a sample's {what.replace(' by ', ' with respect to ')} differ by "
                f"{difference:.3g}, relative to their largest value, between a batch of {trial.batch} and the sample "
                f"alone; expected at most {allowed:g}",
                FIX,
                differences=found,
            )
    return passed(differences=found)


def _followed_by_zeros(array: Array, samples: int) -> Array:
    return np.concatenate([array, np.zeros((samples - 1, *array.shape[1:]), array.dtype)])


def _largest_gradient_difference(within: Sequence[Array | None], alone: Sequence[Array | None]) -> float:
    """Return the largest difference of gradients, relative to the largest of all: some are zero except for rounding."""
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
