"""JAX: what Keras has no backend-neutral call for. `backends.protocol` documents the functions."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

NAME = "jax"


def preload() -> None:
    """Do nothing: all that is needed is imported above."""


def is_native(value: Any) -> bool:
    return isinstance(value, jax.Array) or type(value).__module__.startswith("jax.experimental.sparse")


def is_native_variable(value: Any) -> bool:  # noqa: ARG001 - JAX has no variables
    return False


def inference() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def gradient(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(jax.grad(function, argnums=tuple(range(len(arguments))))(*map(jnp.asarray, arguments)))


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = jax.jit(function)
    return compiled


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    return str(jax.make_jaxpr(function)(*map(jnp.asarray, arguments)))


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


def random_state() -> Any:
    return None
