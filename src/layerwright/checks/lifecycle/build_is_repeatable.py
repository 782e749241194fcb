"""LW107 build-is-repeatable."""

from typing import Any

from layerwright.checks.lifecycle._state import build_as_loading_does, config_text, outputs_changed, overrides_build
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, note, passed, skipped
from layerwright.trial.compare import bitwise_equal, leaves
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial, randomise, snapshot


@check("LW107", "build-is-repeatable", requires=("LW901",))
def build_is_repeatable(trial: Trial) -> Finding:
    """A second build changes nothing, and inputs of another size do not mix samples.

    What it proves:
        A second `build()` with the same shape is refused, or leaves variables, outputs and config unchanged. Called on
        twice as many features, the built layer raises an error or returns one row per sample.

    Why it matters:
        Keras may build a layer again, for example when it loads a file or when a parent builds its sublayers. A `build`
        that rescales an attribute or assigns a weight then destroys what was trained. If `build` stores a size and
        `call` reshapes to it, additional features are folded into the batch axis.

    How it is tested:
        The weights of a layer that has been called are moved off their initial values, and it is built again from its
        build config. Its variables are compared one by one, its outputs bit by bit and its config as text. If the
        second build raised an error, as Keras does for new state, a change is reported only as a note. Last, the layer
        is called on twice as many features.

    Exempt when:
        The class does not define `build`. The last part is only a note if the inputs were inferred. It is left out if
        the layer declares `fixed_shape=True`, or does not take a single floating-point tensor.

    References:
        keras.io/api/layers/base_layer, "build method", "build_from_config".
    """
    layer = trial.built()
    if not overrides_build(layer):
        return skipped("the layer does not define build()")
    randomise(layer)
    outputs, config, variables = trial.call(layer, trial.usual), config_text(layer), snapshot(layer.variables)
    refusal = ""
    try:
        build_as_loading_does(layer, layer)
    except LayerError as error:
        refusal = quote(error.error)
    changes = _changed_variables(layer, variables)
    changes += _changed_outputs(trial, layer, outputs)
    if config is not None and config_text(layer) != config:
        changes.append("get_config()")
    if changes and not refusal:
        return failed(
            f"a second build with the same shape changed {', '.join(changes[:4])}; expected no change",
            "Let `build()` only create state. Compute values from constructor arguments and `input_shape`, never from "
            "values of an earlier build, and set weights with initializers.",
        )
    if changes:
        return note(
            f"a second build was refused ({refusal}), but before that it changed {', '.join(changes[:4])}",
            "Set attributes to `None` or `[]` in `__init__` instead of `build()`, and assign them once.",
        )
    return _samples_mixed_at_other_size(trial, layer, outputs) or passed(refusal=refusal)


def _changed_variables(layer: Any, variables: list[tuple[Any, Any]]) -> list[str]:
    now = snapshot(layer.variables)
    if [id(variable) for variable, _ in now] != [id(variable) for variable, _ in variables]:
        return [f"layer.variables ({len(variables)} variables before, {len(now)} other ones after)"]
    pairs = zip(variables, now, strict=True)
    return [attribute_path(layer, variable) for (variable, old), (_, new) in pairs if not bitwise_equal(old, new)]


def _changed_outputs(trial: Trial, layer: Any, outputs: Any) -> list[str]:
    try:
        changed = outputs_changed(trial, layer, outputs)
    except LayerError as error:
        return [f"the next call, which raised {quote(error.error, 120)}"]
    return ["the outputs on the same inputs"] if changed else []


def _samples_mixed_at_other_size(trial: Trial, layer: Any, outputs: Any) -> Finding | None:
    spec = trial.case.inputs
    single = isinstance(spec, InputSpec) and len(spec.shape) > 1 and "float" in spec.dtype and not trial.usual.tensors
    if not single or trial.case.traits.fixed_shape:
        return None
    size = trial.usual.inputs.shape[-1]
    wider = trial.arguments_of(lambda spec: (*trial.shape_of(spec, trial.batch)[:-1], 2 * size))
    try:
        others = leaves(trial.call(layer, wider))
    except LayerError:
        return None
    for usual, other in zip(leaves(outputs), others, strict=False):
        if usual.shape[:1] == (wider.batch,) and other.shape[:1] != (wider.batch,):
            is_claimed = "inputs" not in trial.case.inferred
            return (failed if is_claimed else note)(
                f"built for {size} features and called on {tuple(wider.inputs.shape)}, the layer returned shape "
                f"{other.shape}; expected an error or {wider.batch} rows",
                "Refuse other sizes: in `build`, set `self.input_spec = keras.layers.InputSpec(axes={-1: "
                "input_shape[-1]})`.",
            )
    return None


def bad() -> Case:
    return _scaled_case("self.scale *= dim ** -0.5")


def good() -> Case:
    return _scaled_case("self.scale = dim ** -0.5")


def _scaled_case(rule: str) -> Case:
    import keras

    class Scaled(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scale = 1.0

        def build(self, input_shape):
            before = self.scale if "*=" in rule else 1.0
            self.scale = before * input_shape[-1] ** -0.5

        def call(self, inputs):
            return inputs * self.scale

    return Case(Scaled, inputs=(None, 5))
