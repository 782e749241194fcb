"""Whose code an exception, or a moment of a trace, comes from: the layer's own, or that of Keras or a framework."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

CALLS_BACK = ("ops", "backend")
"""Folders of Keras whose functions run a function of the layer's on tensors of their own making."""


def frames_of(error: BaseException, layer: Any) -> list[FrameType]:
    """Return the frames of an exception's traceback, outermost first, from the layer's own `call` on."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return within(frames, layer)


def within(frames: Sequence[FrameType], layer: Any) -> list[FrameType]:
    """Return the frames from the layer's own `call` on."""
    calls = [frame.f_code.co_name == "call" and frame.f_locals.get("self") is layer for frame in frames]
    return list(frames[calls.index(True) :]) if True in calls else []


def asked_by_layer(frames: Sequence[FrameType], layer: Any) -> bool:
    """Whether the layer's own code called what the last frames run, with no function of Keras in between."""
    own, keras_root = _own_files(layer), _keras_root()
    for frame in reversed(frames):
        if _file(frame).startswith(keras_root):
            return False
        if _is_own(frame, own):
            return True
    return False


def called_back(frames: Sequence[FrameType], layer: Any) -> bool:
    """Whether the layer's own code was last run by a function of Keras that maps or scans with it."""
    own, keras_root = _own_files(layer), _keras_root()
    files = [_file(frame) for frame in frames]
    last = max((place for place, frame in enumerate(frames) if _is_own(frame, own)), default=0)
    inner = [file.removeprefix(keras_root).split(os.sep) for file in files[:last] if file.startswith(keras_root)]
    return any(set(CALLS_BACK) & set(parts[:2]) for parts in inner)


def keras_function(frames: Sequence[FrameType], layer: Any) -> str:
    """Return the name of the Keras function that the layer's own code called last; empty if it called none."""
    own, keras_root = _own_files(layer), _keras_root()
    last = max((place for place, frame in enumerate(frames) if _is_own(frame, own)), default=len(frames))
    return next((frame.f_code.co_name for frame in frames[last + 1 :] if _file(frame).startswith(keras_root)), "")


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


def _own_files(layer: Any) -> set[str]:
    """Return the files that define the layer's class and those of its bases that are not Keras's."""
    methods = [value for base in type(layer).__mro__ for value in vars(base).values() if type(value) is FunctionType]
    files = {method.__code__.co_filename for method in methods}
    libraries = (_keras_root(), *_framework_roots())
    return {file for file in files if not file.startswith(libraries)}
