"""The row of statistics on torch in fewer operations: each costs more there than the small tensor that it is for."""

from typing import Any

import torch

SAFE = (1e-15, 1e15)
"""Between these sizes, squares of float32 neither vanish nor overflow."""


def quick_row(x: Any, bins: int, units_axis: int) -> Any | None:
    """Return what `statistics.row` returns; None where an element is not finite, or too small or large to square.

    It waits for the tensor, as torch does for whoever looks at a value.
    """
    x = x.detach().to(torch.float32)
    if not x.numel() or not x.ndim:
        return None
    low, high = (float(end) for end in torch.aminmax(x))
    largest = max(-low, high)
    if not (SAFE[0] < largest < SAFE[1] or largest == 0):
        return None
    count, units = x.numel(), units_axis % x.ndim
    mean = x.mean()
    centred = (x - mean).reshape(-1)  # torch.var_mean takes twenty times as long
    variance = torch.dot(centred, centred) / count
    nonzero = torch.count_nonzero(x, [axis for axis in range(x.ndim) if axis != units])
    zeros, dead = 1.0 - float(nonzero.sum()) / count, float((nonzero == 0).sum()) / nonzero.numel()
    numbers = torch.tensor([count, 0.0, float(mean), float(variance) ** 0.5, low, high, zeros, dead], device=x.device)
    if not bins:
        return numbers
    half = 0.0 if high > low else 0.5
    place = ((x - (low - half)) / (high - low + 2 * half) * bins).to(torch.int64).clamp_(0, bins - 1)
    return torch.cat([numbers, torch.bincount(place.reshape(-1), minlength=bins)])
