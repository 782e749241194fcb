"""How each backend runs the contestants of `layers.py`: as in training, and with other ways to compile."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import keras

Prepare = Callable[..., Callable[[], Any]]


def modes(torch_compile: bool) -> dict[str, Prepare]:
    """Return the modes of this backend by name.

    A mode turns a contestant and its inputs into a function without arguments that waits for the result.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return {"jit": _jax}
    if backend == "tensorflow":
        return {"graph": _tensorflow(xla=False), "XLA": _tensorflow(xla=True)}
    return {"torch.compile": _torch(compiled=True)} if torch_compile else {"eager": _torch(compiled=False)}


def _is_float(array: Any) -> bool:
    return array.dtype.kind == "f"


def _jax(contestant: Any, inputs: Any, backward: bool) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    layer, call = contestant.layer, {name: jnp.asarray(value) for name, value in contestant.call.items()}
    x = jnp.asarray(inputs)
    if layer is None:
        weights: Any = [jnp.asarray(weight) for weight in contestant.weights]
        state: Any = []

        def run(weights: Any, state: Any, x: Any, call: Any) -> Any:  # noqa: ARG001 - same signature as for a layer
            return contestant.function(weights, x, **call), 0.0
    else:
        if not layer.built:
            layer(inputs, **contestant.call)
        weights = [variable.value for variable in layer.trainable_variables]
        state = [variable.value for variable in layer.non_trainable_variables]

        def run(weights: Any, state: Any, x: Any, call: Any) -> Any:
            outputs, _, losses = layer.stateless_call(weights, state, x, **call, return_losses=True)
            return outputs, sum(losses)

    def loss(weights: Any, x: Any, state: Any, call: Any) -> Any:
        outputs, losses = run(weights, state, x, call)
        return jnp.sum(outputs * outputs) + losses

    def forward(weights: Any, x: Any, state: Any, call: Any) -> Any:
        return run(weights, state, x, call)[0]

    wanted = (0, 1) if _is_float(inputs) else (0,)
    compiled = jax.jit(jax.grad(loss, argnums=wanted) if backward else forward)
    return lambda: jax.block_until_ready(compiled(weights, x, state, call))


def _eager(contestant: Any, make: Callable[[Any], Any]) -> tuple[FunctionType, list[Any]]:
    """Return a function of inputs and call arguments, and the weights that it uses."""
    layer = contestant.layer
    if layer is None:
        weights = [make(weight) for weight in contestant.weights]
        return (lambda x, **call: (contestant.function(weights, x, **call), 0.0)), weights

    def run(x: Any, **call: Any) -> Any:
        outputs = layer(x, **call)
        return outputs, sum(layer.losses)

    return run, [variable.value for variable in layer.trainable_variables]


def _tensorflow(xla: bool) -> Prepare:
    import tensorflow as tf

    def prepare(contestant: Any, inputs: Any, backward: bool) -> Callable[[], Any]:
        if contestant.layer is not None and not contestant.layer.built:
            contestant.layer(inputs, **contestant.call)
        run, weights = _eager(contestant, tf.Variable)
        x, call = tf.constant(inputs), {name: tf.constant(value) for name, value in contestant.call.items()}
        wanted = [*weights, x] if _is_float(inputs) else weights

        def forward() -> Any:
            return run(x, **call)[0]

        def both() -> Any:
            with tf.GradientTape() as tape:
                if _is_float(inputs):
                    tape.watch(x)
                outputs, losses = run(x, **call)
                loss = tf.reduce_sum(outputs * outputs) + losses
            return tape.gradient(loss, wanted)

        compiled = tf.function(both if backward else forward, jit_compile=xla, autograph=False)
        return lambda: compiled()

    return prepare


def _of_its_own(function: FunctionType) -> FunctionType:
    """Return a copy of the function with its own code object, so torch.compile does not search earlier compilations."""
    return FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def _torch(compiled: bool) -> Prepare:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if compiled:
        import torch._dynamo

        # Every layer runs the same functions of Keras, so torch would soon reach its limits and stop compiling them.
        for name in ("recompile_limit", "accumulated_recompile_limit"):
            setattr(torch._dynamo.config, name, 10_000)

    def prepare(contestant: Any, inputs: Any, backward: bool) -> Callable[[], Any]:
        if contestant.layer is not None and not contestant.layer.built:
            contestant.layer(inputs, **contestant.call)
        run, weights = _eager(contestant, lambda weight: torch.tensor(weight, device=device, requires_grad=backward))
        x = torch.tensor(inputs, device=device, requires_grad=backward and _is_float(inputs))
        call = {name: torch.tensor(value, device=device) for name, value in contestant.call.items()}
        wanted = [*(weight for weight in weights if weight.requires_grad), *([x] if x.requires_grad else [])]
        called = torch.compile(_of_its_own(run)) if compiled else run

        def forward() -> Any:
            with torch.no_grad():
                return called(x, **call)[0]

        def both() -> Any:
            outputs, losses = called(x, **call)
            return wanted and torch.autograd.grad((outputs * outputs).sum() + losses, wanted)

        step = both if backward else forward

        def run_and_wait() -> Any:
            outputs = step()
            if device == "cuda":
                torch.cuda.synchronize()
            return outputs

        return run_and_wait

    return prepare
