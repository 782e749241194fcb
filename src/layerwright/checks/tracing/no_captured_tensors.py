"""LW805."""

from collections.abc import Callable
from typing import Any

from layerwright.checks.tracing._programs import Untraceable, program
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.models import build, move_weights
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial, copy_weights, snapshot

FIX = (
    "Read the variable itself in call() (self.kernel, not self.kernel.value, .numpy() or a tensor worked out earlier), "
    "so that the program takes it as it then is."
)


@check("LW805", "no-captured-tensors", requires=("LW804", "LW103"))
def no_captured_tensors(trial: Trial) -> Finding:
    """A compiled program reads the layer's variables each time it runs, and holds no copy of one.

    What it proves:
        When the variables change after the layer was compiled, the program computes what the layer, called eagerly,
        computes with the new values.

    Why it matters:
        A value taken out of a variable while the layer was built or traced becomes a constant of the program. Training
        then moves a weight that no longer acts, and weights loaded after the first prediction change nothing, without
        any error.

    How it is tested:
        The layer is compiled with its variables as arguments. An equal layer has all its floating-point weights moved,
        and taken in as from a file; with its variables the program must compute what that layer does eagerly. Where it
        does not, each variable is moved alone to name those that do not act. Other constants, such as a table of
        positions, are no concern.

    Exempt when:
        The layer has no floating-point weights.

    References:
        docs.jax.dev, "Stateful computations"; tensorflow.org/guide/function, "Depending on Python global and free
        variables"; keras.io, Layer API, `stateless_call`.
    """
    layer = build(trial, trial.construct())
    if not any("float" in str(weight.dtype) for weight in layer.weights):
        return skipped("the layer has no floating-point weights")
    copy_weights(lively(trial), layer)
    compiled = program(trial, next(iter(trial.backend.compilers())), False)

    def difference() -> float:
        return largest_difference(leaves(trial.call(layer, trial.usual, training=False)), compiled(layer).outputs)

    try:
        if difference() > tolerance(trial):
            return inconclusive(
                "already with the weights that it was compiled with, the program computes something else"
            )
    except Untraceable as reason:
        return inconclusive(str(reason))
    move_weights(layer)
    seen = difference()
    if seen <= tolerance(trial):
        return passed(difference=seen)
    stale = _stale(trial, layer, difference) or ["what load_own_variables() works out from its weights"]
    return failed(
        f"with other weights than it was compiled with, the program differs by {seen:.3g} of scale from an eager call; "
        f"it does not follow {', '.join(stale[:4])}",
        FIX,
        stale=stale,
    )


def _stale(trial: Trial, layer: Any, difference: Callable[[], float]) -> list[str]:
    """Return the variables that the program does not follow when each alone has another value than it had then."""
    moved = snapshot(layer.variables)
    copy_weights(lively(trial), layer)
    stale = []
    for (variable, value), (_, traced) in zip(moved, snapshot(layer.variables), strict=True):
        variable.assign(value)
        if difference() > tolerance(trial):
            stale.append(variable.path)
        variable.assign(traced)
    return stale


def bad() -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", trainable=False, name="scale")

        def call(self, inputs):
            return inputs * keras.ops.cast(self.scale._value, inputs.dtype)

    return Case(Scaled, inputs=(None, 5))


def good() -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", trainable=False, name="scale")

        def call(self, inputs):
            return inputs * self.scale

    return Case(Scaled, inputs=(None, 5))
