"""LW108."""

from contextlib import suppress
from typing import Any

from layerwright.checks.lifecycle._state import config_text, outputs_moved
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, randomise, snapshot


@check("LW108", "instances-are-independent", requires=("LW901",))
def instances_are_independent(trial: Trial) -> Finding:
    """What happens to one instance of a layer leaves another instance alone.

    What it proves:
        Two layers from equal arguments share no variable; constructing, building, calling and re-weighting one changes
        neither the variables nor the outputs nor the config of the other.

    Why it matters:
        A class attribute or a mutable default argument that holds weights, caches or lists is one object for every
        layer of a model: training the second layer moves the first, and the order of construction decides results.

    How it is tested:
        One layer is called and its variables, outputs and config are noted. Another is then made, called in inference
        and in training, and has all its weights moved; after that the first must be as it was, bit by bit. The
        constructor arguments of a case are copied for each layer, so what is shared is shared by the class.

    Exempt when:
        Never.

    References:
        docs.python.org/3/faq/programming.html, "Why are default values shared between objects?".
    """
    first = trial.built()
    outputs, config, variables = trial.call(first, trial.usual), config_text(first), snapshot(first.variables)
    second = _used(trial)
    shared = [variable.path for variable in first.variables if any(variable is other for other in second.variables)]
    if shared:
        return failed(f"two instances share {len(shared)} variables: {', '.join(shared[:4])}", FIX, shared=shared)
    changes = [variable.path for variable, old in variables if not bitwise_equal(old, snapshot([variable])[0][1])]
    if outputs_moved(trial, first, outputs):
        changes.append("its outputs on the same inputs")
    if config is not None and config_text(first) != config:
        changes.append("its get_config()")
    if changes:
        return failed(f"making and using a second instance changed the first: {', '.join(changes[:4])}", FIX)
    return passed(variables=len(variables))


FIX = (
    "Create state in __init__ or build() as attributes of self; keep class attributes and default arguments immutable "
    "(None and tuples rather than lists and dicts)."
)


def _used(trial: Trial) -> Any:
    """Return another instance: called in both modes, then with its weights moved."""
    layer = trial.built()
    with suppress(LayerError):  # that it works in training is for other checks to prove
        trial.call(layer, trial.usual, training=True, keep_state=True)
    randomise(layer)
    return layer


def bad() -> Case:
    return _scaled(shared=True)


def good() -> Case:
    return _scaled(shared=False)


def _scaled(*, shared: bool) -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        made: dict[Any, Any] = {}  # noqa: RUF012 - the very mistake

        def build(self, input_shape):
            key = (input_shape[-1], self.variable_dtype)
            if not shared or key not in self.made:
                self.made[key] = keras.Variable(keras.ops.ones(key[0], key[1]), name="scale")
            self.scale = self.made[key]

        def call(self, inputs):
            return inputs * self.scale

    return Case(Scaled, inputs=(None, 5))
