"""TensorFlow: operations for which Keras has no backend-neutral function. `backends.protocol` documents them."""

import contextlib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import random_seed

NAME = "tensorflow"
HOST_CALLS = ("PyFunc", "EagerPyFunc", "PyFuncStateless")


def preload() -> None:
    """Make seeding cheap.

    `tf.random.set_seed` discards every kernel that TensorFlow has created, and a check of a layer sets hundreds of
    seeds. So this function delays a seed until one of TensorFlow's own generators is used, which `keras.random` never
    does. From then on, `tf.random.set_seed` works as usual.
    """
    ask, seed = random_seed.get_seed, tf.random.set_seed
    used = False
    waiting: list[int] = []

    def get_seed(op_seed: Any) -> Any:
        nonlocal used
        used = True
        while waiting:
            value = waiting.pop()
            seed(value)  # the seed of the graph that is being built, if any
            with tf.init_scope():
                seed(value)
        return ask(op_seed)

    def set_seed(value: int) -> None:
        if used:
            seed(value)
        else:
            waiting[:] = [value]

    random_seed.get_seed = get_seed
    tf.random.set_seed = set_seed


def is_native(value: Any) -> bool:
    return isinstance(value, (tf.Tensor, tf.Variable, tf.SparseTensor, tf.RaggedTensor))


def is_native_variable(value: Any) -> bool:
    return isinstance(value, tf.Variable)


def inference() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def stepwise() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def trace_state() -> Any:
    return id(tf.compat.v1.get_default_graph())


def eagerly() -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = tf.init_scope()
    return context


def gradient(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    tensors = [tf.convert_to_tensor(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors)
    return tuple(gradient if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    return _compiled(function, xla=False)


def compilers() -> Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return {"tf.function": jit, "tf.function(jit_compile=True)": functools.partial(_compiled, xla=True)}


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    concrete = tf.function(function, autograph=False).get_concrete_function(*map(tf.convert_to_tensor, arguments))
    graph = concrete.graph.as_graph_def()
    graph.library.function.sort(key=_serial_number)
    return str(graph)


def is_symbolic(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and bool(tf.is_symbolic_tensor(value))


def operations(function: Callable[..., Any], arguments: Sequence[Any]) -> int | None:
    from tensorflow.python.framework import op_callbacks  # no public name

    tensors = [tf.convert_to_tensor(argument) for argument in arguments]
    function(*tensors)  # traces any tf.function inside, so that tracing is not counted
    count = 0

    def on_operation(*_: Any, **__: Any) -> None:
        nonlocal count
        count += 1

    op_callbacks.add_op_callback(on_operation)
    try:
        function(*tensors)
    finally:
        op_callbacks.remove_op_callback(on_operation)
    return count


def call_with_free_axes(
    function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
) -> Any:
    tensors = [tf.convert_to_tensor(argument) for argument in arguments]
    signature = [
        tf.TensorSpec([None if axis in free else size for axis, size in enumerate(tensor.shape)], tensor.dtype)
        for tensor, free in zip(tensors, free_axes, strict=True)
    ]
    return tf.function(function, input_signature=signature, autograph=False)(*tensors)


def exported(model: Any, folder: str) -> Callable[[Sequence[Any]], Any]:
    model.export(folder, verbose=False)
    program = tf.saved_model.load(folder)
    return lambda arrays: program.serve([tf.convert_to_tensor(array) for array in arrays])


def count(indices: Any, length: int) -> Any:
    return tf.math.unsorted_segment_sum(tf.ones_like(indices), indices, length)  # XLA does not compile tf.math.bincount


def random_state() -> Any:
    from tensorflow.python.eager import context  # no public name; seeds of single operations are drawn from it

    generator = getattr(context.context(), "_rng", None)  # exists once a seed was set or drawn
    return tf.random.get_global_generator().state.numpy().tolist(), generator and generator.getstate()


def _compiled(function: Callable[..., Any], *, xla: bool) -> Callable[..., Any]:
    compiled: Callable[..., Any] = tf.function(function, autograph=False, jit_compile=xla)
    compiled._omit_frequent_tracing_warning = True  # type: ignore[attr-defined]  # checks retrace on purpose
    return compiled


def _serial_number(function: Any) -> int:
    """Return the number at the end of a function's name. TensorFlow numbers functions in the order of creation."""
    digits = re.search(r"\d+$", function.signature.name)
    return int(digits[0]) if digits else 0
