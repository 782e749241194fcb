"""The functions that the file of each backend has."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Backend(Protocol):
    """The interface of `backends.tensorflow`, `backends.jax` and `backends.torch`."""

    NAME: str
    HOST_CALLS: tuple[str, ...]
    """The names of the operations in a traced program that call back to Python."""

    def preload(self) -> None:
        """Prepare a process that only checks layers: import modules that would be imported later. Compute nothing."""

    def is_native(self, value: Any) -> bool:
        """Whether `value` is a tensor of this backend."""

    def is_native_variable(self, value: Any) -> bool:
        """Whether `value` is a variable of the framework itself, not wrapped by Keras."""

    def inference(self) -> AbstractContextManager[Any]:
        """Return a context in which no gradients are recorded."""

    def stepwise(self) -> AbstractContextManager[Any]:
        """Return a context in which loops run step by step, where the backend would compile them at every call."""

    def trace_state(self) -> Any:
        """Return a value that identifies the current trace. Tensors of an inner trace must not leave that trace."""

    def eagerly(self) -> AbstractContextManager[Any]:
        """Return a context in which operations on known values run immediately, even during tracing."""

    def gradient(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Return the gradient of a scalar `function` with respect to each tensor argument; None if there is none."""

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, a function of tensors, compiled by `tf.function`, `jax.jit` or `torch.export`."""

    def compilers(self) -> Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
        """Return the backend's ways to compile a function, by name; `jit` is the first."""

    def trace(self, function: Callable[..., Any], arguments: Sequence[Any]) -> str:
        """Trace `function` on `arguments` and return the program as text, including its constants."""

    def is_symbolic(self, value: Any) -> bool:
        """Whether `value` is a placeholder in a trace, without a concrete value."""

    def operations(self, function: Callable[..., Any], arguments: Sequence[Any]) -> int | None:
        """Count the operations that a call of `function` runs; None if they cannot be counted."""

    def call_with_free_axes(
        self, function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
    ) -> Any:
        """Trace `function` once with unknown sizes for the `free_axes` of each argument, then run it on `arguments`."""

    def exported(self, model: Any, folder: str) -> Callable[[Sequence[Any]], Any]:
        """Export a model with `model.export`, load the export, and return it as a function of a list of arrays."""

    def count(self, indices: Any, length: int) -> Any:
        """Return how often each integer below `length` occurs in a vector. This also works in compiled functions."""

    def random_state(self) -> Any:
        """Return the state of the framework's global random generator, comparable with `==`."""
