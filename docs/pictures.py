"""Draw the pictures of README and the site from the actual output of the command line.

Run it with `python docs/pictures.py`.
"""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from layerwright.report.formats.terminal import show
from layerwright.report.report import Report

DOCS = Path(__file__).parent
COMMAND = ["check", "examples/common_mistakes.py:AttentionPooling", "--select", "LW3"]

THEME = TerminalTheme(
    (11, 34, 41),
    (221, 232, 234),
    [(20, 50, 58), (255, 128, 118), (120, 214, 150), (240, 200, 110),
     (120, 180, 250), (214, 160, 250), (111, 211, 227), (221, 232, 234)],
    [(140, 165, 170), (255, 150, 140), (150, 230, 175), (250, 215, 140),
     (150, 200, 255), (225, 180, 255), (150, 230, 240), (245, 250, 250)],
)  # fmt: skip

FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">
<title id="title">The report of layerwright check on a layer whose softmax runs over the batch axis</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
<rect fill="rgb(11,34,41)" x="1" y="1" width="{width}" height="{height}" rx="10"/>
<g transform="translate({terminal_x}, 14)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The frame of a terminal that rich draws, without a window and without fonts from the network."""


SIZE, GAP, LEFT, TOP = 52, 4, 88, 88
BEYOND = 420
"""Sizes in the influence maps: a cell, the gap between cells, the left and top margins, and between the two maps."""


MAPS = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 836 340" role="img" aria-labelledby="title">
<title id="title">Influence maps of attention. Batch axis: all entries are filled. Time axis: only the diagonal</title>
<style>
text {{ font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; text-anchor: middle; fill: #dde8ea; }}
.title {{ font-size: 17px; font-weight: 600; }}
.axis {{ font-size: 13px; fill: #a9c0c5; }}
.number {{ font-size: 13px; }}
.failed {{ font-size: 15px; font-weight: 600; fill: #ff8076; }}
.passed {{ font-size: 15px; font-weight: 600; fill: #78d696; }}
</style>
<rect width="836" height="340" rx="10" fill="#0b2229"/>
{maps}
</svg>
"""


def main() -> None:
    """Write both pictures."""
    picture = DOCS / "_static"
    picture.joinpath("report.svg").write_text(report(), "utf-8")
    picture.joinpath("influence.svg").write_text(influence_maps(), "utf-8")


def report() -> str:
    """Return the report of the command line, drawn as a terminal."""
    command = [sys.executable, "-c", "from layerwright.cli.main import main; main()", *COMMAND, "--format", "json"]
    done = subprocess.run(command, cwd=DOCS.parent, stdout=subprocess.PIPE, text=True, check=False)
    console = Console(record=True, width=88, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(f"[bold cyan]$[/] [bold]layerwright {' '.join(COMMAND)}[/]")
    console.print(show(Report.from_json(done.stdout)))
    svg = console.export_svg(theme=THEME, code_format=FRAME, unique_id="report", font_aspect_ratio=0.6)
    return "\n".join(map(str.rstrip, svg.splitlines())) + "\n"


def influence_maps() -> str:
    """Return the influence maps of attention with a softmax over the batch, as in the example, and over time."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    sys.path.insert(0, str(DOCS.parent / "examples"))
    from common_mistakes import AttentionPooling
    from keras import ops

    import layerwright as lw

    class OverTime(AttentionPooling):
        def call(self, inputs):
            weights = ops.softmax(self.score(self.hidden(inputs)), axis=1)
            return ops.sum(weights * inputs, axis=1)

    shown = {"softmax over axis 0, the batch": AttentionPooling, "softmax over axis 1, time": OverTime}
    drawn = []
    for number, (title, layer) in enumerate(shown.items()):
        (finding,) = lw.check(layer, inputs=(None, 10, 5), select=["LW301"]).findings
        verdict = f"LW301 {finding.outcome}"
        drawn.append(_map(LEFT + number * BEYOND, title, verdict, finding.evidence["influence_map"]))
    return MAPS.format(maps="\n".join(drawn))


def _map(left: int, title: str, verdict: str, rows: Any) -> str:
    """Draw one map: one row per output, one column per replaced input, brighter for a larger change."""
    largest = max(float(entry) for row in rows for entry in row)
    middle = left + 2 * SIZE
    parts = [
        f'<text x="{middle}" y="34" class="title">{title}</text>',
        f'<text x="{middle}" y="{TOP - 14}" class="axis">sample replaced</text>',
        f'<text transform="translate({left - 14},{TOP + 2 * SIZE}) rotate(-90)" class="axis">output changed</text>',
        f'<text x="{middle}" y="{TOP + 4 * SIZE + 32}" class="{verdict.split()[1]}">{verdict}</text>',
    ]
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            x, y = left + j * SIZE, TOP + i * SIZE
            share = float(entry) / largest
            color = f"rgb({28 + share * 83:.0f},{70 + share * 141:.0f},{82 + share * 145:.0f})" if share else "#14343d"
            ink = "#06212a" if share > 0.4 else "#dde8ea"
            parts.append(f'<rect x="{x}" y="{y}" width="{SIZE - GAP}" height="{SIZE - GAP}" rx="6" fill="{color}"/>')
            parts.append(
                f'<text x="{x + 24}" y="{y + 29}" class="number" style="fill: {ink}">{float(entry):.2f}</text>'
            )
    return "\n".join(parts)


if __name__ == "__main__":
    main()
