"""Turn a built layer into a pure function of its variables and inputs, to differentiate or compile it."""

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
        inputs: One for each of `arguments.arrays()`; None for integers and booleans, and if there is no gradient.
        weights: One for each trainable variable, by its path; None if there is no gradient.
    """

    inputs: tuple[Array | None, ...]
    weights: Mapping[str, Array | None]


def pure(layer: Any, arguments: Arguments, *, training: bool | None = None) -> Callable[..., Any]:
    """Return the layer as a pure function of its variables and the tensors of `arguments`.

    The function takes the values of `layer.trainable_variables`, of `layer.non_trainable_variables` and of
    `arguments.arrays()`, each as one argument, in this order. It returns the layer's outputs and the new values of the
    non-trainable variables. Unlike `stateless_call` it goes through the layer's `__call__`, which casts the inputs.
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
    """Compute the gradients of a built layer with respect to its trainable variables and floating-point inputs.

    Args:
        trial: The trial. Global random generators are seeded as for every call.
        layer: A built layer. It is left as it was.
        arguments: The arguments to call it with.
        training: As in `Trial.call`.
        cotangents: The factors of each output array; drawn from a standard normal distribution by default.

    Raises:
        LayerError: If the layer raises while it is called or differentiated.
    """
    return differentiated(trial, layer, arguments, training=training)(arguments, cotangents)


def differentiated(
    trial: Trial, layer: Any, arguments: Arguments, *, training: bool | None = None
) -> Callable[[Arguments, Sequence[Array] | None], Gradients]:
    """Return a function that takes arguments and cotangents and computes `gradients`.

    It uses the values that the layer's variables have when it is called. On JAX it is compiled, which is faster than
    compiling each operation by itself. If it cannot be compiled, which LW801 compiled-equals-eager reports, it runs
    eagerly.

    Args:
        trial: The trial. Global random generators are seeded as for every call.
        layer: A built layer.
        arguments: They define which call arguments are tensors, and the values of the others.
        training: As in `Trial.call`.

    Raises:
        LayerError: When the function is called, if the layer raises while it is called or differentiated.
    """
    ways = [_gradient_function(trial, layer, arguments, training, compiled=False)]
    if trial.backend.NAME == "jax":
        ways.insert(0, _gradient_function(trial, layer, arguments, training, compiled=True))

    def call(given: Arguments, cotangents: Sequence[Array] | None = None) -> Gradients:
        while len(ways) > 1:
            try:
                return ways[0](given, cotangents)
            except LayerError:
                del ways[0]
        return ways[0](given, cotangents)

    return call


def _gradient_function(
    trial: Trial, layer: Any, arguments: Arguments, training: bool | None, *, compiled: bool
) -> Callable[[Arguments, Sequence[Array] | None], Gradients]:
    import keras

    template = tensors_of(layer, arguments)
    moving = [
        place for place, tensor in enumerate(template) if _is_float(tensor) and not _is_non_trainable(place, layer)
    ]
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
        with blaming(f"differentiating the layer on {describe(given)}"):
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
    """Return the compiled layer: a function that takes arguments and returns the outputs as NumPy arrays.

    It is compiled with `tf.function`, `jax.jit` or `torch.export`. The layer's variables are arguments of the compiled
    program, not constants, and keep their values.

    Args:
        trial: The trial. Global random generators are seeded as for every call.
        layer: A built layer.
        arguments: They define which call arguments are tensors, and the values of the others.
        training: As in `Trial.call`.

    Raises:
        LayerError: When the function is called, if the layer raises while it is traced or run.
    """
    import keras

    program = trial.backend.jit(pure(layer, arguments, training=training))

    def call(given: Arguments) -> Any:
        keras.utils.set_random_seed(trial.seed)
        with blaming(f"calling the compiled layer on {describe(given)}"), trial.backend.inference():
            outputs, _ = program(*tensors_of(layer, given))
        return keras.tree.map_structure(_to_array, outputs)

    return call


def tensors_of(layer: Any, arguments: Arguments) -> list[Any]:
    """Return the arguments of the function from `pure`: the values of the layer's variables, then the input tensors."""
    import keras

    values = [variable.value for variable in (*layer.trainable_variables, *layer.non_trainable_variables)]
    return [keras.ops.stop_gradient(keras.ops.convert_to_tensor(value)) for value in values] + [
        keras.ops.convert_to_tensor(array) for array in arguments.arrays()
    ]


def cotangents_for(trial: Trial, outputs: Sequence[Any]) -> list[Array]:
    """Draw random factors for each output from a standard normal distribution; the same shapes get the same factors."""
    rng = np.random.default_rng((trial.seed, 17))
    return [rng.standard_normal(tuple(output.shape)).astype("float32") for output in outputs]


def _is_non_trainable(place: int, layer: Any) -> bool:
    return len(layer.trainable_variables) <= place < len(layer.variables)


def _is_float(tensor: Any) -> bool:
    import keras

    return "float" in keras.backend.standardize_dtype(tensor.dtype)


def _to_array(tensor: Any) -> Any:
    import keras

    return None if tensor is None else np.asarray(keras.ops.convert_to_numpy(tensor))
