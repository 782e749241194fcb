"""Shapes and dtypes of what a layer returns, eagerly, traced and as it declares them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from layerwright.trial.arguments import Arguments
from layerwright.trial.subject import caller, lively
from layerwright.trial.trial import Trial

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Spec:
    """The shape and dtype of one output. None in a shape is an unknown size."""

    shape: Shape
    dtype: str

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


def specs(outputs: Any) -> list[Spec]:
    """Return the spec of each tensor of an output structure, in order; what is None or no tensor is left out."""
    import keras

    tensors = [leaf for leaf in keras.tree.flatten(outputs) if hasattr(leaf, "shape") and hasattr(leaf, "dtype")]
    return [Spec(tuple(leaf.shape), _dtype(leaf)) for leaf in tensors]


def specs_at(trial: Trial, arguments: Arguments) -> list[Spec]:
    """Return the specs of what the layer gives for these arguments, in inference.

    JAX fixes every shape when it traces, so there a trace tells them without compiling anything.

    Raises:
        LayerError: If the layer raises.
    """
    call = caller(trial, False)
    if trial.backend.NAME != "jax":
        return specs(call(arguments))
    try:
        return specs_by_trace(trial, lively(trial), arguments)
    except Exception:  # a layer may raise anything under a trace; eagerly it works, or says clearly why not
        return specs(call(arguments))


def specs_by_trace(trial: Trial, layer: Any, arguments: Arguments) -> list[Spec]:
    """Return the specs that tracing the layer's call gives, whatever it declares; no kernel runs."""
    import keras

    flat = trial.function(layer, arguments, training=False)

    class Traced(keras.Operation):
        def call(self, *tensors: Any) -> Any:
            return [leaf for leaf in keras.tree.flatten(flat(*tensors)) if leaf is not None]

    symbols = [keras.KerasTensor(array.shape, dtype=str(array.dtype)) for array in arguments.arrays()]
    return specs(Traced().compute_output_spec(*symbols))


def agrees(declared: Sequence[int | None], actual: Sequence[int | None]) -> bool:
    """Whether two shapes have the same rank, and the same size on each axis that both know."""
    return len(declared) == len(actual) and all(
        one is None or other is None or one == other for one, other in zip(declared, actual, strict=True)
    )


def numbered(place: int, outputs: Sequence[Any]) -> str:
    """Name an output: by its place if there are several."""
    return f"output {place}" if len(outputs) > 1 else "the output"


def overrides(layer: Any, method: str) -> bool:
    """Whether the layer's class has a method of its own in place of Keras's default."""
    import keras

    return getattr(type(layer), method) is not getattr(keras.layers.Layer, method)


def _dtype(tensor: Any) -> str:
    import keras

    text = getattr(tensor.dtype, "kind", "") in ("U", "S", "O")
    return "string" if text else str(keras.backend.standardize_dtype(tensor.dtype))
