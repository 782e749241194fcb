"""Construct the case's layer with other arguments, and record how a layer behaves."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from layerwright.checks.saving._config import Config, copy_containers, rebuild
from layerwright.trial.compare import bitwise_equal
from layerwright.trial.trial import Trial, restore, snapshot

AUTOMATIC_NAME = re.compile(r"^variable_\d+$")
"""The name that Keras gives a variable without a name. The number counts all such variables in the process."""


def variant(trial: Trial, layer: Any, config: Config, changed: Mapping[str, Any]) -> Any:
    """Return a new layer that has other values for the arguments in `changed`.

    If the case's layer comes from a function, the config is changed instead of the constructor's arguments.
    """
    if isinstance(trial.case.layer, type):
        return trial.construct(**changed)
    return rebuild(trial, layer, {**copy_containers(config), **changed})


def observe_behaviour(trial: Trial, layer: Any) -> dict[str, Any]:
    """Call a new layer and return its variables, outputs, output masks, losses and state."""
    import keras

    trial.call(layer, trial.usual)
    before = snapshot(layer.non_trainable_variables)
    seen: dict[str, Any] = {"the variables": describe_variables(layer)}
    seen["the initial weights"] = _to_arrays([weight.value for weight in layer.weights])
    seen["the outputs"] = trial.call(layer, trial.usual, training=False)
    outputs = trial.call_raw(layer, trial.usual, training=True, keep_state=True)
    seen["the outputs with training=True"] = _to_arrays(outputs)
    seen["the output mask"] = _to_arrays([getattr(leaf, "_keras_mask", None) for leaf in keras.tree.flatten(outputs)])
    seen["the losses"] = _to_arrays(layer.losses)
    seen["the state after a call with training=True"] = _to_arrays([v.value for v in layer.non_trainable_variables])
    restore(before)
    return seen


def describe_variables(layer: Any) -> str:
    """Describe the variables of a layer: names, shapes, dtypes, regularizers and constraints."""
    return ", ".join(
        f"{name_without_number(v)} {tuple(v.shape)} {v.dtype} {'trainable' if v.trainable else 'non-trainable'}"
        + "".join(f" {type(extra).__name__}" for extra in (v.regularizer, v.constraint) if extra is not None)
        for v in layer.variables
    )


def name_without_number(variable: Any) -> str:
    """Return the name of a variable, without the number of a name that Keras generated."""
    return AUTOMATIC_NAME.sub("variable", variable.name)


def first_difference(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Name the first part of two behaviours that differs; empty if nothing differs."""
    for what, value in first.items():
        same = value == second[what] if isinstance(value, str) else bitwise_equal(value, second[what])
        if not same:
            return what
    return ""


def _to_arrays(tensors: Any) -> list[Any]:
    import keras

    return [np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(tensors) if leaf is not None]
