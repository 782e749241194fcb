"""LW604."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.compare import leaves
from layerwright.trial.inputs import is_bounded, is_float, specs
from layerwright.trial.policies import tensor_caller, to_float64
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial

NAMES_A_DTYPE = re.compile(r"u?int\d*|integer|long|float|half|double|dtype|\btype", re.IGNORECASE)
FIX = (
    "Cast the inputs first, ops.cast(inputs, self.compute_dtype), and take dtypes from self.compute_dtype, not from "
    "inputs.dtype; or refuse: raise a ValueError that names the dtype."
)


@check("LW604", "integer-inputs", requires=("LW901",), exempt={"stateful": True})
def integer_inputs(trial: Trial) -> Finding:
    """Whole numbers given as integers count as the same numbers given as floats, or are refused.

    What it proves:
        Fed int32 in place of float32, the layer's outputs have the same values, or it raises an error that speaks of
        types.

    Why it matters:
        Keras casts floating-point inputs to the layer's dtype and leaves integers alone. `ops.cast(x, inputs.dtype)`,
        `ops.full_like(inputs, 0.5)` and `ops.zeros_like(inputs)` then make integers of what were fractions: epsilon
        becomes 0, a mask of 0.5 becomes 0, and counts or pixels as they come from disk train on garbage.

    How it is tested:
        Float inputs are rounded to whole numbers, within the bounds of the case, and given as floats, then as int32.
        Outputs are compared by value; an output of integers, as images of bytes are resized to, may be rounded to the
        nearest. Where a layer inside is handed the integers and errs by itself, the defect is that layer's, and the
        one around it is not probed.

    Exempt when:
        The layer declares `stateful=True`; skipped where no float goes in, or none that could be a whole number.

    References:
        keras.io/api/layers/base_layer, on `autocast`; keras.io/api/ops/core, "cast function".
    """
    if not any(is_float(spec) and _has_whole_numbers(spec) for spec in specs(trial)):
        return skipped("the layer is fed no floating-point numbers that could be whole")
    floats, integers = _whole_numbers(trial)
    call = tensor_caller(trial, lively(trial))
    wanted = to_float64(call(floats))
    try:
        tensors = call(integers)
    except LayerError as error:
        if NAMES_A_DTYPE.search(str(error.error)):
            return passed(f"integers are refused: {quote(error.error, 120)}")
        return failed(f"int32 in place of float32 raised {quote(error.error)}; expected a word on the type", FIX)
    difference = _largest_difference(wanted, tensors, tolerance(trial))
    if not difference:
        return passed()
    culprit = _culprit(trial, integers)
    if culprit is not None:
        return inconclusive(
            f"{culprit.name} ({type(culprit).__name__}) inside, handed the integers, does not treat them as numbers",
            "Cast the inputs before that layer: ops.cast(inputs, self.compute_dtype).",
        )
    return failed(
        f"the same whole numbers as int32 and as float32 gave outputs that differ by up to {difference:.3g}; expected "
        "the same values, those nearest to them in an output of integers, or an error",
        FIX,
    )


def _whole_numbers(trial: Trial) -> tuple[Arguments, Arguments]:
    """Return the usual arguments with whole numbers for floats, as floats and as integers."""
    pairs = list(zip(specs(trial), trial.usual.arrays(), strict=True))
    floats = [_rounded(spec, array) if is_float(spec) else array for spec, array in pairs]
    integers = [
        array.astype("int32") if is_float(spec) and _has_whole_numbers(spec) else array
        for (spec, _), array in zip(pairs, floats, strict=True)
    ]
    return trial.usual.replace_arrays(floats), trial.usual.replace_arrays(integers)


def _rounded(spec: InputSpec, array: Array) -> Array:
    if not is_bounded(spec):
        return np.round(3 * array)
    return np.clip(np.round(array), *_bounds(spec)).astype(array.dtype) if _has_whole_numbers(spec) else array


def _has_whole_numbers(spec: InputSpec) -> bool:
    """Whether at least two whole numbers lie within the spec's bounds."""
    least, most = _bounds(spec)
    return not is_bounded(spec) or most > least


def _bounds(spec: InputSpec) -> tuple[int, int]:
    """Return the least and the largest whole number within the spec's bounds."""
    return math.ceil(spec.low or 0.0), math.ceil(1.0 if spec.high is None else spec.high) - 1


def _largest_difference(wanted: list[Array], tensors: list[Any], relative: float) -> float:
    """Return the largest difference past rounding; 0 if there is none."""
    import keras

    largest = 0.0
    for exact, integers, tensor in zip(wanted, to_float64(tensors), tensors, strict=True):
        rounding = 0.5 if "int" in keras.backend.standardize_dtype(tensor.dtype) else 0.0
        allowed = rounding + relative * max(1.0, float(np.abs(exact).max(initial=0.0)))
        difference = float(np.abs(exact - integers).max(initial=0.0))
        largest = max(largest, difference if difference > allowed else 0.0)
    return largest


def _culprit(trial: Trial, integers: Arguments) -> Any:
    """Return the first layer inside that is handed integers and errs by itself, or None."""
    import keras

    layer = lively(trial)
    with _calls() as calls:
        trial.call(layer, integers, training=False)
    for part, args, kwargs in calls:
        given = keras.tree.flatten(args)
        if part is layer or not all(keras.ops.is_tensor(each) and "int" in str(each.dtype) for each in given):
            continue
        with trial.backend.inference():
            floats = keras.tree.map_structure(lambda each: keras.ops.cast(each, "float32"), args)
            tensors, wanted = leaves(part(*args, **kwargs)), leaves(part(*floats, **kwargs))
        if _largest_difference(to_float64(wanted), tensors, tolerance(trial)):
            return part
    return None


@contextmanager
def _calls() -> Iterator[list[tuple[Any, tuple[Any, ...], dict[str, Any]]]]:
    """Keep a list of every call of a layer: the layer, what it was given in place, and by name."""
    import keras

    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
    original = keras.layers.Layer.__call__

    def recording(layer: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append((layer, args, kwargs))
        return original(layer, *args, **kwargs)

    keras.layers.Layer.__call__ = recording
    try:
        yield calls
    finally:
        keras.layers.Layer.__call__ = original


def bad() -> Case:
    return _halved(casts=False)


def good() -> Case:
    return _halved(casts=True)


def _halved(*, casts: bool) -> Case:
    import keras

    class Halved(keras.layers.Layer):
        def call(self, inputs):
            if casts:
                inputs = keras.ops.cast(inputs, self.compute_dtype)
            return inputs * keras.ops.full_like(inputs, 0.5)

    return Case(Halved, inputs=(None, 5))
