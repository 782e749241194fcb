"""Numbers drawn in text."""

from collections.abc import Iterable, Sequence

SHADES = " ░▒▓█"


def shaded(rows: Iterable[Sequence[float]]) -> list[str]:
    """Return a line a row, two characters an entry: darker is more, whatever is not zero shows, dots are NaN."""
    numbers = [[float(entry) for entry in row] for row in rows]
    largest = max((entry for row in numbers for entry in row if entry < float("inf")), default=0.0) or 1.0
    return ["".join(_shade(entry / largest) * 2 for entry in row) for row in numbers]


def _shade(share: float) -> str:
    if share != share:
        return "·"
    if share <= 0:
        return SHADES[0]
    return SHADES[min(len(SHADES) - 1, 1 + int(min(share, 1.0) * (len(SHADES) - 1)))]
