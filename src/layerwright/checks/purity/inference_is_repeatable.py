"""LW901 inference-is-repeatable."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.compare import bitwise_equal, largest_difference
from layerwright.trial.generators import holds_generator
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, snapshot

FIX = (
    "Do not assign to `self` in `call()`. If the layer must keep state between calls, store it in "
    "`self.add_weight(…, trainable=False)` and declare `stateful=True`."
)
DRAWS_FIX = (
    "If the random numbers are for training only, draw them only there: `if training:`, with `training=False` as an "
    "argument of `call`. Draw them from `self.seed_generator = keras.random.SeedGenerator(seed)`. If the layer is "
    "meant to draw in inference too, declare `random=True`."
)
UPDATE_FIX = (
    "Assign the weight only in training: `if training:`, with `training=False` as an argument of `call`. If inference "
    "is meant to change it, declare `stateful=True`."
)
METRIC_FIX = (
    "Do not update a metric in `call()`: on JAX, `fit` then raises an error. Return the value as an output and give "
    "`compile` the metric, or keep it in a non-trainable weight that only training assigns."
)


@check("LW901", "inference-is-repeatable", requires=("LW102",), exempt={"stateful": True}, models=True)
def inference_is_repeatable(trial: Trial) -> Finding:
    """In inference, the same inputs give the same outputs, regardless of earlier calls.

    What it proves:
        A call in inference changes no variable of the layer or of its metrics, and no Python attribute that affects
        later outputs.

    Why it matters:
        If one call stores a value on `self` and the next call uses it, predictions depend on the order of requests. A
        compiled step traces `call` once and then stores a symbolic tensor, so that the next eager call raises far from
        the cause. Most other checks require this property, because they compare outputs of repeated calls.

    How it is tested:
        The check calls a built layer on inputs, then on other inputs, then symbolically as a functional model does, and
        then on the first inputs again. With random generators and seeds restored, the outputs must be equal bit by
        bit. No variable may have changed.

    Exempt when:
        The layer declares `stateful=True`.

    References:
        keras.io/api/layers/base_layer, "add_weight method"; docs.jax.dev, "Stateful computations".
    """
    layer = trial.built()
    first = trial.call(layer, trial.usual, training=False)
    before = snapshot([*layer.variables, *layer.metrics_variables])
    trial.call(layer, trial.arguments(seed=1), training=False, keep_state=True)
    changed = [variable for variable, value in before if not bitwise_equal(value, snapshot([variable])[0][1])]
    if changed and not trial.case.traits.random:
        paths = ", ".join(list(dict.fromkeys(_name(layer, variable) for variable in changed))[:4])
        return failed(f"a call in inference changed {paths}; expected no change", _fix_for_changed(layer, changed))
    for variable, value in before:
        variable.assign(value)
    # LW201 checks that the layer can be called symbolically.
    with suppress(LayerError):
        trial.symbolic_call(layer)
    try:
        again = trial.call(layer, trial.usual, training=False)
    except LayerError as error:
        return failed(
            "after calls on other inputs and on symbolic tensors, a call on the first inputs raised "
            f"{quote(error.error)}; expected the same outputs as before",
            FIX,
        )
    if not bitwise_equal(first, again):
        difference = largest_difference(first, again)
        return failed(
            f"after calls on other inputs, the same inputs gave outputs that differ by {difference:.3g}, relative to "
            "their largest value; expected equal outputs",
            DRAWS_FIX if holds_generator(layer) else FIX,
        )
    return passed()


def _name(layer: Any, variable: Any) -> str:
    """Return the path to a variable; for one of a metric, the path to the metric."""
    owners = [metric for metric in layer._metrics if any(one is variable for one in metric.variables)]
    return attribute_path(layer, owners[0] if owners else variable)


def _fix_for_changed(layer: Any, changed: Sequence[Any]) -> str:
    """Return the advice for variables that a call in inference changed: metrics, seeds, weights or others."""
    metrics = {id(variable) for variable in layer.metrics_variables}
    if any(id(variable) in metrics for variable in changed):
        return METRIC_FIX
    weights = {id(weight) for weight in layer.weights}
    if all(id(variable) not in weights for variable in changed) and holds_generator(layer):
        return DRAWS_FIX
    return FIX if any(variable.trainable for variable in changed) else UPDATE_FIX


def bad() -> Case:
    import keras

    class Remembers(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.largest = 0.0

        def call(self, inputs):
            if isinstance(inputs, keras.KerasTensor):
                return inputs
            self.largest = max(self.largest, float(keras.ops.max(keras.ops.convert_to_numpy(inputs))))
            return inputs / self.largest

    return Case(Remembers, inputs=(None, 5))


def good() -> Case:
    import keras

    class Forgets(keras.layers.Layer):
        def call(self, inputs):
            return inputs - keras.ops.max(inputs, axis=-1, keepdims=True)

    return Case(Forgets, inputs=(None, 5))
