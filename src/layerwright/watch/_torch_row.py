"""The row of statistics on torch in fewer operations: each costs more there than the small tensor that it is for."""

from typing import Any

import torch

SAFE = (1e-15, 1e15)
"""Between these sizes, squares of float32 neither vanish nor overflow."""


def quick_row(x: Any, bins: int, units_axis: int) -> Any | None:
    """Return what `statistics.row` returns; None where an element is not finite, or too small or large to square.

    It waits for the tensor, twice, as torch does for whoever looks at a value; while it is being compiled it cannot.
    """
    if torch.compiler.is_compiling() or not x.numel() or not x.ndim:
        return None
    x = x.detach().to(torch.float32)
    low, high, mean = torch.stack([*torch.aminmax(x), x.mean()]).tolist()
    largest = max(-low, high)
    if not (SAFE[0] < largest < SAFE[1] or largest == 0):
        return None
    count, units = x.numel(), units_axis % x.ndim
    centred = (x - mean).reshape(-1)  # torch.var_mean is far slower on the CPU
    nonzero = torch.count_nonzero(x, [axis for axis in range(x.ndim) if axis != units])
    found = torch.stack([torch.dot(centred, centred), nonzero.sum(), (nonzero == 0).sum()]).tolist()
    squares, there, dead = found
    numbers = [count, 0.0, mean, (squares / count) ** 0.5, low, high, 1.0 - there / count, dead / nonzero.numel()]
    row = torch.tensor(numbers, device=x.device)
    if not bins:
        return row
    half = 0.0 if high > low else 0.5
    place = ((x - (low - half)) * (bins / (high - low + 2 * half))).to(torch.int64).clamp_(0, bins - 1)
    return torch.cat([row, torch.bincount(place.reshape(-1), minlength=bins)])
