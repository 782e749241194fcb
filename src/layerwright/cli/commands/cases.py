"""`layerwright cases`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from layerwright.cli.arguments import parse_init, parse_input
from layerwright.cli.options import EVERY_CORE, BackendChoice, Imports, Jobs, Timeout, check_writable, chosen_backends
from layerwright.core.errors import UsageError

if TYPE_CHECKING:
    from layerwright.runner.describe import Described

PLACE = 2
EPILOG = """
Examples:

    layerwright cases my_layers.py                               what `check` would construct and call, and why

    layerwright cases my_layers.py:Attention --explain            what was tried, on what evidence, and what worked

    layerwright cases my_layers.py --write my_cases.py           the same as Python source, to correct and to keep

    layerwright check my_cases.py:CASES                          check what was written

    layerwright cases train.py:build_model                       the layers of a model, as the model calls them

    layerwright cases --observe "python -m pytest tests" --write my_cases.py

The last one runs your own program and writes down how each of your layers was really constructed and called in it.

Exit status: 0 done, 2 the command was wrong or a target could not be loaded, 130 interrupted. With --observe: the
program's own.
"""


def cases(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET...]",
            help="As for `layerwright check`: a file, a module, a layer, a folder, a pattern, a model.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            help="Write a Python module with the list `CASES` to this file; `layerwright check FILE:CASES` checks it.",
            metavar="FILE",
        ),
    ] = None,
    observe: Annotated[
        str | None,
        typer.Option(
            "--observe",
            help="Run this command instead of reading a TARGET, and write down how each layer that is defined below "
            "the working directory is really constructed and called in it, in all its Python processes.",
            metavar="COMMAND",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="Shape of an input, as for `layerwright check`. Repeatable.", metavar="SHAPE"),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option("--init", help="A constructor argument, such as `units=4`. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also show what was tried for each layer, on what evidence, and how it went."),
    ] = False,
    imports: Imports = None,
    backend: Annotated[
        BackendChoice | None,
        typer.Option("--backend", help="Backend to try layers on; by default the first installed.", metavar="BACKEND"),
    ] = None,
    jobs: Jobs = EVERY_CORE,
    timeout: Timeout = 60.0,
) -> None:
    """Show how each layer would be constructed and called, and on what evidence; write it down as declarations.

    A case is `declared` (you said so), `inferred` (it was worked out; the notes say from what) or `undetermined`; with
    --observe it is `observed` in your own program.
    """
    from layerwright.cases.search import find_targets
    from layerwright.cases.targets import Overrides
    from layerwright.runner.describe import describe_targets

    check_writable(write, "--write")
    if observe is not None:
        _observe(observe, targets, write)
    if not targets:
        raise UsageError('give a TARGET, such as my_layers.py, or --observe "python -m pytest tests".')
    parsed = find_targets(targets, imports or ())
    overrides = Overrides(
        init=dict(parse_init(text) for text in init or []), inputs=tuple(parse_input(text) for text in inputs or [])
    )
    chosen = chosen_backends([backend] if backend else None)[0]
    try:
        found = describe_targets(parsed, chosen, overrides, jobs=jobs, timeout_seconds=timeout)
    except KeyboardInterrupt:
        typer.echo("layerwright: interrupted.", err=True)
        raise typer.Exit(130) from None
    if not found.cases and not found.unusable:
        raise UsageError(f"no Keras layer in {', '.join(targets)}.")
    show(found.cases, explain=explain)
    if write is not None:
        write_cases(write, found.cases, ", ".join(targets))
    for line in found.unusable:
        typer.echo(f"layerwright: {line}", err=True)
    raise typer.Exit(2 if found.unusable else 0)


def _observe(command: str, targets: Sequence[str] | None, write: Path | None) -> NoReturn:
    """Run a program, show and write what was seen of its layers, and exit with its status."""
    from layerwright.runner.observe import observe

    if targets:
        raise UsageError(f"--observe runs a program instead of reading targets; leave out {' '.join(targets)}.")
    seen = observe(command)
    if seen.cases:
        show(seen.cases)
    if seen.cases and write is not None:
        write_cases(write, seen.cases, f"`{command}`")
    if seen.warning:
        typer.echo(f"layerwright: {seen.warning}", err=True)
    if seen.status:
        typer.echo(f"layerwright: the program ended with exit status {seen.status}.", err=True)
    raise typer.Exit(seen.status)


def show(found: Sequence["Described"], *, explain: bool = False) -> None:
    """Print cases, each with its status and notes, and how many there are of each status.

    Args:
        found: The cases.
        explain: Whether to print what was tried, too.
    """
    for one in found:
        typer.echo(f"{one.text}  [{one.status}]")
        for note in one.notes:
            typer.echo(f"    {note}")
        for number, line in enumerate(one.tried if explain else (), 1):
            typer.echo(f"    {number:3} {line}")
        if one.written.problem and one.status != "undetermined":
            typer.echo(f"    cannot be written as a declaration: {one.written.problem}")
    counts = Counter(one.status for one in found)
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    typer.echo(f"\n{len(found)} case{'s' * (len(found) != 1)}: {said}")


def write_cases(path: Path, found: Sequence["Described"], title: str) -> None:
    """Write cases as a module, and say how to check it and which cases it holds as comments only."""
    from layerwright.cases.source import write_module

    folders = list(dict.fromkeys(folder for one in found if not one.written.problem for folder in one.folders))
    noted = [(one.written, (*one.notes, *([one.status] if one.status == "inferred" else []))) for one in found]
    path.write_text(write_module(title, noted, folders, path), "utf-8")
    left = sum(bool(one.written.problem) for one in found)
    comments = f"; {left} of {len(found)} cases {'is' if left == 1 else 'are'} a comment to complete" if left else ""
    typer.echo(f"wrote {path}{comments}; check it with: layerwright check {path}:CASES")
