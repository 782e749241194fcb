"""PyTorch: what Keras has no backend-neutral call for. `backends.protocol` documents the functions."""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

NAME = "torch"
EXPORT_MODULES = ("networkx", "torch.utils._sympy.interp", "torch._export.non_strict_utils", "torch.export._trace")
"""What the first `torch.export.export` would import: half a second, once in the parent rather than in each child."""


def preload() -> None:
    for name in EXPORT_MODULES:  # a later torch may lack one; then it is imported when it is needed
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def is_native(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def is_native_variable(value: Any) -> bool:
    return isinstance(value, torch.nn.Parameter)


def inference() -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = torch.no_grad()
    return context


def gradient(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
    tensors = [torch.as_tensor(argument).detach().clone().requires_grad_() for argument in arguments]
    return tuple(torch.autograd.grad(function(*tensors), tensors, allow_unused=True))


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    programs: dict[Any, Any] = {}

    def compiled(*tensors: Any) -> Any:
        signature = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        if signature not in programs:
            programs[signature] = torch.export.export(_module(function), tensors, strict=False).module()
        return programs[signature](*tensors)

    return compiled


def trace(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    from torch.fx.experimental.proxy_tensor import make_fx

    return str(make_fx(function)(*map(torch.as_tensor, arguments)).code)


def random_state() -> Any:
    return torch.random.get_rng_state().tolist()


def call_with_free_axes(
    function: Callable[..., Any], arguments: Sequence[Any], free_axes: Sequence[Sequence[int]]
) -> Any:
    tensors = tuple(torch.as_tensor(argument) for argument in arguments)
    free = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in free_axes)
    program = torch.export.export(_module(function), tensors, dynamic_shapes=(free,), strict=False)
    return program.module()(*tensors)


def _module(function: Callable[..., Any]) -> torch.nn.Module:
    class Program(torch.nn.Module):
        def forward(self, *tensors: Any) -> Any:
            return function(*tensors)

    return Program()
