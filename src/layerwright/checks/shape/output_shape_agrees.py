"""LW203."""

import contextlib
import copy
import inspect
from collections.abc import Iterator
from operator import index
from typing import Any

from layerwright.checks.shape._shapes import Shape, agrees, overrides, specs, specs_at
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import Finding, failed, passed, skipped
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial


@check("LW203", "output-shape-agrees", requires=("LW201",))
def output_shape_agrees(trial: Trial) -> Finding:
    """`compute_output_shape`, asked as Keras asks it, agrees with the spec and with what call returns.

    What it proves:
        For an unknown and for a known batch size it returns one shape for each output, in which every stated size is
        the one that the layer's symbolic and eager outputs have, and it leaves the shapes it was given alone.

    Why it matters:
        Wrappers such as `TimeDistributed` and `Bidirectional`, and parents in their `build`, ask
        `compute_output_shape`; functional models ask `compute_output_spec`. Where a layer defines both and they part,
        it works alone and breaks inside another layer.

    How it is tested:
        The method gets the shape of the first call argument, or, if it takes several arguments, the shape of each
        call argument that it names with `_shape` behind. What it returns is compared with the shapes of the symbolic
        outputs and of the arrays that a call returns; an unknown size agrees with any.

    Exempt when:
        The class has no `compute_output_shape` of its own, or it asks for a shape that the case does not feed.

    References:
        keras.io/api/layers/base_layer, "compute_output_shape method".
    """
    layer = lively(trial)
    if not overrides(layer, "compute_output_shape"):
        return skipped("the layer does not define compute_output_shape")
    for batch, wanted in _wanted(trial, layer):
        shapes = _given(trial, layer, batch)
        if shapes is None:
            return skipped("compute_output_shape takes shapes of arguments that the case does not feed")
        found = _judge(layer, shapes, wanted)
        if found is not None:
            return found
    return passed()


def _wanted(trial: Trial, layer: Any) -> Iterator[tuple[int | None, list[Shape]]]:
    """Yield the shapes that the layer gives: symbolically for an unknown batch size, eagerly for the usual one."""
    with contextlib.suppress(LayerError):  # LW202 dynamic-dimensions reports a layer that needs to know its sizes
        yield None, [spec.shape for spec in specs(trial.symbolic_call(layer))]
    yield trial.usual.batch, [spec.shape for spec in specs_at(trial, trial.usual)]


def _given(trial: Trial, layer: Any, batch: int | None) -> dict[str, Any] | None:
    """Return the arguments that Keras would ask with; None if the case has no tensor for one of them."""
    import keras

    def shape(spec: Any) -> Any:
        return (batch, *(spec.shape[1:] if batch is None else spec.concrete(0)[1:]))

    parameters = inspect.signature(layer.compute_output_shape).parameters.values()
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    inputs = keras.tree.map_structure(shape, trial.case.inputs)
    if len(named) == 1:
        return {named[0].name: inputs}
    first = next(iter(inspect.signature(layer.call).parameters))
    fed = {f"{name}_shape": keras.tree.map_structure(shape, trial.case.call[name]) for name in trial.usual.tensors}
    fed |= {f"{first}_shape": inputs}
    needed = [one.name for one in named if one.default is one.empty]
    return {one.name: fed[one.name] for one in named if one.name in fed} if set(needed) <= set(fed) else None


def _judge(layer: Any, shapes: dict[str, Any], wanted: list[Shape]) -> Finding | None:
    asked = f"compute_output_shape({', '.join(f'{name}={value}' for name, value in shapes.items())})"
    given = copy.deepcopy(shapes)
    try:
        returned = layer.compute_output_shape(**given)
    except Exception as error:  # whatever it raises is its answer
        return failed(f"{asked} raised {quote(error)}; expected {_list(wanted)}", "Make it work for such shapes.")
    if given != shapes:
        return failed(
            f"{asked} changed the shapes it was given to {given}; expected it to leave them alone",
            "Build the answer from a copy: list(input_shape).",
        )
    said = _shapes(returned)
    if said is None:
        return failed(
            f"{asked} returned {returned!r}; expected {_list(wanted)}", "Return a tuple of whole numbers and None."
        )
    if len(said) != len(wanted) or not all(map(agrees, said, wanted)):
        return failed(
            f"{asked} returned {_list(said)}, but the layer gives {_list(wanted)}",
            "Make compute_output_shape, compute_output_spec and call agree, or delete the first two: Keras works the "
            "spec out by tracing call.",
        )
    return None


def _shapes(returned: Any) -> list[Shape] | None:
    """Return each shape in what compute_output_shape returned, in order; None if something in it is no shape."""
    if returned is None:
        return []
    if isinstance(returned, dict):
        return _shapes([returned[key] for key in sorted(returned)])
    if not isinstance(returned, (list, tuple)):
        return None
    if all(size is None or hasattr(size, "__index__") for size in returned):
        return [tuple(None if size is None else index(size) for size in returned)]
    parts = [_shapes(part) for part in returned]
    return None if None in parts else [shape for part in parts if part for shape in part]


def _list(shapes: list[Shape]) -> str:
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
