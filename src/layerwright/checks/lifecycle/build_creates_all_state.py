"""LW103."""

from typing import Any

from layerwright.checks.lifecycle._state import build_as_loading_does, overrides_build
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.trial import Trial


@check("LW103", "build-creates-all-state", requires=("LW102",))
def build_creates_all_state(trial: Trial) -> Finding:
    """Once a layer is built it has all its variables; its first call makes no more.

    What it proves:
        The variables after `build()` are the variables after the first call.

    Why it matters:
        A model file restores a layer by constructing and building it, then reads the weights into the variables
        that are there. A sublayer that only `call` builds has none yet, and loading fails, or leaves its weights
        at their initial values.

    How it is tested:
        A new layer is built from the build config of one that has been called, as loading a file does, and then
        called: variables that only then appear were not made by `build`. A layer without a `build` of its own is
        built by a symbolic call instead, as Keras does for composites.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "build" and "build_from_config".
    """
    first = trial.built()
    if not first.variables:
        return passed("the layer has no variables")
    layer = trial.construct()
    if overrides_build(layer):
        try:
            build_as_loading_does(layer, first)
        except LayerError as error:
            return failed(str(error), "Let build() take the shapes it was given, or override get_build_config() too.")
        way = "build()"
    else:
        try:
            trial.symbolic_call(layer, batch=trial.batch, free=False)
        except LayerError as error:
            return inconclusive(f"{error.doing} raised {quote(error.error)}; without a build() there is no other way")
        way = "a symbolic call"
    return _compare(trial, layer, way)


def _compare(trial: Trial, layer: Any, way: str) -> Finding:
    before = {id(variable) for variable in layer.variables}
    fix = "Make all state in __init__ or build(); end build by building each sublayer: `self.inner.build(shape)`."
    try:
        trial.call(layer, trial.usual)
    except LayerError as error:
        return failed(f"after {way} alone the first call raised {quote(error.error)}", fix)
    late = [f"{variable.path} {tuple(variable.shape)}" for variable in layer.variables if id(variable) not in before]
    if late:
        return failed(
            f"{way} made {len(before)} of {len(before) + len(late)} variables; only the first call made "
            f"{', '.join(late[:4])}{' …' if late[4:] else ''}",
            fix,
            late=late,
        )
    return passed(variables=len(before))


def bad() -> Case:
    return _gated(builds_inner=False)


def good() -> Case:
    return _gated(builds_inner=True)


def _gated(*, builds_inner: bool) -> Case:
    import keras

    class Gated(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = keras.layers.Dense(5)

        def build(self, input_shape):
            self.gate = self.add_weight(shape=(5,), initializer="ones", name="gate")
            if builds_inner:
                self.inner.build(input_shape)

        def call(self, inputs):
            return self.gate * self.inner(inputs)

    return Case(Gated, inputs=(None, 5))
