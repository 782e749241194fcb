"""What the layers ask of a mask's shape, in one wording."""

from collections.abc import Sequence
from typing import Any

from keras import ops


def check_mask_shape(layer: str, mask: Any, inputs: Any, covers: Sequence[int], time_axis: int = 1) -> None:
    """Refuse a mask whose sizes are not those of the inputs. Sizes that are not known yet are not compared.

    Args:
        layer: The name that the message starts with.
        mask: The mask.
        inputs: The inputs.
        covers: For each axis of the mask, the axis of the inputs that it covers.
        time_axis: The axis of the inputs that is time.

    Raises:
        ValueError: If the mask has another rank, or another size on some axis.
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


def laid_over(layer: str, mask: Any, inputs: Any) -> Any:
    """Return a mask of the inputs' leading axes as booleans, with an axis for each of the inputs'.

    Raises:
        ValueError: As `check_mask_shape`.
    """
    mask = ops.convert_to_tensor(mask)
    check_mask_shape(layer, mask, inputs, covers=range(min(len(mask.shape), len(inputs.shape))))
    for _ in range(len(inputs.shape) - len(mask.shape)):
        mask = ops.expand_dims(mask, -1)
    return ops.cast(mask, "bool")
