"""LW604 integer-inputs."""

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
from layerwright.trial.paths import attribute_path
from layerwright.trial.policies import tensor_caller, to_float64
from layerwright.trial.subject import lively, tolerance
from layerwright.trial.trial import Trial

NAMES_A_DTYPE = re.compile(r"u?int\d*|integer|long|float|half|double|dtype|\btype", re.IGNORECASE)
FIX = (
    "Cast the inputs first with `ops.cast(inputs, self.compute_dtype)`, and use `self.compute_dtype` instead of "
    "`inputs.dtype`. Or refuse integers: raise a ValueError that names the dtype."
)


@check("LW604", "integer-inputs", requires=("LW901",), exempt={"stateful": True})
def integer_inputs(trial: Trial) -> Finding:
    """Integer inputs give the same outputs as equal float inputs, or are refused.

    What it proves:
        With int32 inputs in place of equal float32 inputs, the outputs have the same values, or the layer raises an
        error that names the dtype.

    Why it matters:
        Keras casts floating-point inputs to the layer's dtype and leaves integers alone. `ops.cast(x, inputs.dtype)`,
        `ops.full_like(inputs, 0.5)` and `ops.zeros_like(inputs)` then turn fractions into integers. An epsilon becomes
        0, a mask of 0.5 becomes 0, and a model that is given counts or pixels as integers trains on garbage.

    How it is tested:
        Float inputs are rounded to integers within the bounds of the case, and passed once as floats and once as int32.
        Outputs are compared by value. Integer outputs, as from resizing images of bytes, may be rounded to the nearest
        integer. If a sublayer that receives the integers gives wrong values on its own, the defect is in that sublayer
        and the result is inconclusive.

    Exempt when:
        The layer declares `stateful=True`. The check is skipped if no input is a float, or if no float input can hold
        two different integers.

    References:
        keras.io/api/layers/base_layer, on `autocast`; keras.io/api/ops/core, "cast function".
    """
    if not any(is_float(spec) and _can_hold_integers(spec) for spec in specs(trial)):
        return skipped("the layer has no floating-point input that can hold integers")
    floats, integers = _integer_valued_arguments(trial)
    call = tensor_caller(trial, lively(trial))
    wanted = to_float64(call(floats))
    try:
        tensors = call(integers)
    except LayerError as error:
        if NAMES_A_DTYPE.search(str(error.error)):
            return passed(f"the layer refuses integers: {quote(error.error, 120)}")
        return failed(
            f"int32 inputs in place of float32 raised {quote(error.error)}; expected no error, or an error naming the "
            "unsupported dtype",
            FIX,
        )
    difference = _difference_beyond_rounding(wanted, tensors, tolerance(trial))
    if not difference:
        return passed()
    sublayer = _sublayer_at_fault(trial, integers)
    if sublayer is not None:
        path = attribute_path(lively(trial), sublayer)
        return inconclusive(
            f"{path} ({type(sublayer).__name__}) gives different outputs for integers and for equal floats, so the "
            "defect is in that sublayer",
            "Cast the inputs before that sublayer: `ops.cast(inputs, self.compute_dtype)`.",
        )
    return failed(
        f"int32 and float32 inputs with the same values gave outputs that differ by up to {difference:.3g}; expected "
        "equal values, except for rounding, or an error naming the unsupported dtype",
        FIX,
    )


def _integer_valued_arguments(trial: Trial) -> tuple[Arguments, Arguments]:
    """Return the usual arguments with floats rounded to integers, as floats and as int32."""
    pairs = list(zip(specs(trial), trial.usual.arrays(), strict=True))
    floats = [_rounded_within_bounds(spec, array) if is_float(spec) else array for spec, array in pairs]
    integers = [
        array.astype("int32") if is_float(spec) and _can_hold_integers(spec) else array
        for (spec, _), array in zip(pairs, floats, strict=True)
    ]
    return trial.usual.replace_arrays(floats), trial.usual.replace_arrays(integers)


def _rounded_within_bounds(spec: InputSpec, array: Array) -> Array:
    if not is_bounded(spec):
        return np.round(3 * array)
    return np.clip(np.round(array), *_integer_bounds(spec)).astype(array.dtype) if _can_hold_integers(spec) else array


def _can_hold_integers(spec: InputSpec) -> bool:
    """Whether at least two integers lie within the spec's bounds."""
    least, most = _integer_bounds(spec)
    return not is_bounded(spec) or most > least


def _integer_bounds(spec: InputSpec) -> tuple[int, int]:
    """Return the smallest and the largest integer within the spec's bounds."""
    return math.ceil(spec.low or 0.0), math.ceil(1.0 if spec.high is None else spec.high) - 1


def _difference_beyond_rounding(wanted: list[Array], tensors: list[Any], relative: float) -> float:
    """Return the largest difference that rounding does not explain; 0 if there is none."""
    import keras

    largest = 0.0
    for exact, integers, tensor in zip(wanted, to_float64(tensors), tensors, strict=True):
        rounding = 0.5 if "int" in keras.backend.standardize_dtype(tensor.dtype) else 0.0
        allowed = rounding + relative * max(1.0, float(np.abs(exact).max(initial=0.0)))
        difference = float(np.abs(exact - integers).max(initial=0.0))
        largest = max(largest, difference if difference > allowed else 0.0)
    return largest


def _sublayer_at_fault(trial: Trial, integers: Arguments) -> Any:
    """Return the first sublayer that receives integers and gives wrong values on its own, or None."""
    import keras

    layer = lively(trial)
    with _recorded_layer_calls() as calls:
        trial.call(layer, integers, training=False)
    for part, args, kwargs in calls:
        given = keras.tree.flatten(args)
        if part is layer or not all(keras.ops.is_tensor(each) and "int" in str(each.dtype) for each in given):
            continue
        with trial.backend.inference():
            floats = keras.tree.map_structure(lambda each: keras.ops.cast(each, "float32"), args)
            tensors, wanted = leaves(part(*args, **kwargs)), leaves(part(*floats, **kwargs))
        if _difference_beyond_rounding(to_float64(wanted), tensors, tolerance(trial)):
            return part
    return None


@contextmanager
def _recorded_layer_calls() -> Iterator[list[tuple[Any, tuple[Any, ...], dict[str, Any]]]]:
    """Record every call of a layer: the layer, its positional arguments and its keyword arguments."""
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
    return _halving_case(casts=False)


def good() -> Case:
    return _halving_case(casts=True)


def _halving_case(*, casts: bool) -> Case:
    import keras

    class Halved(keras.layers.Layer):
        def call(self, inputs):
            if casts:
                inputs = keras.ops.cast(inputs, self.compute_dtype)
            return inputs * keras.ops.full_like(inputs, 0.5)

    return Case(Halved, inputs=(None, 5))
