"""LW201."""

from typing import Any

from layerwright.checks.shape._shapes import Spec, agrees, numbered, overrides, specs, specs_at
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial


@check("LW201", "spec-matches-call", requires=("LW204",))
def spec_matches_call(trial: Trial) -> Finding:
    """What the layer gives symbolically has the structure, shapes and dtypes of what it computes.

    What it proves:
        Called on `KerasTensor`s, as in a functional model, the layer gives as many tensors, in the same structure, as
        on arrays; ranks, dtypes and every size that the symbolic shape states are those of the arrays.

    Why it matters:
        A functional model believes the symbolic output: the next layer builds its weights to it, `summary()` prints
        it, mixed precision and export rely on its dtype. A `compute_output_shape` that was not changed along with
        `call` fails far from its cause, or not until export.

    How it is tested:
        A fresh layer is called on `KerasTensor`s with the batch axis and the case's free axes unknown, or, where it
        cannot be (see LW202), known; and on arrays, at the usual sizes and at another size of each free axis. An
        unknown size agrees with any; lists and tuples pass for each other.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "compute_output_shape method"; keras.io/guides/functional_api.
    """
    layer = trial.construct()
    symbolic, unknown = _symbolic(trial, layer)
    eager = trial.call_raw(lively(trial), trial.usual, training=False)
    declared, actual = specs(symbolic), specs(eager)
    if _skeleton(symbolic) != _skeleton(eager):
        return failed(
            f"symbolically the layer gives {_skeleton(symbolic)}, but calling it gives {_skeleton(eager)}; "
            f"expected the same structure ({_source(layer)})",
            _fix(layer),
        )
    for place, (said, seen) in enumerate(zip(declared, actual, strict=True)):
        if not agrees(said.shape, seen.shape) or not _same_dtype(trial, said.dtype, seen.dtype):
            which = numbered(place, declared)
            return failed(
                f"symbolically {which} is {said}, but calling it gives {seen}; expected them to agree "
                f"({_source(layer)})",
                _fix(layer),
            )
    found = _at_other_sizes(trial, layer, declared) if unknown else None
    return found or passed(declared=[str(one) for one in declared])


def _symbolic(trial: Trial, layer: Any) -> tuple[Any, bool]:
    """Return the symbolic outputs, and whether they are those for unknown sizes."""
    try:
        return trial.symbolic_call(layer), True
    except LayerError:  # LW202 dynamic-dimensions reports a layer that needs to know its sizes
        return trial.symbolic_call(trial.construct(), batch=trial.usual.batch, free=False), False


def _at_other_sizes(trial: Trial, layer: Any, declared: list[Spec]) -> Finding | None:
    axes = {axis for spec in trial.case.specs() for axis, size in enumerate(spec.shape) if axis and size is None}
    size = max(7, trial.case.traits.minimum)
    for axis in sorted(axes):
        arguments = trial.arguments(free={axis: size})
        try:
            actual = specs_at(trial, arguments)
        except LayerError:  # LW204 any-size judges which sizes a layer must serve
            continue
        for place, (said, seen) in enumerate(zip(declared, actual, strict=False)):
            if not agrees(said.shape, seen.shape):
                return failed(
                    f"symbolically {numbered(place, declared)} has shape {said.shape}, but with axis {axis} of size "
                    f"{size} calling it gives {seen.shape}; expected them to agree ({_source(layer)})",
                    _fix(layer),
                )
    return None


def _skeleton(outputs: Any) -> Any:
    """Return the structure alone, tensors as words and tuples as lists."""
    import keras

    if isinstance(outputs, dict):
        return {key: _skeleton(outputs[key]) for key in sorted(outputs, key=str)}
    if isinstance(outputs, (list, tuple)):
        return [_skeleton(part) for part in outputs]
    return "tensor" if hasattr(outputs, "shape") or isinstance(outputs, keras.KerasTensor) else repr(outputs)


def _same_dtype(trial: Trial, said: str, seen: str) -> bool:
    """Whether two dtypes agree; JAX keeps 64-bit numbers in 32 bits unless it is told otherwise."""
    return said == seen or (trial.backend.NAME == "jax" and said.replace("64", "32") == seen)


def _source(layer: Any) -> str:
    own = [name for name in ("compute_output_spec", "compute_output_shape") if overrides(layer, name)]
    return f"its {own[0]} says so" if own else "Keras traced its call"


def _fix(layer: Any) -> str:
    if overrides(layer, "compute_output_spec") or overrides(layer, "compute_output_shape"):
        return (
            "Correct the method to what call returns, or delete it: Keras works the spec out by tracing call. For "
            "another dtype than the layer's compute dtype, define compute_output_spec instead of compute_output_shape."
        )
    return "Let call return the same structure and dtypes whether or not sizes are known."


def bad() -> Case:
    import keras

    class WithNegative(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.concatenate([inputs, -inputs], axis=-1)

        def compute_output_shape(self, input_shape):
            return input_shape

    return Case(WithNegative, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class WithNegative(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.concatenate([inputs, -inputs], axis=-1)

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], 2 * input_shape[-1])

    return Case(WithNegative, inputs=(None, 6, 5))
