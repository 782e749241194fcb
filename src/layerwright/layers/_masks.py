"""Validates the shapes of masks, and broadcasts masks to the inputs."""

from collections.abc import Sequence
from typing import Any

from keras import ops


def check_mask_shape(layer: str, mask: Any, inputs: Any, covers: Sequence[int], time_axis: int = 1) -> None:
    """Raise an error if the mask's shape does not match the inputs. Unknown sizes are not compared.

    Args:
        layer: The name of the layer, for the message.
        mask: The mask.
        inputs: The inputs.
        covers: For each axis of the mask, the axis of the inputs that it covers.
        time_axis: The time axis of the inputs.

    Raises:
        ValueError: If the mask has a different rank, or a different size on one of its axes.
    """
    advice = "pass a mask of shape (batch, time)."
    if len(mask.shape) != len(covers):
        raise ValueError(
            f"{layer}: mask has shape {tuple(mask.shape)} but inputs have shape {tuple(inputs.shape)}; {advice}"
        )
    for size, axis in zip(mask.shape, covers, strict=True):
        wanted = inputs.shape[axis]
        if isinstance(size, int) and isinstance(wanted, int) and size != wanted:
            words = {0: f"{wanted} samples", time_axis: f"{wanted} time steps"}
            have = words.get(axis, f"size {wanted} on axis {axis}")
            raise ValueError(f"{layer}: mask has shape {tuple(mask.shape)} but inputs have {have}; {advice}")


def broadcast_mask(layer: str, mask: Any, inputs: Any) -> Any:
    """Return a mask of the inputs' leading axes as booleans that broadcast with the inputs.

    Raises:
        ValueError: If the mask's shape does not match the inputs.
    """
    mask = ops.convert_to_tensor(mask)
    check_mask_shape(layer, mask, inputs, covers=range(min(len(mask.shape), len(inputs.shape))))
    for _ in range(len(inputs.shape) - len(mask.shape)):
        mask = ops.expand_dims(mask, -1)
    return ops.cast(mask, "bool")
