"""LW701."""

import inspect
from typing import Any

from layerwright.checks.saving._config import Config, changes, config_of, copied, file_config, revive
from layerwright.checks.saving._variants import plain_name
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.models import build
from layerwright.trial.trial import Trial

FIX = (
    "Return from get_config() everything that the constructor needs, {**super().get_config(), 'units': self.units, …}, "
    "as numbers, strings, booleans, lists and what keras.saving.serialize_keras_object gives; take **kwargs in the "
    "constructor and pass it to super().__init__(); turn serialised inner objects back in from_config()."
)
BUILD_FIX = (
    "In build(), build an inner layer only `if not self.inner.built`: out of a config it may come built already."
)


@check("LW701", "config-round-trip", requires=("LW901",))
def config_round_trip(trial: Trial) -> Finding:
    """`from_config(get_config())` builds the same layer, and the config is JSON.

    What it proves:
        The layer's class makes of the config, as it is and as it comes back out of a JSON file, a layer with an equal
        config and, once built, with variables of the same shapes and dtypes.

    Why it matters:
        Files, clones, copies and hyperparameter searches all rebuild layers this way. An argument that get_config()
        forgot, or an object that JSON cannot hold, shows when the trained model cannot be loaded.

    How it is tested:
        The config is taken from a layer that has been built, serialised by Keras, written to JSON, read, and given to
        from_config(); once more without the detour. The class itself, inner layers and functions of the user's own
        can be found by name meanwhile: registration is LW706's. A layer whose constructor takes plain values needs no
        get_config(): Keras records them. The entry `name` is not compared: LW109 looks at it.

    Exempt when:
        Never.

    References:
        keras.io, "Save, serialize, and export models", the section on custom objects; keras.io, Layer API,
        get_config and from_config.
    """
    layer = build(trial, trial.construct())
    try:
        config, stored = config_of(layer), file_config(layer)
    except LayerError as error:
        return failed(str(error), FIX)
    try:
        twins = {
            "from_config(get_config())": revive(trial, layer, copied(config)),
            "from_config() on the config read from JSON": revive(
                trial, layer, stored, "from_config() on the config read from JSON"
            ),
        }
    except LayerError as error:
        return failed(f"{error}{_mismatch(type(layer), config)}", FIX)
    for how, twin in twins.items():
        if not isinstance(twin, type(layer)):
            return failed(f"{how} made a {type(twin).__name__}, not a {type(layer).__name__}", FIX)
        lost = changes(config, config_of(twin))
        if lost:
            return failed(f"{how} made a layer with another config: {lost}", FIX)
    try:
        build(trial, twin)
    except LayerError as error:
        already_built = "already built" in str(error.error)
        return failed(f"in the layer rebuilt from its config as JSON, {error}", BUILD_FIX if already_built else FIX)
    if _variables(twin) != _variables(layer):
        return failed(f"the rebuilt layer has variables {_variables(twin)}, the layer {_variables(layer)}", FIX)
    return passed(config=stored)


def _variables(layer: Any) -> list[str]:
    return [f"{plain_name(variable)} {tuple(variable.shape)} {variable.dtype}" for variable in layer.variables]


def _mismatch(cls: type, config: Config) -> str:
    """Say which arguments of the constructor the config lacks, and which entries the constructor does not take."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    keyworded = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in keyworded if p.default is p.empty and p.name not in config]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [] if takes_any else sorted(set(config) - {p.name for p in keyworded})
    words = f"; the config lacks {', '.join(missing)}" if missing else ""
    return words + (f"; the constructor does not take {', '.join(unknown)}" if unknown else "")


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
