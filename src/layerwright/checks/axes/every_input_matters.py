"""LW308."""

from typing import Any

import numpy as np

from layerwright.checks.axes._influence import other_samples
from layerwright.checks.axes._parts import Part, silent_parts
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, warned
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.slices import spread
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

WHOLE = slice(None)


@check("LW308", "every-input-matters", requires=("LW901",), advisory=True)
def every_input_matters(trial: Trial) -> Finding:
    """Every input tensor, and every feature of it, moves some output.

    What it proves:
        For each tensor in the inputs and in the call arguments, masks included, and for each feature of float inputs:
        some replacement of it changes an output, a loss that the layer adds, or the layer's state.

    Why it matters:
        An argument that is accepted and then forgotten, a slice that is off by one and a mask that no one reads all
        look as if they worked. The model trains, with less than it was given.

    How it is tested:
        Each tensor, then each feature (16 at most) is replaced in all samples, in inference and in training, by
        several draws and, where no bounds are given, at 10 and 100 times the size, so that neither saturation nor a
        dead zone hides it. Weights are off their initial values. Features are judged where the layer computes: not
        where every output value is one of the inputs' values or 0, as in cropping, slicing and max pooling, nor
        where outputs have a higher rank than inputs, as in framing a signal. Steps are not judged: to drop some is
        what strides and crops are for.

    Exempt when:
        A tensor has no other draw, as a mask of shape (batch,).

    References:
        keras.io, "Understanding masking & padding"; "Making new layers and models via subclassing".
    """
    names = [name for name, _ in trial.usual.named_arrays()]
    unread = [names[place] for place, _, _ in silent_parts(trial, _tensors(trial))]
    if unread:
        return warned(
            f"replacing {', '.join(unread)} moved no output, in inference or in training",
            "Use it in call(), or drop the argument; if only its shape is meant to count, expect this finding.",
            unread=unread,
        )
    features = [
        part for place, array in enumerate(leaves(trial.usual.inputs)) for part in _features(trial, place, array)
    ]
    silent = [f"feature {index} of {names[place]}" for place, _, index in silent_parts(trial, features)]
    if silent:
        return warned(
            f"replacing {', '.join(silent)} moved no output, in inference or in training",
            "Look for a slice or a reshape that loses it; if it is left out on purpose, expect this finding.",
            unread=silent,
        )
    return passed(tensors=names, features=len(features))


def _tensors(trial: Trial) -> list[Part]:
    """Return each tensor, whole, that another draw changes."""
    pairs = zip(trial.usual.arrays(), other_samples(trial).arrays(), strict=True)
    return [(place, 0, WHOLE) for place, (usual, other) in enumerate(pairs) if not np.array_equal(usual, other)]


def _features(trial: Trial, place: int, array: Array) -> list[Part]:
    """Return the features of an input to judge; none where the layer only selects, or where no axis is features."""
    outputs = caller(trial, False)(trial.usual)
    axis = _feature_axis(lively(trial), array)
    if axis is None or array.dtype.kind != "f" or outputs[0].ndim > array.ndim or _selects(trial, outputs):
        return []
    return [(place, axis, index) for index in spread(array.shape[axis])]


def _feature_axis(layer: Any, array: Array) -> int | None:
    """Return which axis holds features; None for images of a layer that does not say so in `data_format`."""
    layout = getattr(layer, "data_format", None)
    if array.ndim < 2 or (layout is None and array.ndim > 3):
        return None
    return 1 if layout == "channels_first" else -1


def _selects(trial: Trial, outputs: list[Array]) -> bool:
    """Whether every output value is 0 or one of the inputs' values."""
    given = np.concatenate([np.zeros(1), *(array.ravel() for array in trial.usual.arrays())])
    return all(bool(np.isin(output, given).all()) for output in outputs)


def bad() -> Case:
    import keras

    class ForgetsContext(keras.layers.Layer):
        def call(self, inputs, context):  # noqa: ARG002 - that is what is wrong with it
            return keras.ops.concatenate([inputs, inputs], axis=-1)

    return Case(ForgetsContext, inputs=(None, 5), call={"context": InputSpec((None, 3))})


def good() -> Case:
    import keras

    class JoinsContext(keras.layers.Layer):
        def call(self, inputs, context):
            return keras.ops.concatenate([inputs, context], axis=-1)

    return Case(JoinsContext, inputs=(None, 5), call={"context": InputSpec((None, 3))})
