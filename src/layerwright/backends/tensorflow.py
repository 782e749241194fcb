"""TensorFlow: what Keras has no backend-neutral call for. `backends.protocol` documents the functions."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

NAME = "tensorflow"


def preload() -> None:
    pass  # TensorFlow is imported whole


def is_native(value: Any) -> bool:
    return isinstance(value, (tf.Tensor, tf.Variable, tf.SparseTensor, tf.RaggedTensor))


def is_native_variable(value: Any) -> bool:
    return isinstance(value, tf.Variable)


def inference() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def gradient(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    tensors = [tf.convert_to_tensor(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors)
    return tuple(gradient if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = tf.function(function, autograph=False)
    return compiled


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    concrete = tf.function(function, autograph=False).get_concrete_function(*map(tf.convert_to_tensor, arguments))
    return str(concrete.graph.as_graph_def())


def call_with_free_axes(
    function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
) -> Any:
    tensors = [tf.convert_to_tensor(argument) for argument in arguments]
    signature = [
        tf.TensorSpec([None if axis in free else size for axis, size in enumerate(tensor.shape)], tensor.dtype)
        for tensor, free in zip(tensors, free_axes, strict=True)
    ]
    return tf.function(function, input_signature=signature, autograph=False)(*tensors)


def random_state() -> Any:
    from tensorflow.python.eager import context  # op-level seeds are drawn from here; no public name

    drawn = getattr(context.context(), "_rng", None)  # there once something was seeded or drawn
    return tf.random.get_global_generator().state.numpy().tolist(), drawn and drawn.getstate()
