"""Shapes and dtypes of a layer's outputs: as computed eagerly, as traced, and as declared symbolically."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from layerwright.trial.arguments import Arguments
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Spec:
    """The shape and dtype of one output. None in a shape means an unknown size."""

    shape: Shape
    dtype: str

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


def output_specs(outputs: Any) -> list[Spec]:
    """Return the spec of each tensor in an output structure, in order. None and other values are left out."""
    import keras

    tensors = [leaf for leaf in keras.tree.flatten(outputs) if hasattr(leaf, "shape") and hasattr(leaf, "dtype")]
    return [Spec(tuple(leaf.shape), _dtype_name(leaf)) for leaf in tensors]


def output_specs_at(trial: Trial, arguments: Arguments) -> list[Spec]:
    """Return the specs of the layer's outputs for these arguments, in inference.

    JAX fixes every shape when it traces, so a trace gives the specs there without compiling anything.

    Raises:
        LayerError: If the layer raises.
    """
    call = caller(trial, False)
    if trial.backend.NAME != "jax":
        return output_specs(call(arguments))
    try:
        return traced_output_specs(trial, lively(trial), arguments)
    # A layer may raise anything under a trace. An eager call either works or raises a clear error.
    except Exception:
        return output_specs(call(arguments))


def traced_output_specs(trial: Trial, layer: Any, arguments: Arguments) -> list[Spec]:
    """Return the specs of the layer's outputs from a trace of its call.

    The methods `compute_output_shape` and `compute_output_spec` are ignored, and no kernel runs.
    """
    import keras

    flat = trial.function(layer, arguments, training=False)

    class Traced(keras.Operation):
        def call(self, *tensors: Any) -> Any:
            return [leaf for leaf in keras.tree.flatten(flat(*tensors)) if leaf is not None]

    symbols = [keras.KerasTensor(array.shape, dtype=str(array.dtype)) for array in arguments.arrays()]
    return output_specs(Traced().compute_output_spec(*symbols))


def shapes_agree(declared: Sequence[int | None], actual: Sequence[int | None]) -> bool:
    """Whether two shapes have the same rank and, on each axis where both sizes are known, the same size."""
    return len(declared) == len(actual) and all(
        one is None or other is None or one == other for one, other in zip(declared, actual, strict=True)
    )


def output_name(place: int, outputs: Sequence[Any]) -> str:
    """Name an output in a message: with its index if there are several."""
    return f"output {place}" if len(outputs) > 1 else "the output"


def overrides_method(layer: Any, method: str) -> bool:
    """Whether the layer's class defines this method itself instead of inheriting Keras's default."""
    import keras

    return getattr(type(layer), method) is not getattr(keras.layers.Layer, method)


def _dtype_name(tensor: Any) -> str:
    import keras

    text = getattr(tensor.dtype, "kind", "") in ("U", "S", "O")
    return "string" if text else str(keras.backend.standardize_dtype(tensor.dtype))
