"""Watch how layers are constructed and called while some code runs, and write it down as cases."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

from layerwright.core.case import Case, InputSpec

MOST_CALLS = 3
"""How many calls of one layer object are written down."""

SET_BY_KERAS = frozenset({"training"})
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Use:
    """How a layer was once constructed and called.

    Attributes:
        layer: The layer's class.
        init: Its constructor arguments by name.
        inputs: The first call argument, as in `Case`; None if the layer was only constructed.
        call: Further call arguments that were passed, as in `Case`.
        where: The file and line outside Keras that called or constructed it.
        is_guess: Whether what called it was itself called with guessed inputs.
        instance: The layer itself.
    """

    layer: type
    init: Mapping[str, Any]
    inputs: Any = None
    call: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    is_guess: bool = False
    instance: Any = field(default=None, compare=False, repr=False)

    def as_case(self) -> Case:
        """Return the case that constructs and calls the layer in the same way."""
        return Case(self.layer, self.init, self.inputs, self.call)


class Observer:
    """What was seen of the layers that `wanted` chooses: `constructed` in any case, `called` where one was called."""

    def __init__(self, wanted: Callable[[type], bool]) -> None:
        self.wanted = wanted
        self.constructed: list[Use] = []
        self.called: list[Use] = []
        self._init: dict[int, Use] = {}
        self._calls: dict[int, int] = {}

    def note_constructed(self, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Write down the arguments of a constructor."""
        init = _bound(type(layer).__init__, (layer, *args), kwargs)
        if not self.wanted(type(layer)) or init is None:
            return
        init.pop("name", None)
        use = Use(type(layer), init, where=_caller(), instance=layer)
        self._init[id(layer)] = use
        self.constructed.append(use)

    def note_called(self, layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Write down the arguments of a call."""
        if not self.wanted(type(layer)) or self._calls.get(id(layer), 0) >= MOST_CALLS:
            return
        given = _bound(type(layer).call, (layer, *args), kwargs)
        if not given:
            return
        self._calls[id(layer)] = self._calls.get(id(layer), 0) + 1
        name, first = next(iter(given.items()))
        rest = {key: value for key, value in given.items() if key != name and key not in SET_BY_KERAS}
        mask = _attached_mask(first)
        if mask is not None and "mask" in inspect.signature(type(layer).call).parameters and rest.get("mask") is None:
            rest["mask"] = mask
        call = {key: described for key, value in rest.items() if (described := _described(value)) is not None}
        inputs = _described(first)
        if inputs is None or not _holds_spec(inputs):
            return
        known = self._init.get(id(layer))
        init = {} if known is None else known.init
        self.called.append(Use(type(layer), init, inputs, call, _caller(), instance=layer))


@contextmanager
def observing(wanted: Callable[[type], bool], observer: Observer | None = None) -> Iterator[Observer]:
    """Write down how the layers that `wanted` chooses by class are constructed and called inside the block.

    Args:
        wanted: Says of a class of layers whether it is watched.
        observer: What writes it down; by default a new one.
    """
    import keras

    observer = observer or Observer(wanted)
    layer_class = keras.layers.Layer
    construct, call = layer_class.__new__, layer_class.__call__

    def constructing(cls: type, *args: Any, **kwargs: Any) -> Any:
        layer = construct(cls, *args, **kwargs)
        observer.note_constructed(layer, args, kwargs)
        return layer

    @wraps(call)
    def calling(self: Any, *args: Any, **kwargs: Any) -> Any:
        observer.note_called(self, args, kwargs)
        return call(self, *args, **kwargs)

    layer_class.__new__ = staticmethod(constructing)
    layer_class.__call__ = calling
    try:
        yield observer
    finally:
        layer_class.__new__ = staticmethod(construct)
        layer_class.__call__ = call


def free_where_different(one: Any, other: Any) -> Any:
    """Return a structure of specs with None where the sizes of the two differ."""
    if isinstance(one, InputSpec) and isinstance(other, InputSpec) and len(one.shape) == len(other.shape):
        sizes = (size if size == twin else None for size, twin in zip(one.shape, other.shape, strict=True))
        return replace(one, shape=tuple(sizes))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {name: free_where_different(value, other.get(name)) for name, value in one.items()}
    if type(one) in (list, tuple) and type(one) is type(other) and len(one) == len(other):
        return type(one)(free_where_different(*pair) for pair in zip(one, other, strict=True))
    return one


def _bound(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arguments of a call of a method by name, without `self`; None if they do not fit its signature."""
    try:
        signature = inspect.signature(function)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return None
    named: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return None
        named |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
    return named


def _described(value: Any) -> Any:
    """Return tensors as specs, plain values as they are, in their structure; None for what no case can hold."""
    if isinstance(value, Mapping):
        keyed = {str(key): _described(item) for key, item in value.items()}
        return keyed if all(item is not None for item in keyed.values()) else None
    if type(value) in (list, tuple):
        items = [_described(item) for item in value]
        return None if any(new is None and old is not None for new, old in zip(items, value, strict=True)) else items
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _spec(value)
    return value if isinstance(value, PLAIN) else None


def _spec(tensor: Any) -> InputSpec | None:
    """Return the spec of a tensor whose axis 0 is the batch."""
    import keras

    try:
        shape = tuple(tensor.shape)
        dtype = keras.backend.standardize_dtype(tensor.dtype)
    except (TypeError, ValueError):
        return None
    if not shape:
        return None
    sizes = tuple(int(size) if isinstance(size, int) else None for size in shape[1:])  # JAX has symbolic sizes
    high = 2 if "int" in dtype else None
    return InputSpec((None, *sizes), dtype, high=high)


def _attached_mask(inputs: Any) -> Any:
    """Return the mask that Keras would pass for one tensor, or for several of which each has one."""
    import keras

    masks = [getattr(leaf, "_keras_mask", None) for leaf in keras.tree.flatten(inputs)]
    if any(mask is None for mask in masks) or not masks:
        return None
    return masks[0] if len(masks) == 1 else masks


def _holds_spec(value: Any) -> bool:
    import keras

    return any(isinstance(leaf, InputSpec) for leaf in keras.tree.flatten(value))


def _caller() -> str:
    """Return the file and line, outside Keras and this package, that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.suffix == ".py" and not _PACKAGES & set(path.parts):
            return f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


_PACKAGES = {"keras", "layerwright", "tensorflow", "torch", "jax"}
