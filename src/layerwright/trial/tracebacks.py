"""Decide whether an exception or a traced operation comes from the layer's own code, from Keras or from elsewhere."""

import dis
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
    """Return the frames of an exception's traceback, outermost first, each with the owner of its code; see `owned`."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return owned(frames, layer)


def owned(frames: Sequence[FrameType], layer: Any) -> Stack:
    """Return the frames from the layer's own `call` on, each with the owner of its code.

    The layer's own code is in the files that define its class and the class's bases, and in the folders of these files.
    """
    import keras

    calls = [frame.f_code.co_name == "call" and _first_argument(frame) is layer for frame in frames]
    inside = frames[calls.index(True) :] if True in calls else []
    root = str(Path(keras.__file__).parent) + os.sep
    own = _own_files_and_folders(type(layer))

    def owner(path: str) -> Owner:
        if path.startswith(root):
            return "keras"
        return "layer" if path in own or os.path.dirname(path) in own else "other"

    return [(frame, owner(frame.f_code.co_filename)) for frame in inside]


def is_raised_on_purpose(error: BaseException, layer: Any) -> bool:
    """Whether an exception comes from a `raise` statement in the layer's own code, and says something."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not str(error):
        return False
    code, own = trace.tb_frame.f_code, _own_files_and_folders(type(layer))
    is_own = code.co_filename in own or os.path.dirname(code.co_filename) in own
    # Where Keras has removed its own frames, the last frame that is left does not raise.
    return is_own and code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _first_argument(frame: FrameType) -> Any:
    return frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))


def is_asked_by_layer(stack: Stack) -> bool:
    """Whether the layer's own code called the library code in the last frames directly, not through Keras."""
    return next((owner for _, owner in reversed(stack) if owner != "other"), "keras") == "layer"


def keras_functions(stack: Stack) -> list[str]:
    """Return the file and name of each Keras function in the stack, outermost first, such as `ops/numpy.py:reshape`."""
    return [
        f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{frame.f_code.co_name}"
        for frame, owner in stack
        if owner == "keras"
    ]


@contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Keep the frames that Keras would remove from tracebacks."""
    import keras

    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def _own_files_and_folders(kind: type) -> set[str]:
    """Return the files that define a class and its bases, and their folders, except those of installed packages."""
    bases = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in LIBRARIES]
    methods = [value for base in bases for value in vars(base).values() if isinstance(value, FunctionType)]
    files = {method.__code__.co_filename for method in methods}
    folders = {os.path.dirname(file) for file in files}
    return files | {folder for folder in folders if folder and not folder.endswith("-packages")}
