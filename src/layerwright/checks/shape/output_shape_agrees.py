"""LW203 output-shape-agrees."""

import contextlib
import copy
import inspect
from collections.abc import Iterator
from operator import index
from typing import Any

from layerwright.checks.shape._shapes import Shape, output_specs, output_specs_at, overrides_method, shapes_agree
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.arguments import map_leaves
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial


@check("LW203", "output-shape-agrees", requires=("LW201",))
def output_shape_agrees(trial: Trial) -> Finding:
    """`compute_output_shape` agrees with the symbolic outputs and with what `call` returns.

    What it proves:
        For an unknown and for a known batch size, the method returns one shape for each output. Every known size in it
        equals the size of the layer's symbolic and actual outputs. The method does not modify the shapes that it is
        given.

    Why it matters:
        Wrappers such as `TimeDistributed` and `Bidirectional`, and parent layers in their `build`, call
        `compute_output_shape`. Functional models call `compute_output_spec`. If a layer defines both and they disagree,
        it works alone but fails inside another layer.

    How it is tested:
        The method receives the shape of the first call argument. If it takes several arguments, each argument
        `<name>_shape` receives the shape of the call argument `<name>`. The result is compared with the shapes of the
        symbolic outputs and of the arrays that a call returns. An unknown size agrees with any size.

    Exempt when:
        The class does not define `compute_output_shape`, or the method needs a shape that the case does not provide.

    References:
        keras.io/api/layers/base_layer, "compute_output_shape method".
    """
    layer = lively(trial)
    if not overrides_method(layer, "compute_output_shape"):
        return skipped("the layer does not define compute_output_shape")
    for batch, actual in _actual_output_shapes(trial, layer):
        shapes = _shape_arguments(trial, layer, batch)
        if shapes is None:
            return skipped("compute_output_shape takes the shape of a call argument that the case does not provide")
        found = _compare_with_actual_shapes(layer, shapes, actual)
        if found is not None:
            return found
    return passed()


def _actual_output_shapes(trial: Trial, layer: Any) -> Iterator[tuple[int | None, list[Shape]]]:
    """Yield the shapes of the outputs: symbolic ones for an unknown batch size, eager ones for the usual batch size."""
    # LW202 dynamic-dimensions reports a layer that needs to know all sizes.
    with contextlib.suppress(LayerError):
        yield None, [spec.shape for spec in output_specs(trial.symbolic_call(layer))]
    yield trial.usual.batch, [spec.shape for spec in output_specs_at(trial, trial.usual)]


def _shape_arguments(trial: Trial, layer: Any, batch: int | None) -> dict[str, Any] | None:
    """Return the arguments that Keras would pass; None if the case has no tensor for one of them."""

    def shape(spec: Any) -> Any:
        return (batch, *(spec.shape[1:] if batch is None else trial.shape_of(spec, 0)[1:]))

    parameters = inspect.signature(layer.compute_output_shape).parameters.values()
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    inputs = map_leaves(shape, trial.case.inputs)
    if len(named) == 1:
        return {named[0].name: inputs}
    first = next(iter(inspect.signature(layer.call).parameters))
    fed = {f"{name}_shape": map_leaves(shape, trial.case.call[name]) for name in trial.usual.tensors}
    fed |= {f"{first}_shape": inputs}
    needed = [one.name for one in named if one.default is one.empty]
    return {one.name: fed[one.name] for one in named if one.name in fed} if set(needed) <= set(fed) else None


def _compare_with_actual_shapes(layer: Any, shapes: dict[str, Any], actual: list[Shape]) -> Finding | None:
    question = f"compute_output_shape({', '.join(f'{name}={value}' for name, value in shapes.items())})"
    given = copy.deepcopy(shapes)
    try:
        returned = layer.compute_output_shape(**given)
    # The method may raise anything. Whether it does is the result.
    except Exception as error:
        return failed(
            f"{question} raised {quote(error)}; expected {_join_shapes(actual)}",
            "Let `compute_output_shape` return a shape for these arguments.",
        )
    if given != shapes:
        return failed(
            f"{question} modified its arguments to {given}; expected it to leave them unchanged",
            "Build the result from a copy: `list(input_shape)`.",
        )
    declared = _shapes_in(returned)
    if declared is None:
        return failed(
            f"{question} returned {returned!r}; expected {_join_shapes(actual)}", "Return a tuple of integers and None."
        )
    if len(declared) != len(actual) or not all(map(shapes_agree, declared, actual)):
        return failed(
            f"{question} returned {_join_shapes(declared)}; expected {_join_shapes(actual)}, as in the layer's outputs",
            "Make `compute_output_shape`, `compute_output_spec` and `call` agree. Or delete the first two: Keras then "
            "infers the spec by tracing `call`.",
        )
    return None


def _shapes_in(returned: Any) -> list[Shape] | None:
    """Return each shape in the result of compute_output_shape, in order; None if something in it is not a shape."""
    if returned is None:
        return []
    if isinstance(returned, dict):
        return _shapes_in([returned[key] for key in sorted(returned)])
    if not isinstance(returned, (list, tuple)):
        return None
    if all(size is None or hasattr(size, "__index__") for size in returned):
        return [tuple(None if size is None else index(size) for size in returned)]
    parts = [_shapes_in(part) for part in returned]
    return None if None in parts else [shape for part in parts if part for shape in part]


def _join_shapes(shapes: list[Shape]) -> str:
    return " and ".join(map(str, shapes))


def bad() -> Case:
    import keras

    class WithNegative(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.concatenate([inputs, -inputs], axis=-1)

        def compute_output_shape(self, input_shape):
            return input_shape

        def compute_output_spec(self, inputs):
            return keras.KerasTensor((*inputs.shape[:-1], 2 * inputs.shape[-1]), dtype=inputs.dtype)

    return Case(WithNegative, inputs=(None, 6, 5))


def good() -> Case:
    import keras

    class WithNegative(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.concatenate([inputs, -inputs], axis=-1)

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], 2 * input_shape[-1])

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    return Case(WithNegative, inputs=(None, 6, 5))
