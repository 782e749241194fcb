"""Weights, their gradients and their updates in one training step."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from layerwright.watch.plan import Plan
from layerwright.watch.statistics import row


def weight_rows(
    plan: Plan, variables: Sequence[Any], values: Sequence[Any], gradients: Sequence[Any], scale: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the statistics of each weight, and of its gradient where it has one.

    Args:
        plan: What is to be seen.
        variables: The weights.
        values: Their values before the step.
        gradients: Their gradients, or None.
        scale: What the loss was multiplied with.
    """
    weights = {each.path: row(value, plan.bins) for each, value in zip(variables, values, strict=True)}
    found = {
        each.path: row(_dense(gradient) / ops.cast(scale, gradient.dtype), plan.bins)
        for each, gradient in zip(variables, gradients, strict=True)
        if gradient is not None
    }
    return weights, found


def update_ratios(variables: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> dict[str, Any]:
    """Return ‖wₜ₊₁ - wₜ‖ / ‖wₜ‖ of each weight w; where ‖wₜ‖ is 0, infinity or, for no update, 0."""
    return {
        each.path: ops.stack([_ratio(_norm(new - old), _norm(old))])
        for each, old, new in zip(variables, before, after, strict=True)
    }


def _ratio(update: Any, size: Any) -> Any:
    return ops.where(update > 0, update / size, update)


def _norm(x: Any) -> Any:
    """Return ‖x‖, of squares that neither overflow nor vanish."""
    x = ops.cast(x, "float32")
    largest = ops.max(ops.abs(x), initial=0.0)
    scale = ops.where(largest > 0, largest, 1.0)
    return scale * ops.sqrt(ops.sum(ops.square(x / scale)))


def _dense(gradient: Any) -> Any:
    return ops.convert_to_tensor(gradient)  # TensorFlow's gradients of lookups are sparse
