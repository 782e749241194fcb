"""LW708."""

import copy
import pickle
import sys
from collections.abc import Callable
from typing import Any

from layerwright.checks.saving._config import changes, config_of
from layerwright.checks.saving._names import custom_objects
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, note, passed
from layerwright.trial.models import (
    align_seeds,
    computes_otherwise,
    functional,
    lost_weights,
    move_weights,
    refuses_code,
)
from layerwright.trial.trial import Trial, blaming, copy_weights

BUILD_FIX = (
    "Override build(self, input_shape) and build the inner layers there; pass named functions instead of lambdas."
)
COPIES: dict[str, Callable[[Any], Any]] = {
    "copy.deepcopy()": copy.deepcopy,
    "a pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
}


@check("LW708", "clone-and-copy", requires=("LW706", "LW103", "LW108"))
def clone_and_copy(trial: Trial) -> Finding:
    """`clone_model`, `copy.deepcopy` and pickle give a layer of the same config that computes the same.

    What it proves:
        A model that holds the layer can be cloned, and computes the same once it has the same weights. A deep copy of
        the layer, and what comes back from pickle, keep config and weights.

    Why it matters:
        Averaged and target networks clone; ensembles and cross-validation copy; every tool that sends a model to
        another process pickles.

    How it is tested:
        With classes and functions that are not registered made known by a custom_object_scope, the layer, its weights
        moved off their initial values, is cloned and copied each way; configs, weights and outputs are compared. A
        class that pickle cannot find by its name, being defined within a function, is not pickled. A layer that has
        inner layers and no build() of its own cannot be copied alone by Keras once it has been called: that is
        remarked on, and no failure.

    Exempt when:
        Never.

    References:
        keras.io, clone_model; Python documentation, copy and pickle. Keras layers copy and pickle through the `.keras`
        format.
    """
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    outputs = trial.call(layer, trial.usual)
    remarks: list[str] = []
    ways = COPIES if _importable(type(layer)) else {"copy.deepcopy()": copy.deepcopy}
    with keras.saving.custom_object_scope(custom_objects(trial, layer)):
        lost = [
            _cloned(trial, layer, outputs, model, remarks),
            *(_copied(trial, layer, outputs, way, remarks) for way in ways),
        ]
    if any(lost):
        return failed(
            "; ".join(filter(None, lost)),
            "Leave copying to Keras, which does it by get_config() and the weights: override neither __deepcopy__ nor "
            "__reduce__ to do less, and let build() create all state.",
        )
    tried = ["clone_model()", *ways]
    return note("; ".join(dict.fromkeys(remarks)), BUILD_FIX, tried=tried) if remarks else passed(tried=tried)


def _cloned(trial: Trial, layer: Any, outputs: Any, model: Any, remarks: list[str]) -> str:
    """Say what is wrong with the clone of a model; empty if nothing is."""
    import keras

    try:
        with blaming("clone_model()"):
            clone = keras.models.clone_model(model)
    except LayerError as error:
        if not refuses_code(error):
            return str(error)
        remarks.append("clone_model() refuses a layer whose config holds code, as a lambda or a pickle")
        return ""
    copy_weights(model, clone)
    wrong = computes_otherwise(trial, layer, outputs, clone, model=True)
    return f"clone_model() and a copy of all weights: {wrong}" if wrong else ""


def _copied(trial: Trial, layer: Any, outputs: Any, way: str, remarks: list[str]) -> str:
    """Say what is wrong with a copy of a layer; empty if nothing is."""
    try:
        with blaming(f"{way} of the built layer"):
            twin = COPIES[way](layer)
    except LayerError as error:
        if not _builds_late(layer):
            return str(error)
        remarks.append("once built, the layer cannot be copied alone: it has inner layers and no build() of its own")
        return ""
    if twin is layer or {id(weight) for weight in layer.weights} & {id(weight) for weight in twin.weights}:
        return f"{way} shares weights with the layer it was made of"
    align_seeds(layer, twin)
    wrong = changes(config_of(layer), config_of(twin)) or lost_weights(layer, twin)
    wrong = wrong or computes_otherwise(trial, layer, outputs, twin, model=False)
    return f"{way}: {wrong}" if wrong else ""


def _importable(cls: type) -> bool:
    """Whether pickle can find the class by its name, as it cannot one that is defined within a function."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


def _builds_late(layer: Any) -> bool:
    """Whether the layer leaves the building of inner layers to its first call."""
    import keras

    return type(layer).build is keras.layers.Layer.build and len(layer._flatten_layers()) > 1


def bad() -> Case:
    return _case(keeps_weights=False)


def good() -> Case:
    return _case(keeps_weights=True)


def _case(keeps_weights: bool) -> Case:
    import copy

    import keras

    class Gain(keras.layers.Layer):
        def build(self, input_shape):
            self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gain")

        def call(self, inputs):
            return inputs * self.gain

        def __deepcopy__(self, memo):
            twin = type(self).from_config(copy.deepcopy(self.get_config(), memo))
            if self.built:
                twin.build(self.gain.shape)
            if keeps_weights:
                twin.set_weights(self.get_weights())
            return twin

    return Case(Gain, inputs=(None, 5))
