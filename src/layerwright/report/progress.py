"""Progress of a long check, drawn on the terminal while it runs; nothing where standard error is no terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def on_terminal() -> Iterator[Callable[[Sequence[Any]], None]]:
    """Give a function that draws a sequence of cases being checked (with `state`, `layer`, `backend`, `at`)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda work: None  # noqa: ARG005 - called as draw(work)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("importing Keras", total=None)

        def draw(work: Sequence[Any]) -> None:
            running = [f"{one.layer} {one.at} ({one.backend})" for one in work if one.state == "running"]
            done = sum(one.state == "done" for one in work)
            progress.update(task, description=" · ".join(running) or "finishing", total=len(work), completed=done)

        yield draw
