"""`layerwright show`."""

from pathlib import Path
from typing import Annotated

import typer

from layerwright.cli.options import check_writable

PLACE = 5


def show(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder that `Watch` was given as a sink.")],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page with pictures to this file.", metavar="FILE"),
    ] = None,
    most: Annotated[int, typer.Option("--most", help="Rows of each kind at most.", min=1)] = 20,
) -> None:
    """Show what a watched run recorded: alerts, each tensor over time, the samples learned least well.

    The run may still be training.
    """
    from rich.console import Console

    from layerwright.watch.show.html import render_run_html
    from layerwright.watch.show.run import read_run
    from layerwright.watch.show.terminal import render_run

    check_writable(html, "--html")
    run = read_run(folder)
    console = Console(highlight=False)
    console.print(render_run(run, most))
    if html is not None:
        html.write_text(render_run_html(run), "utf-8")
        console.print(f"The page is in {html}.")
