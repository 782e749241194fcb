"""LW102 call."""

import inspect
import linecache
import re
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import describe
from layerwright.trial.paths import attribute_path
from layerwright.trial.trial import Trial


@check("LW102", "call", requires=("LW101",), stage="call", models="call")
def call(trial: Trial) -> Finding:
    """The layer can be called on the case's inputs, and returns tensors of the current backend.

    What it proves:
        The first call raises no error. Its outputs contain at least one tensor, and nothing but tensors (an optional
        output may be None).

    Why it matters:
        TensorFlow and NumPy functions accept JAX arrays and torch tensors, and return tensors of their own. The layer
        seems to work, but it has no gradient, cannot be compiled and breaks the next layer. If a `return` is missing,
        the result is None.

    How it is tested:
        The layer is constructed and called eagerly, and the type of every leaf of its outputs is checked. Text may come
        as any array, because JAX and torch have no text tensors.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "call method"; keras.io/guides/migrating_to_keras_3, on replacing TensorFlow
        functions by keras.ops.
    """
    import keras

    layer = trial.construct()
    try:
        outputs = trial.call_raw(layer, trial.usual)
    except LayerError as error:
        message = f"calling the layer on {describe(trial.usual)} raised {quote(error.error)}; expected no error"
        return failed(message, _tensorflow_fix(trial, layer, error.error) or _fix_for(error.error))
    tensors = [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]
    if not tensors:
        return failed(f"call returned {outputs!r}; expected a tensor", "End `call` with a `return` of the outputs.")
    foreign = [leaf for leaf in tensors if not trial.backend.is_native(leaf) and not _is_text(leaf)]
    if foreign:
        return failed(
            f"call returned {_describe_type(layer, foreign[0])}; expected a tensor of the {trial.backend.NAME} backend",
            _tensorflow_fix(trial, layer, foreign[0])
            or "Compute with `keras.ops` instead of NumPy or another framework, and return tensors. Convert a "
            "`keras.Variable` with `ops.convert_to_tensor(variable)`.",
        )
    return passed(shapes=[tuple(leaf.shape) for leaf in tensors])


def _describe_type(layer: Any, value: Any) -> str:
    import keras

    if isinstance(value, keras.Variable):
        return f"the keras.Variable {attribute_path(layer, value)}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def _tensorflow_fix(trial: Trial, layer: Any, seen: Any) -> str:
    """Return the advice for a layer that calls TensorFlow on another backend; empty if that is not what went wrong.

    Args:
        trial: The trial.
        layer: The layer.
        seen: What the layer returned, or the exception that it raised.
    """
    if trial.backend.NAME == "tensorflow":
        return ""
    kinds = {type(seen).__module__.partition(".")[0]}
    call = ""
    if isinstance(seen, BaseException):
        for frame, line in traceback.walk_tb(seen.__traceback__):
            kinds.add(frame.f_globals.get("__name__", "").partition(".")[0])
            here = _tensorflow_call(linecache.getline(frame.f_code.co_filename, line), frame.f_globals)
            call = here or call
        if "EagerTensor" in str(seen) or "tf.Tensor" in str(seen):
            kinds.add("tensorflow")
    if "tensorflow" not in kinds:
        return ""
    call = call or _tensorflow_call_in(type(layer))
    named = f"calls `{call}`" if call else "calls TensorFlow"
    return (
        f"The layer {named}, and TensorFlow computes with tensors of its own. Use the function of `keras.ops` instead. "
        "If the layer is meant for TensorFlow only, say so in the case: "
        f"`unsupported={{{trial.backend.NAME!r}: 'uses TensorFlow'}}`."
    )


def _tensorflow_call_in(kind: type) -> str:
    """Return the first TensorFlow function that a method of the class calls, such as `tf.matmul`."""
    methods = [vars(kind).get("call"), *vars(kind).values()]
    for method in filter(inspect.isfunction, methods):
        with suppress(OSError, TypeError):
            found = _tensorflow_call(inspect.getsource(method), method.__globals__)
            if found:
                return found
    return ""


def _tensorflow_call(source: str, names: Mapping[str, Any]) -> str:
    """Return the first call of a function of TensorFlow in a piece of source, given the names that it can use."""
    for found in re.finditer(r"\b(\w+)(?:\.\w+)+(?=\()", source):
        module = getattr(names.get(found[1]), "__name__", "")
        if module == "tensorflow" and not found[0].startswith(f"{found[1]}.keras."):
            return found[0]
    return ""


def _is_text(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", "") in ("U", "S", "O") or getattr(dtype, "name", "") == "string"


def _fix_for(error: BaseException) -> str:
    text = str(error)
    if "cannot add new elements of state" in text:
        return "Create variables and sublayers in `__init__` or `build(input_shape)`, not in `call`."
    if "super().__init__" in text:
        return "Call `super().__init__(**kwargs)` first in `__init__`."
    # The default `keras.layers.Layer.call` raises this.
    if isinstance(error, NotImplementedError):
        return "Define `call(self, inputs)` in the class."
    if isinstance(error, TypeError) and "missing a required argument" in text:
        return "Give the case the missing call arguments: `call={name: InputSpec(…)}`."
    return (
        "If the layer is meant for other inputs, give their shapes: `inputs=…` in the case, or `--input` on the "
        "command line. Otherwise run this call by hand and follow its traceback."
    )


def bad() -> Case:
    import keras
    import numpy as np

    class CentresWithNumpy(keras.layers.Layer):
        def call(self, inputs):
            values = keras.ops.convert_to_numpy(inputs)
            return values - np.mean(values, axis=-1, keepdims=True)

    return Case(CentresWithNumpy, inputs=(None, 5))


def good() -> Case:
    import keras

    class Centres(keras.layers.Layer):
        def call(self, inputs):
            return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)

    return Case(Centres, inputs=(None, 5))
