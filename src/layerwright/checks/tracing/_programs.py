"""Run the layer as a compiled program and as an eager call, and trace it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerwright.core.errors import LayerError
from layerwright.trial.arguments import Arguments, Array, describe
from layerwright.trial.compare import bitwise_equal, largest_difference, leaves
from layerwright.trial.gradients import pure, tensors_of
from layerwright.trial.reachable import reachable
from layerwright.trial.subject import lively
from layerwright.trial.tracebacks import is_asked_by_layer, keras_functions, stack_of, whole_tracebacks
from layerwright.trial.trial import Trial, blaming, once_per_trial, restore, snapshot

NO_JIT = "the layer or one of its sublayers sets supports_jit = False, so Keras does not compile it with {}"
NOT_ON_TORCH = {
    "torch/random.py:torch_seed_generator": "keras.random with a SeedGenerator",
    "torch/core.py:cond": "keras.ops.cond",
    "torch/core.py:switch": "keras.ops.switch",
    "torch/core.py:while_loop": "keras.ops.while_loop",
}
"""Functions that Keras runs in Python on torch. They read values of tensors, so torch.export cannot trace them."""


@dataclass(frozen=True)
class Result:
    """The result of one call: output arrays, and the new values of the non-trainable variables."""

    outputs: list[Array]
    state: list[Array]


@dataclass(frozen=True)
class Traces:
    """Two programs, traced one after the other, and the paths of symbolic tensors that the traces left on the layer."""

    programs: tuple[str, str]
    leaks: list[str]


class Untraceable(Exception):  # noqa: N818 - an answer, carried by an exception
    """The layer declares that it cannot be compiled, or Keras itself cannot be traced on this backend."""


@once_per_trial
def eager_result(trial: Trial, training: bool) -> Result:
    """Return the result of `call_eagerly`, computed once."""
    return call_eagerly(trial, training)


def call_eagerly(trial: Trial, training: bool, arguments: Arguments | None = None) -> Result:
    """Call the lively layer eagerly, by default on the usual arguments, and restore its variables afterwards."""
    layer = lively(trial)
    before = snapshot(layer.variables)
    outputs = leaves(trial.call(layer, arguments or trial.usual, training=training, keep_state=True))
    state = [value for _, value in snapshot(layer.non_trainable_variables)]
    restore(before)
    return Result(outputs, state)


@once_per_trial
def movement_by_rounding(trial: Trial, training: bool) -> float:
    """Return how far an eager call's results move if each float input moves to a neighbouring number of its dtype.

    Every sum and product inside the layer is rounded about as much, so no program can be expected to come closer. Moves
    that make a result NaN or infinite do not count.
    """
    expected = eager_result(trial, training)
    rng = np.random.default_rng((trial.seed, 23))

    def neighbour(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        return np.asarray(np.nextafter(array, rng.choice([-np.inf, np.inf], array.shape).astype(array.dtype)))

    # A call may raise on inputs just outside the range that the case gives.
    found = [0.0]
    for _ in range(4):
        with suppress(LayerError):
            found.append(difference_of_results(expected, call_eagerly(trial, training, trial.usual.map(neighbour))))
    return max(each for each in found if np.isfinite(each))


def draws_from_global_generators(trial: Trial, training: bool) -> bool:
    """Whether an eager call gives other outputs if only the seeds of the global generators change."""
    other = leaves(Trial(trial.case, trial.seed + 1).call(lively(trial), trial.usual, training=training))
    return not bitwise_equal(eager_result(trial, training).outputs, other)


def difference_of_results(expected: Result, result: Result) -> float:
    """Return the largest difference of outputs and new state, relative to their scale."""
    outputs = largest_difference(expected.outputs, result.outputs)
    return max(outputs, largest_difference(expected.state, result.state))


@once_per_trial
def training_modes(trial: Trial) -> tuple[bool, ...]:
    """Return the values of `training` to check: True only if the layer behaves differently in training."""
    inference, training = eager_result(trial, False), eager_result(trial, True)
    same = bitwise_equal(inference.outputs, training.outputs) and bitwise_equal(inference.state, training.state)
    return (False,) if same else (False, True)


@once_per_trial
def compiled_program(trial: Trial, compiler: str, training: bool) -> Callable[[Any], Result]:
    """Return the compiled lively layer: a function that runs it on the usual arguments with the variables of a layer.

    The function is traced when it first runs. The variables are its arguments and keep their values. It raises
    `Untraceable` if the layer cannot be compiled with this compiler, and `LayerError` if the layer raises.

    Args:
        trial: The trial.
        compiler: One of the names of `trial.backend.compilers()`.
        training: As in `Trial.call`.
    """
    layer = lively(trial)
    function = trial.backend.compilers()[compiler](pure(layer, trial.usual, training=training))

    def run(source: Any) -> Result:
        import keras

        require_jit(layer, compiler)
        keras.utils.set_random_seed(trial.seed)
        doing = f"calling the layer compiled by {compiler} on {describe(trial.usual)} with training={training}"
        with blaming_unless_untraceable(layer, doing):
            with trial.backend.inference():
                outputs, state = function(*tensors_of(source, trial.usual))
            return Result(_arrays(outputs), _arrays(state))

    return run


@once_per_trial
def traces(trial: Trial, training: bool) -> Traces:
    """Trace a built layer twice, each time from a new function object.

    Memory addresses and serial numbers are removed from the programs.

    Raises:
        Untraceable: If the layer cannot be traced.
        LayerError: If the layer raises.
    """
    layer = trial.built()
    require_jit(layer, next(iter(trial.backend.compilers())))
    programs = []
    for _ in range(2):
        function = pure(layer, trial.usual, training=training)
        doing = f"tracing the layer on {describe(trial.usual)}"
        with blaming_unless_untraceable(layer, doing), trial.backend.inference():
            program = trial.backend.trace(function, tensors_of(layer, trial.usual))
        programs.append(_ADDRESS.sub("", _SERIAL_NUMBER.sub("", program)))
    return Traces((programs[0], programs[1]), symbolic_tensor_paths(trial, layer))


def symbolic_tensor_paths(trial: Trial, layer: Any) -> list[str]:
    """Return the paths from the layer to tensors that belong to a trace and have no value."""
    return [path for path, _ in reachable(layer, trial.backend.is_symbolic)]


def moves_seed_state(trial: Trial, training: bool) -> bool:
    """Whether a call changes the state of a seed generator, which is a variable but not a weight."""
    layer = lively(trial)
    weights = {id(weight) for weight in layer.weights}
    seeds = [id(variable) not in weights for variable in layer.non_trainable_variables]
    before = [value for _, value in snapshot(layer.non_trainable_variables)]
    after = eager_result(trial, training).state
    return any(is_seed and not bitwise_equal(*pair) for is_seed, *pair in zip(seeds, before, after, strict=True))


_ADDRESS = re.compile(r"0x[0-9a-f]+")
_SERIAL_NUMBER = re.compile(r"(?<=[a-zA-Z])[_-]\d+")
"""TensorFlow numbers all functions of a process."""


@contextmanager
def blaming_unless_untraceable(layer: Any, doing: str) -> Iterator[None]:
    """As `blaming`, but raise `Untraceable` if a function of Keras itself cannot be traced."""
    try:
        with blaming(doing), whole_tracebacks():
            yield
    except LayerError as error:
        stack = stack_of(error.error, layer)
        culprit = NOT_ON_TORCH.get(next(reversed(keras_functions(stack)), ""))
        if culprit and not is_asked_by_layer(stack):
            raise Untraceable(f"the layer uses {culprit}, which torch.export cannot trace") from error
        raise


def require_jit(layer: Any, compiler: str) -> None:
    """Raise `Untraceable` if Keras would not use this compiler. Keras uses `tf.function` for every layer."""
    declines = not all(getattr(part, "supports_jit", True) for part in layer._flatten_layers())
    if declines and compiler != "tf.function":
        raise Untraceable(NO_JIT.format(compiler))


def _arrays(tree: Any) -> list[Array]:
    import keras

    return [np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in leaves(tree)]
