"""LW109 base-arguments."""

from collections.abc import Iterator
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, note, passed, skipped
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial

NAME = "custom_name"


@check("LW109", "base-arguments", requires=("LW102",))
def base_arguments(trial: Trial) -> Finding:
    """The arguments that every layer takes, `name`, `dtype` and `trainable`, have their effect.

    What it proves:
        Constructed with `name=…`, the layer has that name. Constructed with `dtype=…`, it has that dtype policy.
        Constructed with `trainable=False`, it has no trainable variables.

    Why it matters:
        Keras saves all three in every config and passes them to the constructor on loading. If the constructor refuses
        them, the layer cannot be loaded. If it ignores them, a frozen layer comes back as a trainable one.

    How it is tested:
        The layer is constructed once with each argument, and the attribute is read back. The frozen layer is called
        first. If the constructor refuses an argument, the check fails only if the layer's own config contains it.

    Exempt when:
        The case creates its layer with a function, not a class. `dtype` is not checked if the layer does not compute in
        a floating-point dtype, or refuses the requested dtype with a ValueError.

    References:
        keras.io/api/layers/base_layer.
    """
    if not isinstance(trial.case.layer, type):
        return skipped("the case creates its layer with a function, which need not accept the arguments of a layer")
    frozen, refusals = _construct_with(trial, "trainable", False)
    problems = [
        *_problems_with_name(trial),
        *_problems_with_dtype(trial),
        *refusals,
        *_problems_with_trainable(trial, frozen),
    ]
    if problems:
        return failed(
            "; ".join(problems),
            "Accept `**kwargs` in `__init__` and pass them on: `super().__init__(**kwargs)`.",
            problems=problems,
        )
    return _note_on_sublayers(frozen) or passed()


def _problems_with_name(trial: Trial) -> Iterator[str]:
    layer, problems = _construct_with(trial, "name", NAME)
    yield from problems
    if layer is not None and layer.name != NAME:
        yield f"constructed with name={NAME!r}, the layer has the name {layer.name!r}"


def _problems_with_dtype(trial: Trial) -> Iterator[str]:
    usual = trial.construct()
    if "float" not in str(usual.compute_dtype):
        return
    wanted = "float16" if usual.dtype_policy.name == "mixed_bfloat16" else "mixed_bfloat16"
    layer, problems = _construct_with(trial, "dtype", wanted)
    yield from problems
    if layer is not None and layer.dtype_policy.name != wanted:
        yield f"constructed with dtype={wanted!r}, the layer has the dtype policy {layer.dtype_policy.name!r}"


def _problems_with_trainable(trial: Trial, frozen: Any) -> Iterator[str]:
    if frozen is None:
        return
    trial.call(frozen, trial.usual)
    if frozen.trainable_variables:
        yield (
            f"constructed with trainable=False, the layer has trainable={frozen.trainable}, and "
            f"{len(frozen.trainable_variables)} of {len(frozen.variables)} variables are trainable; expected none"
        )


def _note_on_sublayers(frozen: Any) -> Finding | None:
    """Return a note if a model would still train the sublayers of the frozen layer.

    A model asks each variable, not the layer, whether it is trainable.
    """
    variables = [variable for variable in frozen.variables if variable.trainable] if frozen is not None else []
    if not variables:
        return None
    paths = ", ".join(attribute_path(frozen, variable) for variable in variables[:2])
    return note(
        f"trainable=False freezes the layer, but a model that contains it still trains {len(variables)} variables of "
        f"its sublayers ({paths}{', …' if variables[2:] else ''}): Keras does not pass the argument on to sublayers",
        "Pass it on at the end of `__init__`, after the sublayers are created: `self.trainable = self.trainable`.",
    )


def _construct_with(trial: Trial, argument: str, value: Any) -> tuple[Any, list[str]]:
    """Construct the layer with the argument. Return the layer or None, and the problems with a refusal."""
    try:
        return trial.construct(**{argument: value}), []
    except LayerError as error:
        is_deliberate = argument == "dtype" and isinstance(error.error, ValueError)
        if is_deliberate or not _config_contains(trial.construct(), argument):
            return None, []
        raised = quote(error.error, 120)
        return None, [f"get_config() contains {argument!r}, but the constructor refused {argument}={value!r}: {raised}"]


def _config_contains(layer: Any, argument: str) -> bool:
    try:
        return argument in layer.get_config()
    # The checks of the saving family report a layer without a config.
    except Exception:
        return True


def bad() -> Case:
    return _offset_case(keeps_trainable=False)


def good() -> Case:
    return _offset_case(keeps_trainable=True)


def _offset_case(*, keeps_trainable: bool) -> Case:
    import keras

    class Offset(keras.layers.Layer):
        def __init__(self, trainable: bool = True, **kwargs: Any) -> None:
            super().__init__(trainable=trainable if keeps_trainable else True, **kwargs)

        def build(self, input_shape):
            self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

        def call(self, inputs):
            return inputs + self.offset

    return Case(Offset, inputs=(None, 5))
