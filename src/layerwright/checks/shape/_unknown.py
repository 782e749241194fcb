"""Tracing with unknown sizes, and finding out whose code asked for a size that was unknown."""

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


class Refusal(Exception):  # noqa: N818 - an answer, carried by an exception
    """Tracing failed. `error` is what was raised, `own` whether the layer's own code asked for an unknown size."""

    def __init__(self, error: Exception, own: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.own = own


def traced(trial: Trial, free_axes: FreeAxes) -> list[Array]:
    """Trace the layer with the sizes of `free_axes` unknown, run that on the usual arguments, return its outputs.

    Raises:
        Refusal: If tracing fails.
    """
    import keras

    layer, arguments = lively(trial), trial.usual
    flat = trial.function(layer, arguments, training=False)

    def pure(*tensors: Any) -> list[Any]:
        with keras.StatelessScope():
            return leaves(flat(*tensors))

    watch = _FixedSizes(layer) if trial.backend.NAME == "torch" else nullcontext()
    try:
        with warnings.catch_warnings(), trial.backend.inference(), whole_tracebacks(), watch as fixed:
            warnings.simplefilter("ignore")
            outputs = trial.backend.call_with_free_axes(pure, arguments.arrays(), free_axes)
    except Exception as error:  # a layer may raise anything under a trace: that is what is asked here
        own = fixed.own if isinstance(fixed, _FixedSizes) else is_asked_by_layer(stack_of(error, layer))
        raise Refusal(error, own) from error
    return [np.asarray(keras.ops.convert_to_numpy(tensor)) for tensor in outputs]


class _FixedSizes(logging.Handler):
    """Sees torch give an unknown size a fixed value, which it only logs, and remembers whose code made it."""

    def __init__(self, layer: Any) -> None:
        super().__init__(logging.INFO)
        self.layer = layer
        self.own = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look at the stack at the moment that a size becomes one fixed number."""
        if "range_refined_to_singleton" in str(record.args) + str(record.msg):
            self.own = self.own or is_asked_by_layer(owned(_stack(), self.layer))

    def __enter__(self) -> "_FixedSizes":
        logger = logging.getLogger(TORCH_GUARDS)
        self.before = logger.level, logger.propagate, logger.handlers
        logger.handlers = [self]
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger(TORCH_GUARDS)
        level, logger.propagate, logger.handlers = self.before
        logger.setLevel(level)  # which also forgets what it holds enabled


def _stack() -> list[FrameType]:
    """Return the running frames, outermost first, without those of this file."""
    return [frame for frame, _ in traceback.walk_stack(sys._getframe(2))][::-1]
