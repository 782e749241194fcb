"""Trace a layer with unknown sizes, and find out whose code asked for a size that was unknown."""

import logging
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from types import FrameType
from typing import Any

import numpy as np

from layerwright.trial.arguments import Array
from layerwright.trial.compare import leaves
from layerwright.trial.subject import lively
from layerwright.trial.tracebacks import is_asked_by_layer, owned, stack_of, whole_tracebacks
from layerwright.trial.trial import Trial

FreeAxes = Sequence[Sequence[int]]
TORCH_GUARDS = "torch.fx.experimental.symbolic_shapes"


class TracingFailed(Exception):  # noqa: N818 - an expected result, not an error of this package
    """Tracing failed.

    `error` is the exception that was raised. `own` is whether the layer's own code asked for an unknown size.
    """

    def __init__(self, error: Exception, own: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.own = own


def run_traced(trial: Trial, free_axes: FreeAxes) -> list[Array]:
    """Trace the layer with the sizes of `free_axes` unknown; return the program's outputs on the usual arguments.

    Raises:
        TracingFailed: If tracing fails.
    """
    import keras

    layer, arguments = lively(trial), trial.usual
    flat = trial.function(layer, arguments, training=False)

    def pure(*tensors: Any) -> list[Any]:
        with keras.StatelessScope():
            return leaves(flat(*tensors))

    watch = _FixedSizeWatcher(layer) if trial.backend.NAME == "torch" else nullcontext()
    try:
        with warnings.catch_warnings(), trial.backend.inference(), whole_tracebacks(), watch as fixed:
            warnings.simplefilter("ignore")
            outputs = trial.backend.call_with_free_axes(pure, arguments.arrays(), free_axes)
    # A layer may raise anything under a trace. Whether it does is the result.
    except Exception as error:
        own = fixed.own if isinstance(fixed, _FixedSizeWatcher) else is_asked_by_layer(stack_of(error, layer))
        raise TracingFailed(error, own) from error
    return [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in outputs]


class _FixedSizeWatcher(logging.Handler):
    """Notices that torch gives an unknown size a fixed value, and whose code caused it.

    Torch only logs that, so this is a log handler.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(logging.INFO)
        self.layer = layer
        self.own = False

    def emit(self, record: logging.LogRecord) -> None:
        """Inspect the stack at the moment when a size becomes fixed."""
        if "range_refined_to_singleton" in str(record.args) + str(record.msg):
            self.own = self.own or is_asked_by_layer(owned(_running_frames(), self.layer))

    def __enter__(self) -> "_FixedSizeWatcher":
        logger = logging.getLogger(TORCH_GUARDS)
        self.before = logger.level, logger.propagate, logger.handlers
        logger.handlers = [self]
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger(TORCH_GUARDS)
        level, logger.propagate, logger.handlers = self.before
        # Setting the level also clears the logger's cache of enabled levels.
        logger.setLevel(level)


def _running_frames() -> list[FrameType]:
    """Return the running frames, outermost first, without those of this file."""
    return [frame for frame, _ in traceback.walk_stack(sys._getframe(2))][::-1]
