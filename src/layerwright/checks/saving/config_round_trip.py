"""LW701 config-round-trip."""

import inspect
from typing import Any

from layerwright.checks.saving._config import (
    Config,
    config_of,
    config_through_json,
    copy_containers,
    describe_changes,
    rebuild,
)
from layerwright.checks.saving._variants import name_without_number
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.models import build
from layerwright.trial.trial import Trial

FIX = (
    "Return every constructor argument from `get_config()`: `{**super().get_config(), 'units': self.units}`. Use "
    "numbers, strings, booleans and lists; serialize other objects with `keras.saving.serialize_keras_object` and "
    "deserialize them in `from_config()`. Accept `**kwargs` in the constructor and pass them to "
    "`super().__init__(**kwargs)`."
)
BUILD_FIX = (
    "Build a sublayer only once: in `build()`, write `if not self.inner.built: self.inner.build(input_shape)`. A "
    "sublayer that comes from a config may already be built."
)


@check("LW701", "config-round-trip", requires=("LW901",))
def config_round_trip(trial: Trial) -> Finding:
    """`from_config(get_config())` rebuilds the layer, and the config can be written as JSON.

    What it proves:
        From its config, and from the same config written to JSON and read again, the class rebuilds a layer with an
        equal config. Once built, that layer has variables of the same shapes and dtypes.

    Why it matters:
        Loading, cloning, copying and hyperparameter search all rebuild layers this way. If `get_config()` forgets an
        argument, or returns an object that JSON cannot store, the trained model cannot be loaded.

    How it is tested:
        The check takes the config of a built layer and gives it to `from_config()`. It does the same after Keras has
        serialised the config and it has been written to JSON and read again. Custom classes and functions are made
        known by name for this; LW706 checks their registration. A layer whose constructor takes only plain values
        needs no `get_config()`, because Keras records them. The entry `name` is not compared; LW109 checks it.

    Exempt when:
        Never.

    References:
        keras.io, "Save, serialize, and export models", section on custom objects; keras.io, Layer API, `get_config`
        and `from_config`.
    """
    layer = build(trial, trial.construct())
    try:
        config, stored = config_of(layer), config_through_json(layer)
    except LayerError as error:
        return failed(str(error), FIX)
    try:
        twins = {
            "from_config(get_config())": rebuild(trial, layer, copy_containers(config)),
            "from_config() on the config read from JSON": rebuild(
                trial, layer, stored, "from_config() on the config read from JSON"
            ),
        }
    except LayerError as error:
        return failed(f"{error}{_describe_mismatch(type(layer), config)}", FIX)
    for how, twin in twins.items():
        if not isinstance(twin, type(layer)):
            return failed(f"{how} returned a {type(twin).__name__}; expected a {type(layer).__name__}", FIX)
        changed = describe_changes(config, config_of(twin))
        if changed:
            return failed(f"{how} returned a layer with a different config: {changed}", FIX)
    try:
        build(trial, twin)
    except LayerError as error:
        already_built = "already built" in str(error.error)
        return failed(f"after the layer was rebuilt from its config, {error}", BUILD_FIX if already_built else FIX)
    rebuilt, original = _describe_variables(twin), _describe_variables(layer)
    if rebuilt != original:
        return failed(f"the rebuilt layer has variables {rebuilt}; expected {original}", FIX)
    return passed(config=stored)


def _describe_variables(layer: Any) -> list[str]:
    return [f"{name_without_number(variable)} {tuple(variable.shape)} {variable.dtype}" for variable in layer.variables]


def _describe_mismatch(cls: type, config: Config) -> str:
    """Say which constructor arguments the config lacks, and which entries the constructor does not accept."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    keyworded = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in keyworded if p.default is p.empty and p.name not in config]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [] if takes_any else sorted(set(config) - {p.name for p in keyworded})
    words = f"; the config lacks {', '.join(missing)}" if missing else ""
    return words + (f"; the constructor does not accept {', '.join(unknown)}" if unknown else "")


def bad() -> Case:
    import keras

    class Scaling(keras.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return super().get_config()

    return Case(Scaling, init={"factor": 2.0}, inputs=(None, 5))


def good() -> Case:
    import keras

    class Scaling(keras.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    return Case(Scaling, init={"factor": 2.0}, inputs=(None, 5))
