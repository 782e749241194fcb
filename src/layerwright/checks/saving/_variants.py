"""Layers that differ from the case's own in one constructor argument, and what can be seen of a layer."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from layerwright.checks.saving._config import Config, copied, revive
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, restore, snapshot

AUTOMATIC_NAME = re.compile(r"^variable_\d+$")
"""What Keras calls a variable that was given no name: the number counts all of them in the process."""


def variant(trial: Trial, layer: Any, config: Config, changed: Mapping[str, Any]) -> Any:
    """Return a new layer that has other values for the arguments in `changed`.

    A case whose layer comes from a function is varied through its config instead of its constructor.
    """
    if isinstance(trial.case.layer, type):
        return trial.construct(**changed)
    return revive(trial, layer, {**copied(config), **changed})


def observe(trial: Trial, layer: Any) -> dict[str, Any]:
    """Call a new layer and return what can be seen of it: variables, outputs, masks, losses, state."""
    import keras

    trial.call(layer, trial.usual)
    before = snapshot(layer.non_trainable_variables)
    seen = {"the variables": variables(layer), "the initial weights": _numpy([v.value for v in layer.weights])}
    seen["the outputs"] = trial.call(layer, trial.usual, training=False)
    outputs = trial.call_raw(layer, trial.usual, training=True, keep_state=True)
    seen["the outputs in training"] = _numpy(outputs)
    seen["the output mask"] = _numpy([getattr(leaf, "_keras_mask", None) for leaf in keras.tree.flatten(outputs)])
    seen["the losses"] = _numpy(layer.losses)
    seen["the state after training"] = _numpy([variable.value for variable in layer.non_trainable_variables])
    restore(before)
    return seen


def variables(layer: Any) -> str:
    """Describe the variables of a layer: names, shapes, dtypes and what is attached to them."""
    return ", ".join(
        f"{plain_name(v)} {tuple(v.shape)} {v.dtype} {'trainable' if v.trainable else 'fixed'}"
        + "".join(f" {type(extra).__name__}" for extra in (v.regularizer, v.constraint) if extra is not None)
        for v in layer.variables
    )


def plain_name(variable: Any) -> str:
    """Return the name of a variable without the serial number that Keras puts into a name it makes up."""
    return AUTOMATIC_NAME.sub("variable", variable.name)


def difference(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Name the first thing seen that differs between two layers; empty if nothing does."""
    for what, value in first.items():
        alike = value == second[what] if isinstance(value, str) else bitwise_equal(value, second[what])
        if not alike:
            return what
    return ""


def _numpy(tensors: Any) -> list[Any]:
    import keras

    return [np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(tensors) if leaf is not None]
