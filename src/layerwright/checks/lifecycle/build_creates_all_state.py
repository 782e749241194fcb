"""LW103 build-creates-all-state."""

from typing import Any

from layerwright.checks.lifecycle._state import build_as_loading_does, overrides_build
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial


@check("LW103", "build-creates-all-state", requires=("LW102",))
def build_creates_all_state(trial: Trial) -> Finding:
    """A built layer has all its variables; its first call creates no more.

    What it proves:
        The variables after `build()` are the same as after the first call.

    Why it matters:
        To load a layer from a file, Keras constructs it, builds it, and reads the weights into its variables. If a
        sublayer is built only by `call`, its variables do not exist yet: loading fails, or leaves them at their initial
        values.

    How it is tested:
        A new layer is built from the build config of a layer that has been called, as in loading a file. Then it is
        called. Variables that appear only in that call were not created by `build`. A layer that does not define
        `build` is built by a symbolic call instead, as Keras does for composite layers.

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
            return failed(
                f"{error}; expected no error",
                "Make `build()` accept the shapes from `get_build_config()`, or override that method too.",
            )
        way = "build()"
    else:
        try:
            trial.symbolic_call(layer, batch=trial.batch, free=False)
        except LayerError as error:
            return inconclusive(
                f"{error.doing} raised {quote(error.error)}; a layer without build() cannot be built in another way"
            )
        way = "a symbolic call"
    return _compare_variables_before_and_after_call(trial, layer, way)


def _compare_variables_before_and_after_call(trial: Trial, layer: Any, way: str) -> Finding:
    before = {id(variable) for variable in layer.variables}
    fix = (
        "Create all state in `__init__` or `build()`, and let `build()` build each sublayer: `self.inner.build(shape)`."
    )
    try:
        trial.call(layer, trial.usual)
    except LayerError as error:
        return failed(f"after {way}, the first call raised {quote(error.error)}; expected no error", fix)
    late = [
        f"{attribute_path(layer, variable)} {tuple(variable.shape)}"
        for variable in layer.variables
        if id(variable) not in before
    ]
    if late:
        return failed(
            f"{way} created {len(before)} of {len(before) + len(late)} variables; expected all, but only the first "
            f"call created {', '.join(late[:4])}{', …' if late[4:] else ''}",
            fix,
            late=late,
        )
    return passed(variables=len(before))


def bad() -> Case:
    return _gated_case(builds_inner=False)


def good() -> Case:
    return _gated_case(builds_inner=True)


def _gated_case(*, builds_inner: bool) -> Case:
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
