"""Watches a model outside `fit`: in a custom training loop, in `predict`, or in plain calls."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends
from layerwright.backends.interception import intercepted, shadowed
from layerwright.watch.forward import ForwardPass, stack_rows
from layerwright.watch.request import WatchRequest

KERAS_FUNCTIONS = ("train_function", "test_function", "predict_function")
OnOutput = Callable[[dict[str, Any]], None]


@contextmanager
def watched_calls(model: Any, request: WatchRequest, on_output: OnOutput) -> Iterator[None]:
    """Within this context, each call of the model passes the statistics of its activations to `on_output`.

    Functions that are compiled within the context call back to the host. The functions that Keras compiled before are
    set aside until the context ends. On TensorFlow, so is `jit_compile`, because XLA cannot call back.
    """
    is_running = False

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_running
        if is_running:
            return original(*args, **kwargs)
        is_running = True
        try:
            forward = ForwardPass(request)
            with intercepted(request.layers, forward.collect):
                outputs = original(*args, **kwargs)
        finally:
            is_running = False
        if keras.backend.backend() == "torch" and any(map(backends.current().is_symbolic, tree.flatten(outputs))):
            return outputs  # Keras is inferring shapes, with tensors that have no values
        for names, rows in stack_rows(forward.rows()).items():
            _send_to_host(names, rows, on_output)
        return outputs

    original = model.call
    jit_compile = getattr(model, "jit_compile", None)
    with ExitStack() as stack:
        stack.enter_context(shadowed(model, "call", call))
        for name in KERAS_FUNCTIONS:
            stack.callback(setattr, model, name, getattr(model, name, None))
            setattr(model, name, None)
        if jit_compile and keras.backend.backend() == "tensorflow":
            stack.callback(setattr, model, "jit_compile", jit_compile)
            model.jit_compile = False
        yield


def _send_to_host(names: tuple[str, ...], rows: Any, on_output: OnOutput) -> None:
    def receive(rows: Any) -> None:
        on_output({"activation": {names: np.asarray(rows)}})

    if not backends.current().is_symbolic(rows):
        receive(ops.convert_to_numpy(rows))
    elif keras.backend.backend() == "jax":
        import jax

        jax.debug.callback(receive, rows)
    else:
        import tensorflow as tf

        tf.numpy_function(receive, [rows], [], stateful=True)
