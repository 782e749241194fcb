"""LW501."""

import numpy as np

from layerwright.checks.numerics._gradients import PAST_KERAS, reads_past_keras, weight_gradients
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial


@check("LW501", "every-weight-learns", requires=("LW901", "LW105"))
def every_weight_learns(trial: Trial) -> Finding:
    """Every trainable weight gets a gradient.

    What it proves:
        For each trainable weight some input makes its gradient neither None nor zero throughout.

    Why it matters:
        A weight that is created and forgotten, used behind `stop_gradient`, rounded, or read as a NumPy array stays
        where it was initialised. Training goes on without it: the loss falls, only less far than it could.

    How it is tested:
        The outputs, each multiplied by a random number, are summed and differentiated: for three draws of inputs, one
        of them ten times as large, in inference and in training. A squared loss would not do, since its gradient
        vanishes where outputs happen to be zero. Weights are off their initial values, so that a gate at zero accuses
        no one. A weight still without a gradient gets another chance with a padding mask, where `call` takes one, and
        with what the layer passes to `add_loss`; regularizers do not count. Some entries of a weight may be zero, as
        rows of an embedding that no input asks for; all must be.

    Exempt when:
        Never; skipped where the layer has no trainable weights. Not probed where `call` has an argument that is False
        by default and that the case does not feed: the weight may serve the other way.

    References:
        keras.io/api/layers/base_layer, "add_weight method"; keras.io/api/ops/core, "stop_gradient function".
    """
    paths = [weight.path for weight in lively(trial).trainable_variables if "float" in str(weight.dtype)]
    if not paths:
        return skipped("the layer has no trainable weights")
    silent, draws = paths, 0
    for gradients in weight_gradients(trial):
        draws += 1
        silent = [path for path in silent if not np.any(gradients[path])]
        if not silent:
            return passed(weights=len(paths), draws=draws)
    if reads_past_keras(trial):
        return inconclusive(PAST_KERAS)
    switches = _unfed_switches(trial)
    if switches:
        return inconclusive(
            f"no gradient reaches {', '.join(silent[:4])}, but the case leaves {', '.join(switches)} at False",
            "Declare a second case with call={…: True}, if that is where the weight is used.",
        )
    return failed(
        f"the gradient by {', '.join(silent[:4])}{', …' if silent[4:] else ''} was None or zero throughout in all "
        f"{draws} attempts; expected every trainable weight to get one ({len(silent)} of {len(paths)} do not)",
        "Use the weight in call() through differentiable ops, not behind stop_gradient, a cast to integers or "
        "convert_to_numpy; or create it with trainable=False, or not at all.",
        silent=silent,
    )


def _unfed_switches(trial: Trial) -> list[str]:
    """Return the arguments of `call` that choose what the layer does and that the case leaves alone."""
    parameters = lively(trial)._call_signature.parameters
    known = {"training", *trial.case.call}
    return [name for name, each in parameters.items() if each.default is False and name not in known]


def bad() -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            return inputs * keras.ops.stop_gradient(self.scale)

    return Case(Scaled, inputs=(None, 5))


def good() -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs):
            return inputs * self.scale

    return Case(Scaled, inputs=(None, 5))
