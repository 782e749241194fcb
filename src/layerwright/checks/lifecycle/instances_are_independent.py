"""LW108 instances-are-independent."""

from contextlib import suppress
from typing import Any

from layerwright.checks.lifecycle._state import config_text, outputs_changed
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, randomise, snapshot


@check("LW108", "instances-are-independent", requires=("LW901",))
def instances_are_independent(trial: Trial) -> Finding:
    """Using one instance of a layer does not change another instance.

    What it proves:
        Two layers with equal constructor arguments share no variable. Constructing, building and calling one and
        changing its weights changes neither the variables nor the outputs nor the config of the other.

    Why it matters:
        A class attribute or a mutable default argument is one object for all instances. If it contains weights, caches
        or lists, training the second layer changes the first one, and the results depend on the order of construction.

    How it is tested:
        One layer is called, and its variables, outputs and config are recorded. A second one is constructed, called in
        inference and in training, and all its weights are changed. Then the first one must equal the record, bit by
        bit. The constructor arguments of a case are copied for each layer, so anything shared comes from the class.

    Exempt when:
        Never.

    References:
        docs.python.org/3/faq/programming.html, "Why are default values shared between objects?".
    """
    first = trial.built()
    outputs, config, variables = trial.call(first, trial.usual), config_text(first), snapshot(first.variables)
    second = _instance_after_use(trial)
    shared = [
        attribute_path(first, variable)
        for variable in first.variables
        if any(variable is other for other in second.variables)
    ]
    if shared:
        return failed(
            f"two instances share variables ({len(shared)}): {', '.join(shared[:4])}; expected none", FIX, shared=shared
        )
    changes = [
        attribute_path(first, variable)
        for variable, old in variables
        if not bitwise_equal(old, snapshot([variable])[0][1])
    ]
    if outputs_changed(trial, first, outputs):
        changes.append("its outputs on the same inputs")
    if config is not None and config_text(first) != config:
        changes.append("its get_config()")
    if changes:
        return failed(
            f"using a second instance changed the first one: {', '.join(changes[:4])}; expected no change", FIX
        )
    return passed(variables=len(variables))


FIX = (
    "Create state in `__init__` or `build()` as attributes of `self`. Keep class attributes and default arguments "
    "immutable: use None and tuples instead of lists and dicts."
)


def _instance_after_use(trial: Trial) -> Any:
    """Return a new instance after it was called in both modes and its weights were changed."""
    layer = trial.built()
    # Other checks report a layer that does not work in training.
    with suppress(LayerError):
        trial.call(layer, trial.usual, training=True, keep_state=True)
    randomise(layer)
    return layer


def bad() -> Case:
    return _scaled_case(shared=True)


def good() -> Case:
    return _scaled_case(shared=False)


def _scaled_case(*, shared: bool) -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        made: dict[Any, Any] = {}  # noqa: RUF012 - the defect that this check finds

        def build(self, input_shape):
            key = (input_shape[-1], self.variable_dtype)
            if not shared or key not in self.made:
                self.made[key] = keras.Variable(keras.ops.ones(key[0], key[1]), name="scale")
            self.scale = self.made[key]

        def call(self, inputs):
            return inputs * self.scale

    return Case(Scaled, inputs=(None, 5))
