"""LW201 spec-matches-call."""

from typing import Any

from layerwright.checks.shape._shapes import (
    Spec,
    output_name,
    output_specs,
    output_specs_at,
    overrides_method,
    shapes_agree,
)
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, passed
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial


@check("LW201", "spec-matches-call", requires=("LW204",))
def spec_matches_call(trial: Trial) -> Finding:
    """The layer's symbolic outputs have the structure, shapes and dtypes of its actual outputs.

    What it proves:
        Called on `KerasTensor`s, as in a functional model, the layer returns as many tensors as on arrays, in the same
        structure. Ranks, dtypes and all known sizes of the symbolic outputs equal those of the arrays.

    Why it matters:
        A functional model relies on the symbolic outputs: the next layer builds its weights for them, `summary()`
        prints them, and mixed precision and export use their dtype. If `call` was changed and `compute_output_shape`
        was not, the error occurs far from its cause, or only on export.

    How it is tested:
        A new layer is called on `KerasTensor`s with the batch axis and the case's free axes unknown, or known where the
        layer needs that (see LW202). It is called on arrays at the usual sizes and at another size of each free axis.
        An unknown size agrees with any size. Lists and tuples count as the same structure.

    Exempt when:
        Never.

    References:
        keras.io/api/layers/base_layer, "compute_output_shape method"; keras.io/guides/functional_api.
    """
    layer = trial.construct()
    symbolic, unknown = _call_symbolically(trial, layer)
    eager = trial.call_raw(lively(trial), trial.usual, training=False)
    declared, actual = output_specs(symbolic), output_specs(eager)
    if _structure_of(symbolic) != _structure_of(eager):
        return failed(
            f"symbolic outputs have the structure {_structure_of(symbolic)} ({_source_of_spec(layer)}), but call "
            f"returned {_structure_of(eager)}; expected the same structure",
            _fix_for(layer),
        )
    for place, (symbol, seen) in enumerate(zip(declared, actual, strict=True)):
        if not shapes_agree(symbol.shape, seen.shape) or not _dtypes_agree(trial, symbol.dtype, seen.dtype):
            which = output_name(place, declared)
            return failed(
                f"symbolically, {which} is {symbol} ({_source_of_spec(layer)}), but call returned {seen}; expected "
                "both to agree",
                _fix_for(layer),
            )
    found = _compare_at_other_sizes(trial, layer, declared) if unknown else None
    return found or passed(declared=[str(one) for one in declared])


def _call_symbolically(trial: Trial, layer: Any) -> tuple[Any, bool]:
    """Return the symbolic outputs, and whether they are for unknown sizes."""
    try:
        return trial.symbolic_call(layer), True
    # LW202 dynamic-dimensions reports a layer that needs to know all sizes.
    except LayerError:
        return trial.symbolic_call(trial.construct(), batch=trial.usual.batch, free=False), False


def _compare_at_other_sizes(trial: Trial, layer: Any, declared: list[Spec]) -> Finding | None:
    axes = {axis for spec in trial.case.specs() for axis, size in enumerate(spec.shape) if axis and size is None}
    size = max(7, trial.case.traits.minimum)
    for axis in sorted(axes):
        arguments = trial.arguments(free={axis: size})
        try:
            actual = output_specs_at(trial, arguments)
        # LW204 any-size reports a layer that does not work at this size.
        except LayerError:
            continue
        for place, (symbol, seen) in enumerate(zip(declared, actual, strict=False)):
            if not shapes_agree(symbol.shape, seen.shape):
                which = output_name(place, declared)
                return failed(
                    f"symbolically, {which} has shape {symbol.shape} ({_source_of_spec(layer)}), but with size {size} "
                    f"on axis {axis} call returned shape {seen.shape}; expected both to agree",
                    _fix_for(layer),
                )
    return None


def _structure_of(outputs: Any) -> Any:
    """Return only the structure: tensors as the word tensor, tuples as lists."""
    import keras

    if isinstance(outputs, dict):
        return {key: _structure_of(outputs[key]) for key in sorted(outputs, key=str)}
    if isinstance(outputs, (list, tuple)):
        return [_structure_of(part) for part in outputs]
    return "tensor" if hasattr(outputs, "shape") or isinstance(outputs, keras.KerasTensor) else repr(outputs)


def _dtypes_agree(trial: Trial, symbolic: str, actual: str) -> bool:
    """Whether two dtypes agree. By default, JAX stores 64-bit numbers in 32 bits."""
    return symbolic == actual or (trial.backend.NAME == "jax" and symbolic.replace("64", "32") == actual)


def _source_of_spec(layer: Any) -> str:
    own = [name for name in ("compute_output_spec", "compute_output_shape") if overrides_method(layer, name)]
    return f"from {own[0]}" if own else "from tracing call"


def _fix_for(layer: Any) -> str:
    if overrides_method(layer, "compute_output_spec") or overrides_method(layer, "compute_output_shape"):
        return (
            "Make the method agree with `call`, or delete it: Keras then infers the spec by tracing `call`. If outputs "
            "do not have the layer's compute dtype, define `compute_output_spec` instead of `compute_output_shape`."
        )
    return "Let `call` return the same structure and dtypes whether or not sizes are known."


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
