"""Whose code an exception, or a moment of a trace, comes from: the layer's own, Keras's or the framework's."""

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

FRAMEWORKS = ("tensorflow", "jax", "jaxlib", "torch", "numpy", "optree", "absl")

Owner = Literal["layer", "keras", "framework"]


def caused_by_layer(frames: Sequence[FrameType], layer: Any) -> bool:
    """Whether the layer's own code is the last to have run before frameworks took over."""
    owners = [owner(frame) for frame in _within(layer, frames)]
    return next((one for one in reversed(owners) if one != "framework"), "keras") == "layer"


def raised_by_layer(error: BaseException, layer: Any) -> bool:
    """Whether the layer's own code, or a framework function that it called directly, raised the exception."""
    return caused_by_layer(_frames(error), layer)


def keras_function(error: BaseException, layer: Any) -> str:
    """Return the name of the Keras function that the layer's own code called last; empty if it called none."""
    frames = _within(layer, _frames(error))
    own = [place for place, frame in enumerate(frames) if owner(frame) == "layer"]
    called = frames[own[-1] + 1 :] if own else []
    return next((frame.f_code.co_name for frame in called if owner(frame) == "keras"), "")


def owner(frame: FrameType) -> Owner:
    """Return whose code a frame runs."""
    path = frame.f_code.co_filename
    if _inside(path, _root("keras")):
        return "keras"
    standard = path.startswith((sysconfig.get_path("stdlib"), "<frozen")) and "-packages" not in path
    return "framework" if standard or any(_inside(path, _root(name)) for name in FRAMEWORKS) else "layer"


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


def _within(layer: Any, frames: Sequence[FrameType]) -> list[FrameType]:
    """Return the frames from the layer's own `call` on."""
    calls = [frame.f_code.co_name == "call" and frame.f_locals.get("self") is layer for frame in frames]
    return list(frames[calls.index(True) :]) if True in calls else []


def _frames(error: BaseException) -> list[FrameType]:
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames


def _root(package: str) -> str:
    module = sys.modules.get(package)
    return str(Path(module.__file__).parent) if module is not None and module.__file__ else ""


def _inside(path: str, root: str) -> bool:
    return bool(root) and path.startswith(root + os.sep)
