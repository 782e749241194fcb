"""PyTorch: operations for which Keras has no backend-neutral function. `backends.protocol` documents them."""

import contextlib
import hashlib
import importlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import torch
from torch.utils._python_dispatch import _disable_current_modes

NAME = "torch"
HOST_CALLS: tuple[str, ...] = ()  # torch.export has none: it refuses what it cannot trace
EXPORT_MODULES = ("networkx", "torch.utils._sympy.interp", "torch._export.non_strict_utils", "torch.export._trace")
"""What the first `torch.export.export` imports. The parent process imports it once, which saves each child 0.5 s."""

TRACED_TYPES = ("FakeTensor", "FunctionalTensor")


def preload() -> None:
    for name in EXPORT_MODULES:  # a later torch may lack one of them
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def is_native(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def is_native_variable(value: Any) -> bool:
    return isinstance(value, torch.nn.Parameter)


def inference() -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = torch.no_grad()
    return context


def stepwise() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def trace_state() -> Any:
    return None  # loops run in Python, so there is only one trace


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    device = keras.device("gpu" if torch.cuda.is_available() else "cpu")
    with _disable_current_modes(), torch._C.DisableTorchFunction(), device:
        yield


def gradient(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    tensors = [torch.as_tensor(argument).detach().clone().requires_grad_() for argument in arguments]
    value = function(*tensors)
    if not value.requires_grad:
        return (None,) * len(tensors)
    return tuple(torch.autograd.grad(value, tensors, allow_unused=True))


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    programs: dict[Any, Any] = {}

    def compiled(*tensors: Any) -> Any:
        signature = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        if signature not in programs:
            programs[signature] = _export(function, tensors).module()
        return programs[signature](*tensors)

    return compiled


def compilers() -> Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return {"torch.export": jit}


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    program = _export(function, tuple(map(torch.as_tensor, arguments)))
    return "\n".join([str(program.graph_module.code), *map(_digest, program.constants.values())])


def is_symbolic(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_meta or type(value).__name__ in TRACED_TYPES)


def operations(function: Callable[..., Any], arguments: Sequence[Any]) -> int | None:
    from torch.utils._python_dispatch import TorchDispatchMode  # documented, but without a public name

    count = 0

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal count
            count += 1
            return func(*args, **(kwargs or {}))

    tensors = [torch.as_tensor(argument) for argument in arguments]
    with Counter():
        function(*tensors)
    return count


def count(indices: Any, length: int) -> Any:
    return torch.bincount(indices, minlength=length)


def random_state() -> Any:
    return torch.random.get_rng_state().tolist()


def call_with_free_axes(
    function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
) -> Any:
    tensors = tuple(torch.as_tensor(argument) for argument in arguments)
    free = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in free_axes)
    return _export(function, tensors, dynamic_shapes=(free,)).module()(*tensors)


def exported(model: Any, folder: str) -> Callable[[Sequence[Any]], Any]:
    path = str(Path(folder, "model.pt2"))
    with _quiet():
        model.export(path, format="torch", verbose=False)
    program = torch.export.load(path).module()
    return lambda arrays: program([torch.as_tensor(array) for array in arrays])


def _export(function: Callable[..., Any], tensors: tuple[Any, ...], **options: Any) -> Any:
    with _quiet():
        return torch.export.export(_module(function), tensors, strict=False, **options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch.export logs and prints when it fails. It raises the same as an exception."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    logger.addFilter(_is_below_warning)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.removeFilter(_is_below_warning)


def _is_below_warning(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING


def _module(function: Callable[..., Any]) -> torch.nn.Module:
    class Program(torch.nn.Module):
        def forward(self, *tensors: Any) -> Any:
            return function(*tensors)

    return Program()


def _digest(constant: Any) -> str:
    if not isinstance(constant, torch.Tensor):
        return str(constant)
    return hashlib.sha256(constant.detach().double().numpy().tobytes()).hexdigest()
