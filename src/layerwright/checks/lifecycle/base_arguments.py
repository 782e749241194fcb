"""LW109."""

from collections.abc import Iterator
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, note, passed, skipped
from layerwright.trial.trial import Trial

NAME = "a_name_of_its_own"


@check("LW109", "base-arguments", requires=("LW102",))
def base_arguments(trial: Trial) -> Finding:
    """The arguments that every layer takes, `name`, `dtype` and `trainable`, act.

    What it proves:
        A layer constructed with `name=…` has that name, with `dtype=…` that dtype policy, and with `trainable=False`
        has no trainable variables.

    Why it matters:
        Keras puts all three into every config and passes them back in loading. A constructor that refuses them cannot
        be restored from a file; one that swallows them brings a frozen layer back as one that trains.

    How it is tested:
        The layer is constructed once with each argument, and the attribute is read back; the frozen one is called
        first. To refuse an argument is a failure only if the layer's own config holds it.

    Exempt when:
        The case makes its layer by a function, not a class. The dtype: the layer computes in another than a floating
        type, or refuses the one asked for with a ValueError.

    References:
        keras.io/api/layers/base_layer.
    """
    if not isinstance(trial.case.layer, type):
        return skipped("the case makes its layer by a function, whose arguments are not the layer's")
    frozen, refusals = _constructed(trial, "trainable", False)
    problems = [*_name(trial), *_dtype(trial), *refusals, *_trainable(trial, frozen)]
    if problems:
        return failed(
            "; ".join(problems),
            "Take **kwargs in __init__ and pass them on: super().__init__(**kwargs).",
            problems=problems,
        )
    return _remark(frozen) or passed()


def _name(trial: Trial) -> Iterator[str]:
    layer, problems = _constructed(trial, "name", NAME)
    yield from problems
    if layer is not None and layer.name != NAME:
        yield f"name={NAME!r} gave layer.name == {layer.name!r}"


def _dtype(trial: Trial) -> Iterator[str]:
    usual = trial.construct()
    if "float" not in str(usual.compute_dtype):
        return
    wanted = "float16" if usual.dtype_policy.name == "mixed_bfloat16" else "mixed_bfloat16"
    layer, problems = _constructed(trial, "dtype", wanted)
    yield from problems
    if layer is not None and layer.dtype_policy.name != wanted:
        yield f"dtype={wanted!r} gave the dtype policy {layer.dtype_policy.name!r}"


def _trainable(trial: Trial, frozen: Any) -> Iterator[str]:
    if frozen is None:
        return
    trial.call(frozen, trial.usual)
    if frozen.trainable_variables:
        yield (
            f"trainable=False gave layer.trainable == {frozen.trainable} and left {len(frozen.trainable_variables)} of "
            f"{len(frozen.variables)} variables trainable"
        )


def _remark(frozen: Any) -> Finding | None:
    """Say so if a model would train the frozen layer's sublayers: it asks each variable, and not the layer."""
    still = [variable.path for variable in frozen.variables if variable.trainable] if frozen is not None else []
    if not still:
        return None
    return note(
        f"trainable=False freezes the layer, but a model that holds it still trains {len(still)} variables of its "
        f"sublayers ({', '.join(still[:2])}{', …' if still[2:] else ''}): Keras does not pass the argument on",
        "Once __init__ has made the sublayers, pass it on: `self.trainable = self.trainable`.",
    )


def _constructed(trial: Trial, argument: str, value: Any) -> tuple[Any, list[str]]:
    """Construct the layer with the argument. Return it, or None and what is wrong with the refusal, if anything is."""
    try:
        return trial.construct(**{argument: value}), []
    except LayerError as error:
        meant = argument == "dtype" and isinstance(error.error, ValueError)
        if meant or not _config_holds(trial.construct(), argument):
            return None, []
        return None, [f"get_config() holds {argument!r}, but {argument}={value!r} raised {quote(error.error, 120)}"]


def _config_holds(layer: Any, argument: str) -> bool:
    try:
        return argument in layer.get_config()
    except Exception:  # whether there is a config is for the checks of the saving family to say
        return True


def bad() -> Case:
    return _offset(keeps_trainable=False)


def good() -> Case:
    return _offset(keeps_trainable=True)


def _offset(*, keeps_trainable: bool) -> Case:
    import keras

    class Offset(keras.layers.Layer):
        def __init__(self, trainable: bool = True, **kwargs: Any) -> None:
            super().__init__(trainable=trainable if keeps_trainable else True, **kwargs)

        def build(self, input_shape):
            self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

        def call(self, inputs):
            return inputs + self.offset

    return Case(Offset, inputs=(None, 5))
