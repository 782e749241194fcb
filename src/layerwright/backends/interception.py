"""Finds the layers inside a model by path, and intercepts their outputs while the model runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any


def inner_layers(model: Any) -> dict[str, Any]:
    """Return every layer inside a model or layer by path, such as `"encoder/dense"`, each once, in Keras's order."""
    found: dict[str, Any] = {}
    seen = {id(model)}

    def visit(parent: Any, prefix: str) -> None:
        for layer in parent._flatten_layers(include_self=False, recursive=False):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = prefix + layer.name
            found[path] = layer
            visit(layer, f"{path}/")

    visit(model, "")
    return found


@contextmanager
def intercepted(layers: Mapping[str, Any], on_outputs: Callable[[str, Any], Any]) -> Iterator[None]:
    """Within this context, every call of one of the layers returns `on_outputs(path, outputs)` instead of its outputs.

    Methods are replaced on each layer object, and restored at the end.
    """
    with ExitStack() as stack:
        for path, layer in layers.items():
            for method in ("call", "quantized_call"):  # a quantised layer runs `quantized_call` instead of `call`
                if hasattr(layer, method):
                    stack.enter_context(
                        shadowed(layer, method, _with_replaced_outputs(getattr(layer, method), path, on_outputs))
                    )
        yield


def _with_replaced_outputs(
    call: Callable[..., Any], path: str, on_outputs: Callable[[str, Any], Any]
) -> Callable[..., Any]:
    def replaced(*args: Any, **kwargs: Any) -> Any:
        return on_outputs(path, call(*args, **kwargs))

    return replaced


@contextmanager
def shadowed(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Within this context, the attribute `name` of this object is `replacement`. No `__setattr__` is called."""
    own = vars(owner)
    before = {name: own[name]} if name in own else {}
    own[name] = replacement
    try:
        yield
    finally:
        del own[name]
        own.update(before)
