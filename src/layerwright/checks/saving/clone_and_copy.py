"""LW708 clone-and-copy."""

import copy
import pickle
import sys
from collections.abc import Callable
from typing import Any

from layerwright.checks.saving._config import config_of, describe_changes
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
    "Write `build(self, input_shape)` and build every sublayer in it: `self.hidden.build(input_shape)`. Replace "
    "lambdas by named functions."
)
COPIES: dict[str, Callable[[Any], Any]] = {
    "copy.deepcopy()": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
}


@check("LW708", "clone-and-copy", requires=("LW706", "LW103", "LW108"), needs_tensors=True)
def clone_and_copy(trial: Trial) -> Finding:
    """`clone_model`, `copy.deepcopy` and `pickle` return a layer with the same config, weights and outputs.

    What it proves:
        A model that contains the layer can be cloned, and the clone gives the same outputs once it has the same
        weights. A deep copy and a pickled copy of the layer have the same config, weights and outputs, and share no
        weights with the original.

    Why it matters:
        Target networks and weight averaging clone models. Ensembles and cross-validation copy them. Tools that send a
        model to another process pickle it.

    How it is tested:
        The check changes the layer's weights from their initial values, clones a model around the layer, and copies
        the layer in each way. It compares configs, weights and outputs. Classes that are not registered are made known
        with `keras.saving.custom_object_scope`. Pickle is skipped for a class defined inside a function, which pickle
        cannot find by name. Keras cannot copy a built layer that has sublayers but no `build()` method; that gives a
        note, not a failure.

    Exempt when:
        Never.

    References:
        keras.io, `clone_model`; Python documentation, `copy` and `pickle`. Keras copies and pickles layers through the
        `.keras` format.
    """
    import keras

    layer = trial.construct()
    model = functional(trial, layer)
    move_weights(layer)
    outputs = trial.call(layer, trial.usual)
    notes: list[str] = []
    methods = COPIES if _is_importable(type(layer)) else {"copy.deepcopy()": copy.deepcopy}
    with keras.saving.custom_object_scope(custom_objects(trial, layer)):
        problems = [
            _problem_with_clone(trial, layer, outputs, model, notes),
            *(_problem_with_copy(trial, layer, outputs, method, notes) for method in methods),
        ]
    if any(problems):
        return failed(
            "; ".join(filter(None, problems)),
            "Remove `__deepcopy__` and `__reduce__` if the layer overrides them: Keras copies a layer from "
            "`get_config()` and its weights. Create all state in `build()`.",
        )
    tried = ["clone_model()", *methods]
    return note("; ".join(dict.fromkeys(notes)), BUILD_FIX, tried=tried) if notes else passed(tried=tried)


def _problem_with_clone(trial: Trial, layer: Any, outputs: Any, model: Any, notes: list[str]) -> str:
    """Say what is wrong with the clone of a model; empty if nothing is."""
    import keras

    try:
        with blaming("clone_model()"):
            clone = keras.models.clone_model(model)
    except LayerError as error:
        if not refuses_code(error):
            return str(error)
        notes.append("clone_model() cannot clone the layer, because its config contains code (a lambda or a pickle)")
        return ""
    copy_weights(model, clone)
    difference = computes_otherwise(trial, layer, outputs, clone, model=True)
    return (
        f"the clone made with clone_model() differs from the original, with the same weights: {difference}"
        if difference
        else ""
    )


def _problem_with_copy(trial: Trial, layer: Any, outputs: Any, method: str, notes: list[str]) -> str:
    """Say what is wrong with a copy of a layer; empty if nothing is."""
    try:
        with blaming(f"copying the built layer with {method}"):
            twin = COPIES[method](layer)
    except LayerError as error:
        if not _builds_sublayers_in_call(layer):
            return str(error)
        notes.append("Keras cannot copy the built layer, because it has sublayers but no build() method")
        return ""
    if twin is layer or {id(weight) for weight in layer.weights} & {id(weight) for weight in twin.weights}:
        return f"the copy made with {method} shares weights with the original layer; expected weights of its own"
    align_seeds(layer, twin)
    difference = describe_changes(config_of(layer), config_of(twin)) or lost_weights(layer, twin)
    difference = difference or computes_otherwise(trial, layer, outputs, twin, model=False)
    return f"the copy made with {method} differs from the original layer: {difference}" if difference else ""


def _is_importable(cls: type) -> bool:
    """Whether pickle can find the class by its name. It cannot find a class defined inside a function."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


def _builds_sublayers_in_call(layer: Any) -> bool:
    """Whether the layer has sublayers and builds them only when it is first called."""
    import keras

    return type(layer).build is keras.layers.Layer.build and len(layer._flatten_layers()) > 1


def bad() -> Case:
    return _copied_gain(keeps_weights=False)


def good() -> Case:
    return _copied_gain(keeps_weights=True)


def _copied_gain(keeps_weights: bool) -> Case:
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
