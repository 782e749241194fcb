"""LW805 no-captured-tensors."""

from collections.abc import Callable
from typing import Any

from layerwright.checks.tracing._programs import Untraceable, compiled_program
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.compare import largest_difference, leaves
from layerwright.trial.models import build, move_weights
from layerwright.trial.paths import attribute_path
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial, copy_weights, snapshot

FIX = (
    "In `call()`, use the variable itself: `self.kernel`, not `self.kernel.numpy()`, not `self.kernel._value`, and "
    "not a tensor computed from it in `build()`."
)


@check("LW805", "no-captured-tensors", requires=("LW804", "LW103"))
def no_captured_tensors(trial: Trial) -> Finding:
    """A compiled program uses the current values of the layer's variables, not a copy of them.

    What it proves:
        If the variables change after compilation, the compiled program gives the same outputs as an eager call with
        the new values.

    Why it matters:
        If the layer reads the value of a variable during building or tracing, that value becomes a constant of the
        program. Training then updates a weight that has no effect any more. Weights loaded after the first prediction
        change nothing. Neither raises an error.

    How it is tested:
        The check compiles the layer with its variables as arguments. It changes all floating-point weights of an equal
        layer, and lets that layer load them as from a file. With these variables, the compiled program must give the
        outputs of an eager call. If it does not, the check changes one variable at a time to find those without an
        effect. Other constants, such as a table of positions, are allowed.

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
    compiled = compiled_program(trial, next(iter(trial.backend.compilers())), False)

    def difference() -> float:
        return largest_difference(leaves(trial.call(layer, trial.usual, training=False)), compiled(layer).outputs)

    try:
        if difference() > tolerance(trial):
            return inconclusive(
                "even with the weights from compilation, the compiled program and an eager call give different outputs"
            )
    except Untraceable as reason:
        return inconclusive(str(reason))
    move_weights(layer)
    seen = difference()
    if seen <= tolerance(trial):
        return passed(difference=seen)
    stale = _variables_without_effect(trial, layer, difference)
    stale = stale or ["the values that load_own_variables() computes from the weights"]
    return failed(
        "after the weights changed, the outputs of the compiled program differ from those of an eager call by "
        f"{seen:.3g}, relative to their largest value; the program ignores changes of {', '.join(stale[:4])}",
        FIX,
        stale=stale,
    )


def _variables_without_effect(trial: Trial, layer: Any, difference: Callable[[], float]) -> list[str]:
    """Return the paths of variables whose new value, set alone, has no effect on the compiled program."""
    moved = snapshot(layer.variables)
    copy_weights(lively(trial), layer)
    stale = []
    for (variable, value), (_, traced) in zip(moved, snapshot(layer.variables), strict=True):
        variable.assign(value)
        if difference() > tolerance(trial):
            stale.append(attribute_path(layer, variable))
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
