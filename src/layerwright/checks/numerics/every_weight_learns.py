"""LW501."""

import numpy as np

from layerwright.checks.numerics._gradients import NOT_KERAS_VARIABLES, bypasses_keras_variables, weight_gradients
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.paths import attribute_path
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial


@check("LW501", "every-weight-learns", requires=("LW901", "LW105"))
def every_weight_learns(trial: Trial) -> Finding:
    """Every trainable weight gets a gradient.

    What it proves:
        For each trainable weight some input gives a gradient that is neither None nor zero in all entries.

    Why it matters:
        A weight keeps its initial value if it is never used, if it is used only inside `stop_gradient`, if it is
        rounded, or if it is read as a NumPy array. Training still runs and the loss still falls, but not as far as it
        could.

    How it is tested:
        Each output is multiplied by a random number, and the gradient of their sum is computed: for three random
        inputs, one of them ten times as large, in inference and training mode. A squared loss is not used, because its
        gradient vanishes where outputs happen to be zero. Weights are first moved off their initial values, so that a
        gate that starts at zero does not hide other weights. For a weight that still has no gradient, a padding mask is
        tried if `call` takes one, and then the losses that the layer passes to `add_loss`. Regularizers do not count.
        A weight makes the check fail only if all entries of its gradient are zero: the rows of an embedding that no
        input selects, for example, may be zero.

    Exempt when:
        Never. Skipped if the layer has no trainable weights. Inconclusive if `call` has an argument that is False by
        default and that the case does not set: the weight may be used when it is True.

    References:
        keras.io/api/layers/base_layer, "add_weight method"; keras.io/api/ops/core, "stop_gradient function".
    """
    layer = lively(trial)
    weights = [weight for weight in layer.trainable_variables if "float" in str(weight.dtype)]
    if not weights:
        return skipped("the layer has no trainable weights")
    silent, draws = weights, 0
    for gradients in weight_gradients(trial):
        draws += 1
        silent = [weight for weight in silent if not np.any(gradients[weight.path])]
        if not silent:
            return passed(weights=len(weights), draws=draws)
    if bypasses_keras_variables(trial):
        return inconclusive(NOT_KERAS_VARIABLES)
    names = [attribute_path(layer, weight) for weight in silent]
    named = f"{', '.join(names[:4])}{', …' if names[4:] else ''}"
    switches = _switches_left_false(trial)
    if switches:
        return inconclusive(
            f"{named} got no gradient, but the case leaves {', '.join(switches)} at False",
            f"If the weight is used when `{switches[0]}` is True, declare a second case with "
            f"`call={{{switches[0]!r}: True}}`.",
        )
    return failed(
        f"{len(names)} of {len(weights)} trainable weights got a gradient of None or zero in all {draws} attempts: "
        f"{named}; expected a nonzero gradient for each weight",
        "Use the weight in `call` through differentiable operations: not inside `ops.stop_gradient`, not cast to "
        "integers, not converted with `ops.convert_to_numpy`. Or create it with `trainable=False`, or remove it.",
        silent=names,
    )


def _switches_left_false(trial: Trial) -> list[str]:
    """Return the arguments of `call` that are False by default and that the case does not set."""
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
