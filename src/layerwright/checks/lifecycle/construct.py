"""LW101 construct."""

import re
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

SUPER_FIRST = "Call `super().__init__(**kwargs)` first in `__init__`, before you assign anything to `self`."


@check("LW101", "construct", stage="construct", models=True)
def construct(trial: Trial) -> Finding:
    """The layer can be constructed.

    What it proves:
        The constructor accepts the case's arguments and raises no error. The result is a Keras layer whose base class
        has been initialised.

    Why it matters:
        Keras keeps weights, losses, metrics, dtype and more as read-only properties. A layer that assigns
        `self.weights` fails with an AttributeError that names neither the layer nor a solution. A layer that does not
        call `super().__init__()` fails much later, on its first call.

    How it is tested:
        The layer is constructed with the case's arguments. The finding quotes what it raises, and names the cause of
        common mistakes.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer; keras.io, "Making new layers and models via subclassing".
    """
    import keras

    try:
        layer = trial.construct()
    except LayerError as error:
        return failed(
            f"constructing {trial.case} raised {quote(error.error)}; expected no error", _fix_for(error.error)
        )
    if not isinstance(layer, keras.layers.Layer):
        return failed(
            f"{_name_of_layer(trial)} returned a {type(layer).__module__}.{type(layer).__qualname__}; expected a "
            "keras.layers.Layer",
            "Derive the class from `keras.layers.Layer`, or let the function return a new layer.",
        )
    if not hasattr(layer, "name"):
        return failed(
            f"{_name_of_layer(trial)} did not call super().__init__(); expected an initialised keras.layers.Layer",
            SUPER_FIRST,
        )
    if not isinstance(trial.case.layer, type) and trial.construct() is layer:
        return failed(
            f"{_name_of_layer(trial)} returned the same layer twice; expected a new one each time",
            "Create the layer inside the function, so that every call returns a new one.",
        )
    return passed()


def _name_of_layer(trial: Trial) -> str:
    return str(getattr(trial.case.layer, "__name__", "the case's function"))


def _fix_for(error: BaseException) -> str:
    text = str(error)
    clash = re.search(r"property '(\w+)' of .* has no setter", text)
    if clash:
        return (
            f"Give the attribute another name, such as `self.my_{clash[1]}`: `{clash[1]}` is a read-only property of "
            "`keras.layers.Layer`."
        )
    if "super().__init__" in text or "Module.__init__()" in text:
        return SUPER_FIRST
    if isinstance(error, TypeError) and "missing" in text and "required" in text:
        return "Give the missing arguments: `init={…}` in the case, or `--init name=value` on the command line."
    if "unexpected keyword argument" in text or "Unrecognized keyword arguments" in text:
        return "Compare the names in `init={…}` with the constructor's arguments."
    return "Make the constructor accept these arguments, or give the case other ones with `init={…}`."


def bad() -> Case:
    import keras

    class AssignsWeights(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.weights = [1.0, 2.0]

        def call(self, inputs):
            return inputs * self.weights[0] + self.weights[1]

    return Case(AssignsWeights, inputs=(None, 5))


def good() -> Case:
    import keras

    class AssignsCoefficients(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.coefficients = [1.0, 2.0]

        def call(self, inputs):
            return inputs * self.coefficients[0] + self.coefficients[1]

    return Case(AssignsCoefficients, inputs=(None, 5))
