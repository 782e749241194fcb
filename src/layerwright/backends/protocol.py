"""What each backend's file offers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Backend(Protocol):
    """The functions that `backends.tensorflow`, `backends.jax` and `backends.torch` all have."""

    NAME: str
    HOST_CALLS: tuple[str, ...]
    """What a program's text calls a step that goes back to Python while the program runs."""

    def preload(self) -> None:
        """Make ready a process that only proves layers: import what is imported late, computing nothing."""

    def is_native(self, value: Any) -> bool:
        """Whether `value` is a tensor of this backend."""

    def is_native_variable(self, value: Any) -> bool:
        """Whether `value` is a raw variable of the framework, one that Keras has not wrapped."""

    def inference(self) -> AbstractContextManager[Any]:
        """Return a context in which nothing is recorded for differentiation."""

    def stepwise(self) -> AbstractContextManager[Any]:
        """Return a context in which a loop runs step by step where eagerly it would be compiled at every call."""

    def trace_state(self) -> Any:
        """Return what tells one trace from another, one within it too: tensors of the inner do not outlive it."""

    def eagerly(self) -> AbstractContextManager[Any]:
        """Return a context in which operations on known values run at once, even while something is being traced."""

    def gradient(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Return the gradient of a scalar `function` by each of its tensor `arguments`; None where there is none."""

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, a function of tensors, compiled: by `tf.function`, `jax.jit` or `torch.export`."""

    def compilers(self) -> Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
        """Return every way to compile that the backend's users have, by its name; `jit` first."""

    def trace(self, function: Callable[..., Any], arguments: Sequence[Any]) -> str:
        """Return the program that tracing `function` on `arguments` gives, as text, its constants included."""

    def is_symbolic(self, value: Any) -> bool:
        """Whether `value` stands for a tensor within a trace and has no value of its own."""

    def operations(self, function: Callable[..., Any], arguments: Sequence[Any]) -> int | None:
        """Count the operations that calling `function` carries out; None if that cannot be told."""

    def call_with_free_axes(
        self, function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
    ) -> Any:
        """Trace `function` once with the `free_axes` of each argument unknown, then run it on `arguments`."""

    def exported(self, model: Any, folder: str) -> Callable[[Sequence[Any]], Any]:
        """Export a model into a folder with `model.export`, load that and return it: a function of a list of arrays."""

    def count(self, indices: Any, length: int) -> Any:
        """Return how often each whole number below `length` stands in a vector; where it is compiled, too."""

    def random_state(self) -> Any:
        """Return the state of the framework's global random generator, comparable with `==`."""
