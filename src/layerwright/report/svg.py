"""Pictures as inline SVG that needs no style sheet and no script, and shows on light and dark paper alike."""

import math
from collections.abc import Sequence
from html import escape

INK = "#3b82c4"
"""Visible on white and on black; a share of it is as much of its opacity."""


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
    line = f'<path d="{"".join(parts)}" fill="none" stroke="{INK}" stroke-width="2" stroke-linecap="round"/>'
    return f'<svg width="{width}" height="{height}" role="img" aria-label="{says}"><title>{says}</title>{line}</svg>'


def influence_map(rows: Sequence[Sequence[float]], slices: str = "sample", size: int = 260) -> str:
    """Return a heat map: blank is 0, stronger is more, ∞ became NaN or changed its shape, a dot was not tried.

    Args:
        rows: Entry (i, j) is how much output slice i moved when input slice j was replaced.
        slices: What a slice is called.
        size: Pixels along the longer side.
    """
    high, wide = len(rows), len(rows[0])
    cell = max(3.0, min(28.0, size / max(high, wide)))
    width, height, name = cell * wide, cell * high, escape(slices)
    moved = _range(rows)
    drawn = "".join(
        _cell(i, j, cell, value, _share(value, *moved), name)
        for i, row in enumerate(rows)
        for j, value in enumerate(row)
    )
    frame = f'<rect width="{width:g}" height="{height:g}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
    words = 'font-size="11" fill="currentColor" font-family="sans-serif"'
    across = f'<text x="0" y="-6" {words}>input {name} replaced →</text>'
    down = f'<text transform="translate(-6 0) rotate(-90)" text-anchor="end" {words}>← output {name}</text>'
    room = max(width, 190) + 22, max(height, 120) + 22
    box = f'viewBox="-20 -20 {room[0]:g} {room[1]:g}" width="{room[0]:g}" height="{room[1]:g}"'
    return f'<svg {box} role="img" aria-label="influence map">{drawn}{frame}{across}{down}</svg>{_legend(rows)}'


def _cell(i: int, j: int, cell: float, value: float, share: float, name: str) -> str:
    if value == 0:
        return ""
    x, y = j * cell, i * cell
    if value != value:
        return f'<circle cx="{x + cell / 2:g}" cy="{y + cell / 2:g}" r="1" fill="currentColor" opacity=".5"/>'
    says = f"<title>output {name} {i} moved by {value:.3g} with input {name} {j}</title>"
    box = f'x="{x:g}" y="{y:g}" width="{cell:g}" height="{cell:g}" fill="{INK}" stroke="{INK}"'
    middle = f'x="{x + cell / 2:g}" y="{y + cell / 2:g}" text-anchor="middle" dominant-baseline="central"'
    sign = f'<text {middle} font-size="{0.7 * cell:g}" fill="currentColor">∞</text>' if math.isinf(value) else ""
    return f'<g>{says}<rect {box} fill-opacity="{0.2 + 0.8 * share:.2f}"/>{sign}</g>'


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
        "dots: not tried" if any(value != value for value in entries) else "",
    ]
    return f'<div style="font-size:12px">{"; ".join(filter(None, words))}</div>'
