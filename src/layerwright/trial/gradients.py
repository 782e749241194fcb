"""A built layer as a pure function of its variables and its inputs: its gradients, and its compiled form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import leaves
from layerwright.trial.trial import Trial, blaming


@dataclass(frozen=True)
class Gradients:
    """Gradients of the sum of all outputs, each multiplied by a random cotangent.

    Attributes:
        inputs: One for each of `arguments.arrays()`; None for integers, booleans, and where nothing flows.
        weights: One for each trainable variable by its path; None where nothing flows.
    """

    inputs: tuple[Array | None, ...]
    weights: Mapping[str, Array | None]


def pure(layer: Any, arguments: Arguments, *, training: bool | None = None) -> Callable[..., Any]:
    """Return a function from the layer's variables, then the tensors of `arguments`, to outputs and new state.

    The function takes `layer.trainable_variables`, `layer.non_trainable_variables` and `arguments.arrays()` one after
    another, and returns the layer's outputs and the new values of the non-trainable variables. It goes through the
    layer's `__call__`, which casts its inputs, as `stateless_call` does not.
    """
    import keras

    options = {} if training is None else {"training": training}
    variables = [*layer.trainable_variables, *layer.non_trainable_variables]

    def function(*tensors: Any) -> Any:
        given = arguments.replace_arrays(tensors[len(variables) :])
        with keras.StatelessScope(list(zip(variables, tensors, strict=False))) as scope:
            outputs = layer(given.inputs, **{**given.call, **options})
        return outputs, [scope.get_current_value(variable) for variable in layer.non_trainable_variables]

    return function


def gradients(
    trial: Trial,
    layer: Any,
    arguments: Arguments,
    *,
    training: bool | None = None,
    cotangents: Sequence[Array] | None = None,
) -> Gradients:
    """Differentiate a built layer by its trainable variables and by every floating-point tensor it is called with.

    Args:
        trial: The trial; random generators are seeded as for every call.
        layer: A built layer; it is left as it was.
        arguments: What to call it with.
        training: As in `Trial.call`.
        cotangents: One for each output array; drawn from a standard normal distribution by default.

    Raises:
        LayerError: If the layer raises while it is called or differentiated.
    """
    return differentiated(trial, layer, arguments, training=training)(arguments, cotangents)


def differentiated(
    trial: Trial, layer: Any, arguments: Arguments, *, training: bool | None = None
) -> Callable[[Arguments, Sequence[Array] | None], Gradients]:
    """Return the function from arguments and cotangents to `gradients`, with the layer's variables as they then are.

    On JAX it is compiled, which takes less time than to compile each operation by itself; where it cannot be, and
    LW801 compiled-equals-eager speaks of that, it is not.

    Args:
        trial: The trial; random generators are seeded as for every call.
        layer: A built layer.
        arguments: Which call arguments are tensors, and the values of those that are not.
        training: As in `Trial.call`.

    Raises:
        LayerError: By the function, if the layer raises while it is called or differentiated.
    """
    ways = [_differentiated(trial, layer, arguments, training, compiled=False)]
    if trial.backend.NAME == "jax":
        ways.insert(0, _differentiated(trial, layer, arguments, training, compiled=True))

    def call(given: Arguments, cotangents: Sequence[Array] | None = None) -> Gradients:
        while len(ways) > 1:
            try:
                return ways[0](given, cotangents)
            except LayerError:
                del ways[0]
        return ways[0](given, cotangents)

    return call


def _differentiated(
    trial: Trial, layer: Any, arguments: Arguments, training: bool | None, *, compiled: bool
) -> Callable[[Arguments, Sequence[Array] | None], Gradients]:
    import keras

    template = tensors_of(layer, arguments)
    moving = [place for place, tensor in enumerate(template) if _is_float(tensor) and not _is_state(place, layer)]
    function = pure(layer, arguments, training=training)

    def differentiate(given: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
        def scalar(*differentiated: Any) -> Any:
            tensors = list(given)
            for place, tensor in zip(moving, differentiated, strict=True):
                tensors[place] = tensor
            outputs = [leaf for leaf in leaves(function(*tensors)[0]) if _is_float(leaf)]
            chosen = cotangents or cotangents_for(trial, outputs)
            products = (
                keras.ops.sum(keras.ops.cast(output, "float32") * keras.ops.convert_to_tensor(cotangent, "float32"))
                for output, cotangent in zip(outputs, chosen, strict=True)
            )
            return sum(products, keras.ops.zeros((), "float32"))

        return trial.backend.gradient(scalar, [given[place] for place in moving]) if moving else ()

    run = trial.backend.jit(differentiate) if compiled else differentiate

    def call(given: Arguments, cotangents: Sequence[Array] | None = None) -> Gradients:
        keras.utils.set_random_seed(trial.seed)
        with blaming(f"differentiating it on {describe(given)}"):
            found = run(tensors_of(layer, given), list(cotangents or ()))
        by_place = {place: _to_array(gradient) for place, gradient in zip(moving, found, strict=True)}
        first = len(layer.variables)
        return Gradients(
            tuple(by_place.get(place) for place in range(first, len(template))),
            {variable.path: by_place.get(place) for place, variable in enumerate(layer.trainable_variables)},
        )

    return call


def compiled(
    trial: Trial, layer: Any, arguments: Arguments, *, training: bool | None = None
) -> Callable[[Arguments], Any]:
    """Return the layer compiled as this backend compiles: a function from arguments to outputs as NumPy arrays.

    Compiled with `tf.function`, `jax.jit` or `torch.export`; the layer's variables are arguments, not constants, and
    their values are left as they were.

    Args:
        trial: The trial; random generators are seeded as for every call.
        layer: A built layer.
        arguments: Which call arguments are tensors, and the values of those that are not.
        training: As in `Trial.call`.

    Raises:
        LayerError: By the function, if the layer raises while it is traced or run.
    """
    import keras

    program = trial.backend.jit(pure(layer, arguments, training=training))

    def call(given: Arguments) -> Any:
        keras.utils.set_random_seed(trial.seed)
        with blaming(f"calling it compiled on {describe(given)}"), trial.backend.inference():
            outputs, _ = program(*tensors_of(layer, given))
        return keras.tree.map_structure(_to_array, outputs)

    return call


def tensors_of(layer: Any, arguments: Arguments) -> list[Any]:
    """Return what `pure` takes: the layer's variables, then the tensors it is called with."""
    import keras

    values = [variable.value for variable in (*layer.trainable_variables, *layer.non_trainable_variables)]
    return [keras.ops.stop_gradient(keras.ops.convert_to_tensor(value)) for value in values] + [
        keras.ops.convert_to_tensor(array) for array in arguments.arrays()
    ]


def cotangents_for(trial: Trial, outputs: Sequence[Any]) -> list[Array]:
    """Draw one cotangent for each output from a standard normal distribution, the same ones for the same shapes."""
    rng = np.random.default_rng((trial.seed, 17))
    return [rng.standard_normal(tuple(output.shape)).astype("float32") for output in outputs]


def _is_state(place: int, layer: Any) -> bool:
    return len(layer.trainable_variables) <= place < len(layer.variables)


def _is_float(tensor: Any) -> bool:
    import keras

    return "float" in keras.backend.standardize_dtype(tensor.dtype)


def _to_array(tensor: Any) -> Any:
    import keras

    return None if tensor is None else np.asarray(keras.ops.convert_to_numpy(tensor))
