"""Whose code an exception, or a moment of a trace, comes from: the layer's own, Keras's or another library's."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any, Literal

LIBRARIES = ("keras", "tensorflow", "jax", "torch", "builtins")
Owner = Literal["layer", "keras", "other"]
Stack = Sequence[tuple[FrameType, Owner]]


def stack_of(error: BaseException, layer: Any) -> Stack:
    """Return the frames of an exception's traceback, outermost first, each with its owner; see `owned`."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return owned(frames, layer)


def owned(frames: Sequence[FrameType], layer: Any) -> Stack:
    """Return the frames from the layer's own `call` on, each with its owner.

    The layer's own code is what lies beside the files that define its class and the class's bases.
    """
    import keras

    calls = [frame.f_code.co_name == "call" and _first_argument(frame) is layer for frame in frames]
    inside = frames[calls.index(True) :] if True in calls else []
    root = str(Path(keras.__file__).parent) + os.sep
    own = _own_places(type(layer))

    def owner(path: str) -> Owner:
        if path.startswith(root):
            return "keras"
        return "layer" if path in own or os.path.dirname(path) in own else "other"

    return [(frame, owner(frame.f_code.co_filename)) for frame in inside]


def _first_argument(frame: FrameType) -> Any:
    return frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))


def is_asked_by_layer(stack: Stack) -> bool:
    """Whether the layer's own code called what the last frames run, with no function of Keras in between."""
    return next((owner for _, owner in reversed(stack) if owner != "other"), "keras") == "layer"


def keras_functions(stack: Stack) -> list[str]:
    """Return the files and names of Keras's functions that ran, outermost first, as `ops/numpy.py:reshape`."""
    return [
        f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{frame.f_code.co_name}"
        for frame, owner in stack
        if owner == "keras"
    ]


@contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Keep the frames that Keras would drop from tracebacks."""
    import keras

    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def _own_places(kind: type) -> set[str]:
    """Return the files that define a class and its bases, and their folders but for those of installed packages."""
    bases = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in LIBRARIES]
    methods = [value for base in bases for value in vars(base).values() if isinstance(value, FunctionType)]
    files = {method.__code__.co_filename for method in methods}
    folders = {os.path.dirname(file) for file in files}
    return files | {folder for folder in folders if folder and not folder.endswith("-packages")}
