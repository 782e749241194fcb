"""Statistics of weights, their gradients and their updates in one training step."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from layerwright.watch.request import WatchRequest
from layerwright.watch.statistics import statistics_row


def weight_rows(
    request: WatchRequest, variables: Sequence[Any], values: Sequence[Any], gradients: Sequence[Any], loss_scale: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of statistics of all weights, and of the gradients that exist.

    Args:
        request: What to record.
        variables: The weights.
        values: Their values before the step.
        gradients: Their gradients; None for a weight without one.
        loss_scale: The factor by which the loss was multiplied. The gradients are divided by it.
    """
    weights = {each.path: statistics_row(value, request.bins) for each, value in zip(variables, values, strict=True)}
    gradient_rows = {
        each.path: statistics_row(_dense(gradient) / ops.cast(loss_scale, gradient.dtype), request.bins)
        for each, gradient in zip(variables, gradients, strict=True)
        if gradient is not None
    }
    return weights, gradient_rows


def update_ratios(variables: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> dict[str, Any]:
    """Return the update ratio ‖wₜ₊₁ - wₜ‖ / ‖wₜ‖ of each weight w.

    Where ‖wₜ‖ is 0, the ratio is infinite if the weight changed, and 0 if it did not.
    """
    return {
        each.path: ops.stack([_ratio(_norm(new - old), _norm(old))])
        for each, old, new in zip(variables, before, after, strict=True)
    }


def _ratio(update: Any, size: Any) -> Any:
    return ops.where(update > 0, update / size, update)


def _norm(x: Any) -> Any:
    """Return ‖x‖, computed so that squares neither overflow nor underflow."""
    x = ops.cast(x, "float32")
    largest = ops.max(ops.abs(x), initial=0.0)
    scale = ops.where(largest > 0, largest, 1.0)
    return scale * ops.sqrt(ops.sum(ops.square(x / scale)))


def _dense(gradient: Any) -> Any:
    return ops.convert_to_tensor(gradient)  # on TensorFlow the gradient of a lookup is sparse
