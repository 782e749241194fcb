"""LW102."""

from typing import Any

from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.arguments import describe
from layerwright.trial.trial import Trial


@check("LW102", "call", requires=("LW101",), stage="call")
def call(trial: Trial) -> Finding:
    """The layer can be called on the case's inputs, and returns tensors of the backend in use.

    What it proves:
        A first call raises nothing, and its outputs hold at least one tensor and nothing but tensors (an optional
        output may be None).

    Why it matters:
        TensorFlow and NumPy functions take JAX arrays and torch tensors without complaint, and return tensors of
        their own: the layer seems to work, but has no gradient, cannot be compiled and breaks whatever comes next.
        A forgotten `return` gives None.

    How it is tested:
        The layer is constructed and called eagerly; the type of every leaf of what it returns is looked at. Text,
        for which JAX and torch have no tensors, may come as any array.

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
        message = f"calling it on {describe(trial.usual)} raised {quote(error.error)}"
        return failed(message, _advice(error.error))
    tensors = [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]
    if not tensors:
        return failed(f"call returned {outputs!r}; expected a tensor", "End call with `return` and the outputs.")
    foreign = [leaf for leaf in tensors if not trial.backend.is_native(leaf) and not _is_text(leaf)]
    if foreign:
        return failed(
            f"call returned {_kind(foreign[0])} on the {trial.backend.NAME} backend; expected a tensor of that backend",
            "Compute with keras.ops instead of NumPy or a framework of its own, and return tensors: for a "
            "keras.Variable, ops.convert_to_tensor(variable).",
        )
    return passed(shapes=[tuple(leaf.shape) for leaf in tensors])


def _kind(value: Any) -> str:
    import keras

    if isinstance(value, keras.Variable):
        return f"the keras.Variable {value.path!r} itself"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def _is_text(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", "") in ("U", "S", "O") or getattr(dtype, "name", "") == "string"


def _advice(error: BaseException) -> str:
    said = str(error)
    if "cannot add new elements of state" in said:
        return "Create variables and sublayers in __init__ or build(input_shape), not in call."
    if "super().__init__" in said:
        return "Call super().__init__(**kwargs) first in __init__."
    if isinstance(error, NotImplementedError):  # what keras.layers.Layer.call raises
        return "Define `call(self, inputs)` on the layer."
    if isinstance(error, TypeError) and "missing a required argument" in said:
        return "Give the case the further call arguments: call={name: InputSpec(…)}."
    return (
        "If the layer is meant for other inputs, give their shapes (inputs=… of the case, --input on the command "
        "line); else run this call by hand and follow its traceback."
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
