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
def intercepted(layers: Mapping[str, Any], see: Callable[[str, Any], None]) -> Iterator[None]:
    """While open, call `see(path, outputs)` after every call of one of the layers.

    The layers' methods are shadowed on the instance, and as they were afterwards.
    """
    with ExitStack() as stack:
        for path, layer in layers.items():
            for method in ("call", "quantized_call"):  # the latter is called instead where a layer is quantised
                if hasattr(layer, method):
                    stack.enter_context(_shadowed(layer, method, path, see))
        yield


@contextmanager
def _shadowed(layer: Any, method: str, path: str, see: Callable[[str, Any], None]) -> Iterator[None]:
    own = vars(layer).get(method)
    original = getattr(layer, method)

    def seen(*args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        see(path, outputs)
        return outputs

    vars(layer)[method] = seen
    try:
        yield
    finally:
        if own is None:
            del vars(layer)[method]
        else:
            vars(layer)[method] = own
