"""LW102 call."""

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
        return failed(message, _fix_for(error.error))
    tensors = [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]
    if not tensors:
        return failed(f"call returned {outputs!r}; expected a tensor", "End `call` with a `return` of the outputs.")
    foreign = [leaf for leaf in tensors if not trial.backend.is_native(leaf) and not _is_text(leaf)]
    if foreign:
        return failed(
            f"call returned {_describe_type(layer, foreign[0])}; expected a tensor of the {trial.backend.NAME} backend",
            "Compute with `keras.ops` instead of NumPy or another framework, and return tensors. Convert a "
            "`keras.Variable` with `ops.convert_to_tensor(variable)`.",
        )
    return passed(shapes=[tuple(leaf.shape) for leaf in tensors])


def _describe_type(layer: Any, value: Any) -> str:
    import keras

    if isinstance(value, keras.Variable):
        return f"the keras.Variable {attribute_path(layer, value)}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


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
