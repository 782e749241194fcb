"""Watch a model outside `fit`: in a loop of one's own, in `predict`, or in plain calls."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from layerwright import backends
from layerwright.backends.interception import intercepted, shadowed
from layerwright.watch.forward import Forward, packed
from layerwright.watch.plan import Plan

FUNCTIONS = ("train_function", "test_function", "predict_function")
Receive = Callable[[dict[str, Any]], None]


@contextmanager
def watched_calls(model: Any, plan: Plan, receive: Receive) -> Iterator[None]:
    """While open, each call of the model hands the statistics of its activations to `receive`.

    That holds for calls inside functions that are compiled meanwhile, too: these call back to the host. What Keras has
    compiled for the model is set aside meanwhile, and on TensorFlow XLA with it, which cannot call back.
    """
    is_open = False

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_open
        if is_open:
            return original(*args, **kwargs)
        is_open = True
        try:
            forward = Forward(plan)
            with intercepted(plan.layers, forward.see):
                outputs = original(*args, **kwargs)
        finally:
            is_open = False
        if keras.backend.backend() == "torch" and any(map(backends.current().is_symbolic, tree.flatten(outputs))):
            return outputs  # Keras tries the model out, on tensors without values
        for names, rows in packed(forward.rows()).items():
            _hand_over(names, rows, receive)
        return outputs

    original = model.call
    jit_compile = getattr(model, "jit_compile", None)
    with ExitStack() as stack:
        stack.enter_context(shadowed(model, "call", call))
        for name in FUNCTIONS:
            stack.callback(setattr, model, name, getattr(model, name, None))
            setattr(model, name, None)
        if jit_compile and keras.backend.backend() == "tensorflow":
            stack.callback(setattr, model, "jit_compile", jit_compile)
            model.jit_compile = False
        yield


def _hand_over(names: tuple[str, ...], rows: Any, receive: Receive) -> None:
    def arrived(rows: Any) -> None:
        receive({"activation": {names: np.asarray(rows)}})

    if not backends.current().is_symbolic(rows):
        arrived(ops.convert_to_numpy(rows))
    elif keras.backend.backend() == "jax":
        import jax

        jax.debug.callback(arrived, rows)
    else:
        import tensorflow as tf

        tf.numpy_function(arrived, [rows], [], stateful=True)
