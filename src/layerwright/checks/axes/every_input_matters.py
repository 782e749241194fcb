"""LW308 every-input-matters."""

from typing import Any

import numpy as np

from layerwright.checks.axes._influence import SHAPES_ALONE, follows_shapes_alone, replacement_samples
from layerwright.checks.axes._parts import Part, parts_without_effect
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.finding import Finding, note, passed, warned
from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.slices import spread
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

WHOLE_AXIS = slice(None)


@check("LW308", "every-input-matters", requires=("LW901", "LW210"), advisory=True)
def every_input_matters(trial: Trial) -> Finding:
    """Every input tensor, and every feature of it, has an effect.

    What it proves:
        For each tensor in the inputs and call arguments, masks included, and for each feature of float inputs, some
        replacement changes an output, a loss that the layer adds, or the layer's state.

    Why it matters:
        A call argument that is never used, a slice that is off by one and a mask that is ignored cause no error. The
        model trains, but with less information than it was given.

    How it is tested:
        Each tensor, then each feature (at most 16), is replaced in all samples, in inference and in training. Several
        draws are tried, and also values 10 and 100 times as large unless the case gives bounds, so that neither
        saturation nor a dead zone hides an effect. Weights are moved off their initial values. Features are not checked
        where every output value is 0 or equals an input value, as in cropping, slicing and max pooling, nor where
        outputs have a higher rank than inputs, as in framing a signal. Steps are not checked, because strides and crops
        drop some on purpose. If no value of any input has an effect, but their shape has, the layer is a table, such as
        one of positions, and the result is a note.

    Exempt when:
        A tensor has only one possible draw, such as a mask of shape (batch,).

    References:
        keras.io, "Understanding masking & padding"; "Making new layers and models via subclassing".
    """
    names = [name for name, _ in trial.usual.named_arrays()]
    unread = [names[place] for place, _, _ in parts_without_effect(trial, _replaceable_tensors(trial))]
    if unread and follows_shapes_alone(trial):
        return note(SHAPES_ALONE, "Nothing, if the layer is such a table. Otherwise use the values in `call`.")
    if unread:
        return warned(
            f"replacing {', '.join(unread)} changed no output, loss or state; expected some change",
            "Use it in `call`, or remove the argument. If the layer needs only its shape, declare "
            '`expect={"LW308": "the reason"}` in the case.',
            unread=unread,
        )
    features = [
        part
        for place, array in enumerate(leaves(trial.usual.inputs))
        for part in _features_to_check(trial, place, array)
    ]
    silent = [f"feature {index} of {names[place]}" for place, _, index in parts_without_effect(trial, features)]
    if silent:
        return warned(
            f"replacing {', '.join(silent)} changed no output, loss or state; expected some change",
            "Look for a slice or a reshape that drops it. If the layer leaves it out on purpose, declare "
            '`expect={"LW308": "the reason"}` in the case.',
            unread=silent,
        )
    return passed(tensors=names, features=len(features))


def _replaceable_tensors(trial: Trial) -> list[Part]:
    """Return each whole tensor that differs between two draws."""
    pairs = zip(trial.usual.arrays(), replacement_samples(trial).arrays(), strict=True)
    return [(place, 0, WHOLE_AXIS) for place, (usual, other) in enumerate(pairs) if not np.array_equal(usual, other)]


def _features_to_check(trial: Trial, place: int, array: Array) -> list[Part]:
    """Return the features of an input to check; none if the layer only selects values or no axis holds features."""
    outputs = caller(trial, False)(trial.usual)
    axis = _feature_axis(lively(trial), array)
    if axis is None or array.dtype.kind != "f" or outputs[0].ndim > array.ndim or _only_selects_values(trial, outputs):
        return []
    return [(place, axis, index) for index in spread(array.shape[axis])]


def _feature_axis(layer: Any, array: Array) -> int | None:
    """Return the axis of the features; None for images if the layer has no `data_format`."""
    layout = getattr(layer, "data_format", None)
    if array.ndim < 2 or (layout is None and array.ndim > 3):
        return None
    return 1 if layout == "channels_first" else -1


def _only_selects_values(trial: Trial, outputs: list[Array]) -> bool:
    """Whether every output value is 0 or one of the inputs' values."""
    given = np.concatenate([np.zeros(1), *(array.ravel() for array in trial.usual.arrays())])
    return all(bool(np.isin(output, given).all()) for output in outputs)


def bad() -> Case:
    import keras

    class ForgetsContext(keras.layers.Layer):
        def call(self, inputs, context):  # noqa: ARG002 - the defect that this check finds
            return keras.ops.concatenate([inputs, inputs], axis=-1)

    return Case(ForgetsContext, inputs=(None, 5), call={"context": InputSpec((None, 3))})


def good() -> Case:
    import keras

    class JoinsContext(keras.layers.Layer):
        def call(self, inputs, context):
            return keras.ops.concatenate([inputs, context], axis=-1)

    return Case(JoinsContext, inputs=(None, 5), call={"context": InputSpec((None, 3))})
