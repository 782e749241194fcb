"""JAX: operations for which Keras has no backend-neutral function. `backends.protocol` documents them."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.export
import jax.extend.core
import jax.numpy as jnp
import numpy as np

NAME = "jax"
HOST_CALLS = ("pure_callback", "io_callback")


_core = jax.extend.core if hasattr(jax.extend.core, "jaxprs_in_params") else jax.core  # `jax.core` before JAX 0.7


def preload() -> None:
    """Do nothing: everything is imported above."""


def is_native(value: Any) -> bool:
    return isinstance(value, jax.Array) or type(value).__module__.startswith("jax.experimental.sparse")


def is_native_variable(value: Any) -> bool:  # noqa: ARG001 - JAX has no variables
    return False


def inference() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def stepwise() -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = jax.disable_jit()
    return context


def trace_state() -> Any:
    return _core.get_opaque_trace_state()


def eagerly() -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = jax.ensure_compile_time_eval()
    return context


def gradient(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(jax.grad(function, argnums=tuple(range(len(arguments))))(*map(jnp.asarray, arguments)))


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = jax.jit(function)
    return compiled


def compilers() -> Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return {"jax.jit": jit}


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    program = jax.make_jaxpr(function)(*map(jnp.asarray, arguments))
    return "\n".join([str(program), *map(_digest, program.consts)])


def is_symbolic(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def operations(function: Callable[..., Any], arguments: Sequence[Any]) -> int | None:
    return _executed(jax.make_jaxpr(function)(*map(jnp.asarray, arguments)).jaxpr)


def _executed(program: Any) -> int | None:
    """Count the equations that a program evaluates, those in a scan once per step; None if it has a while loop."""
    total = 0
    for equation in program.eqns:
        if equation.primitive.name == "while":
            return None
        inner = [_executed(part) for part in _core.jaxprs_in_params(equation.params)]
        if None in inner:
            return None
        total += 1 + equation.params.get("length", 1) * sum(count or 0 for count in inner)
    return total


def call_with_free_axes(
    function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
) -> Any:
    arrays = [jnp.asarray(argument) for argument in arguments]
    names: dict[tuple[int, int], str] = {}
    symbols = []
    for array, free in zip(arrays, free_axes, strict=True):
        words = [
            names.setdefault((axis, size), "batch" if axis == 0 else f"free{axis}_{size}")
            if axis in free
            else str(size)
            for axis, size in enumerate(array.shape)
        ]
        symbols.append(", ".join(words))
    scope = jax.export.SymbolicScope()
    shapes = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"({words},)" if words else "()", scope=scope), array.dtype)
        for words, array in zip(symbols, arrays, strict=True)
    ]
    return jax.export.export(jax.jit(function))(*shapes).call(*arrays)


def exported(model: Any, folder: str) -> Callable[[Sequence[Any]], Any]:
    from layerwright.backends import tensorflow  # on JAX, Keras exports to TensorFlow

    return tensorflow.exported(model, folder)


def count(indices: Any, length: int) -> Any:
    return jnp.zeros(length, "int32").at[indices].add(1)  # one pass in XLA; comparing with each bin takes one per bin


def random_state() -> Any:
    return None


def _digest(constant: Any) -> str:
    is_key = jnp.issubdtype(constant.dtype, jax.dtypes.prng_key)
    array = np.asarray(jax.random.key_data(constant) if is_key else constant)
    return hashlib.sha256(array.tobytes()).hexdigest()
