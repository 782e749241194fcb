"""LW101."""

import re
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.trial import Trial

SUPER_FIRST = "Call super().__init__(**kwargs) first in __init__, before anything is assigned to self."


@check("LW101", "construct", stage="construct")
def construct(trial: Trial) -> Finding:
    """The layer can be constructed.

    What it proves:
        The constructor takes the case's arguments, raises nothing and leaves a Keras layer with its base set up.

    Why it matters:
        Keras keeps weights, losses, metrics, dtype and more as read-only properties. A layer that assigns
        `self.weights` fails with an AttributeError that names neither the layer nor a way out; one that forgets
        `super().__init__()` fails much later, when it is first called.

    How it is tested:
        The layer is constructed with the case's arguments; what it raises is quoted, and the usual mistakes are named.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer; keras.io, "Making new layers and models via subclassing".
    """
    import keras

    try:
        layer = trial.construct()
    except LayerError as error:
        return failed(f"constructing {trial.case} raised {quote(error.error)}", _advice(error.error))
    if not isinstance(layer, keras.layers.Layer):
        return failed(
            f"{_name(trial)} gave a {type(layer).__module__}.{type(layer).__qualname__}; expected a keras.layers.Layer",
            "Derive the class from keras.layers.Layer, or let the function return a new layer.",
        )
    if not hasattr(layer, "name"):
        return failed(f"{_name(trial)} was constructed without its base: super().__init__() never ran", SUPER_FIRST)
    if not isinstance(trial.case.layer, type) and trial.construct() is layer:
        return failed(f"{_name(trial)} gave the same layer twice", "Let the function return a new layer each time.")
    return passed()


def _name(trial: Trial) -> str:
    return str(getattr(trial.case.layer, "__name__", "the case's function"))


def _advice(error: BaseException) -> str:
    said = str(error)
    clash = re.search(r"property '(\w+)' of .* has no setter", said)
    if clash:
        return (
            f"keras.layers.Layer keeps `{clash[1]}` as a read-only property: give the attribute another name, "
            f"such as `self.my_{clash[1]}`."
        )
    if "super().__init__" in said or "Module.__init__()" in said:
        return SUPER_FIRST
    if isinstance(error, TypeError) and "missing" in said and "required" in said:
        return "Give the missing arguments: init={…} of the case, or --init name=value on the command line."
    if "unexpected keyword argument" in said or "Unrecognized keyword arguments" in said:
        return "Check the names in init={…} against the constructor's arguments."
    return "Make the constructor work with these arguments, or give the case the arguments it needs as init={…}."


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
