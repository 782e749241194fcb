"""Numbers drawn in text."""

import math
from collections.abc import Iterable, Sequence

SHADES = " ░▒▓█"
KEY = "darker is more, blank is nothing"
DECADES = 2
"""Entries further apart than so many powers of ten are shaded by their logarithms: a small one shows beside a large."""


def shaded(rows: Iterable[Sequence[float]]) -> list[str]:
    """Return a line a row, two characters an entry: darker is more, whatever is not zero shows, dots are NaN."""
    numbers = [[float(entry) for entry in row] for row in rows]
    moved = [entry for row in numbers for entry in row if 0 < entry < math.inf]
    low, high = min(moved, default=1.0), max(moved, default=1.0)
    return ["".join(_shade(entry, low, high) * 2 for entry in row) for row in numbers]


def _shade(entry: float, low: float, high: float) -> str:
    if math.isnan(entry):
        return "·"
    if entry <= 0:
        return SHADES[0]
    shown = min(entry, high)
    span = math.log10(high / low)
    share = shown / high if span <= DECADES else math.log10(shown / low) / span
    return SHADES[min(len(SHADES) - 1, 1 + int(share * (len(SHADES) - 1)))]
