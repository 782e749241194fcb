"""Find the layers inside a model by path, and see what they return while it runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any


def inner_layers(model: Any) -> dict[str, Any]:
    """Return every layer inside a model or layer by its path, such as `"encoder/dense"`, each once, in their order."""
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
def intercepted(layers: Mapping[str, Any], see: Callable[[str, Any], Any]) -> Iterator[None]:
    """While open, every call of one of the layers returns `see(path, outputs)` in place of its outputs.

    The layers' methods are shadowed on the instance, and as they were afterwards.
    """
    with ExitStack() as stack:
        for path, layer in layers.items():
            for method in ("call", "quantized_call"):  # the latter is called instead where a layer is quantised
                if hasattr(layer, method):
                    stack.enter_context(shadowed(layer, method, _seen(getattr(layer, method), path, see)))
        yield


def _seen(call: Callable[..., Any], path: str, see: Callable[[str, Any], Any]) -> Callable[..., Any]:
    def seen(*args: Any, **kwargs: Any) -> Any:
        return see(path, call(*args, **kwargs))

    return seen


@contextmanager
def shadowed(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """While open, the attribute `name` of this one object is `replacement`. No `__setattr__` sees it."""
    own = vars(owner)
    before = {name: own[name]} if name in own else {}
    own[name] = replacement
    try:
        yield
    finally:
        del own[name]
        own.update(before)
