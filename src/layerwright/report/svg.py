"""Pictures as inline SVG: here where everything lies, in `templates/svg.html` how it is drawn."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from layerwright.report.rendering import render_macro


@dataclass(frozen=True)
class Sparkline:
    """A small line chart.

    Attributes:
        width: In pixels.
        height: In pixels.
        path: The line, as SVG writes paths.
        says: What it shows, in words.
    """

    width: int
    height: int
    path: str
    says: str


@dataclass(frozen=True)
class Cell:
    """An entry of an influence map that is not blank.

    Attributes:
        x: Its left edge, in pixels.
        y: Its upper edge, in pixels.
        kind: What it stands for.
        opacity: How strong its colour is, from 0 to 1.
        says: What it shows, in words.
    """

    x: float
    y: float
    kind: Literal["moved", "infinite", "untried"]
    opacity: float
    says: str


@dataclass(frozen=True)
class HeatMap:
    """An influence map, laid out.

    Attributes:
        width: Of the map alone, in pixels.
        height: Of the map alone, in pixels.
        room_across: With its labels, in pixels.
        room_down: With its labels, in pixels.
        cell_size: An entry's width and height, in pixels.
        cells: The entries that are not blank.
        slices: What a slice is called.
        legend: What blanks, colours and signs mean.
    """

    width: float
    height: float
    room_across: float
    room_down: float
    cell_size: float
    cells: Sequence[Cell]
    slices: str
    legend: str


def sparkline(values: Sequence[float | None], width: int = 120, height: int = 24) -> str:
    """Return a line through numbers from the smallest to the largest, broken where there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    step = (width - 4) / max(len(values) - 1, 1)
    parts, pen = [], "M"
    for place, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{2 + place * step:.1f} {height - 2 - (value - low) / span * (height - 4):.1f}")
        pen = "L"
    says = f"from {known[0]:.3g} to {known[-1]:.3g}, least {low:.3g}, most {max(known):.3g}"
    return render_macro("svg.html", "sparkline", Sparkline(width, height, "".join(parts), says))


def influence_map(rows: Sequence[Sequence[float]], slices: str = "sample", size: int = 260) -> str:
    """Return a heat map: blank is 0, stronger is more, ∞ became NaN or changed its shape, a dot was not tried.

    Args:
        rows: Entry (i, j) is how much output slice i moved when input slice j was replaced.
        slices: What a slice is called.
        size: Pixels along the longer side.
    """
    high, wide = len(rows), len(rows[0])
    cell_size = max(3.0, min(28.0, size / max(high, wide)))
    width, height = cell_size * wide, cell_size * high
    cells = list(_cells(rows, cell_size, slices))
    # The labels need 190 by 120 pixels, however small the map.
    room_across, room_down = max(width, 190) + 22, max(height, 120) + 22
    picture = HeatMap(width, height, room_across, room_down, cell_size, cells, slices, _legend(rows))
    return render_macro("svg.html", "influence_map", picture)


def _cells(rows: Sequence[Sequence[float]], size: float, slices: str) -> Iterator[Cell]:
    low, high = _range(rows)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if math.isnan(value):
                yield Cell(j * size, i * size, "untried", 0.5, "")
            elif value != 0:
                says = f"output {slices} {i} moved by {value:.3g} with input {slices} {j}"
                kind: Literal["moved", "infinite"] = "infinite" if math.isinf(value) else "moved"
                yield Cell(j * size, i * size, kind, 0.2 + 0.8 * _share(value, low, high), says)


def _share(value: float, low: float, high: float) -> float:
    """Return where between the least and the most an entry lies: by its logarithm where they are far apart."""
    if not 0 < value < math.inf:
        return 0.0
    if _is_wide(low, high):
        return math.log(value / low) / math.log(high / low)
    return value / high


def _range(rows: Sequence[Sequence[float]]) -> tuple[float, float]:
    moved = [value for row in rows for value in row if 0 < value < math.inf]
    return (min(moved), max(moved)) if moved else (1.0, 1.0)


def _is_wide(low: float, high: float) -> bool:
    return high > 100 * low


def _legend(rows: Sequence[Sequence[float]]) -> str:
    low, high = _range(rows)
    entries = [value for row in rows for value in row]
    how = ", logarithmic" if _is_wide(low, high) else ""
    words = [
        f"blank: did not move; colour: moved by {low:.3g} to {high:.3g}{how}",
        "∞: became NaN or changed its shape" if math.inf in entries else "",
        "dots: not tried" if any(math.isnan(value) for value in entries) else "",
    ]
    return "; ".join(filter(None, words))
