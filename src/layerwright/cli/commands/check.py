"""`layerwright check`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from layerwright.cli.arguments import parse_expect, parse_init, parse_input, split
from layerwright.cli.options import (
    EVERY_CORE,
    Backends,
    Ignore,
    Imports,
    Jobs,
    Seed,
    Select,
    Timeout,
    check_writable,
    chosen_backends,
)
from layerwright.core.errors import UsageError
from layerwright.report.formats import RenderOptions, check_format, format_names, render_as

if TYPE_CHECKING:
    from layerwright.runner.workers import Options, Result

PLACE = 1
EPILOG = """
Examples:

    layerwright check my_layers.py

    layerwright check my_layers.py:Attention --backend jax --input None,10,8 --init num_heads=2

    layerwright check src/my_package --select LW3,LW7 --format github

    layerwright check train.py:build_model                     every layer of yours in a model, as the model calls it

    layerwright check model.keras --import my_layers.py        the same for a saved model

    layerwright check my_layers.py --expect 'LW301=normalises over the batch by design'

    layerwright check my_layers.py --format html --output report.html

Exit status: 0 nothing failed, 1 something failed, 2 the command was wrong or a target could not be loaded,
3 nothing failed but for some layer no way to call it was found, 130 interrupted (the findings so far are printed).
"""


def check(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="`file.py`, `file.py:Layer`, `package.module`, `package.module:Layer`, a folder, or a pattern such as "
            "`'layers/*.py'` or `'file.py:Quant*'`. A model: `train.py:build_model`, a function that returns one; "
            "`train.py:model`; or `model.keras`.",
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Shape of an input, batch axis first, with a dtype if not float32: `None,10,5` or `None,10:int32`. "
            "Repeat for several inputs; `mask=None,10:bool` names a call argument or a key.",
            metavar="SHAPE",
        ),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option("--init", help="A constructor argument, such as `units=4`. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    imports: Imports = None,
    backend: Backends = None,
    select: Select = None,
    ignore: Ignore = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            help="A check that is known to fail, and why. If it passes, the command fails. Repeatable.",
            metavar="CODE=REASON",
        ),
    ] = None,
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            help=f"Format of the report: {', '.join(f'`{name}`' for name in format_names())}.",
            metavar="FORMAT",
        ),
    ] = "terminal",
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the report to this file.", metavar="FILE")
    ] = None,
    jobs: Jobs = EVERY_CORE,
    timeout: Timeout = 60.0,
    seed: Seed = 0,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Also check each case with other modes, flags and axes, as its constructor documents them."
        ),
    ] = False,
    explain_case: Annotated[
        str | None,
        typer.Option(
            "--explain-case",
            help="Check nothing: show how this layer of TARGET would be called, on what evidence, and what was tried.",
            metavar="LAYER",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every finding, not only those that need attention.")
    ] = False,
) -> None:
    """Check the Keras layers in each TARGET: what fails, on which backend, why it matters and how to fix it.

    For a layer with no declared case and without --input, a case is inferred; the report says which. In a model, each
    layer that is not one of Keras's own is checked with the arguments, shapes, dtypes and masks that the model gives
    it, and so is the model itself: samples, padding, saving, export, compilation, half precision.
    """
    from layerwright.cases.search import find_targets
    from layerwright.cases.targets import Overrides, split_target
    from layerwright.checks.discovery import all_checks, select_checks
    from layerwright.report.progress import on_terminal
    from layerwright.runner.workers import Options, check_targets

    options = Options(
        checks=select_checks(split(select), split(ignore)),
        backends=chosen_backends(backend),
        overrides=Overrides(
            init=dict(parse_init(text) for text in init or []),
            inputs=tuple(parse_input(text) for text in inputs or []),
            expect=dict(parse_expect(text) for text in expect or []),
        ),
        jobs=jobs,
        timeout_seconds=timeout,
        seed=seed,
        sweep=sweep,
    )
    if explain_case is not None:
        explain([f"{split_target(text)[0]}:{explain_case}" for text in targets], options)
    parsed = find_targets(targets, imports or ())
    check_format(output_format)
    check_writable(output)
    with on_terminal() as draw:
        result = check_targets(parsed, options, draw)
    if not (result.report.runs or result.unusable or result.interrupted):
        raise UsageError(f"no Keras layer to check in {', '.join(targets)}.")
    title = f"Layerwright check of {', '.join(Path(text).name for text in targets)}"
    rendering = RenderOptions(title, verbose=verbose, to_terminal=output is None, checks=all_checks())
    _write(render_as(output_format, result.report, rendering), output)
    for line in result.unusable:
        typer.echo(f"layerwright: {line}", err=True)
    if result.interrupted:
        typer.echo("layerwright: interrupted; the report holds the findings so far.", err=True)
        raise typer.Exit(130)
    raise typer.Exit(_exit_status(result))


def explain(targets: list[str], options: "Options") -> NoReturn:
    """Print how layers would be constructed and called, and what else was tried; then end the command."""
    from layerwright.cases.search import find_targets
    from layerwright.cli.commands.cases import show
    from layerwright.runner.describe import describe_targets

    found = describe_targets(
        find_targets(targets),
        options.backends[0],
        options.overrides,
        jobs=options.jobs,
        timeout_seconds=options.timeout_seconds,
    )
    show(found.cases, explain=True)
    for line in found.unusable:
        typer.echo(f"layerwright: {line}", err=True)
    raise typer.Exit(2 if found.unusable else 0)


def _exit_status(result: "Result") -> int:
    if result.unusable:
        return 2
    if not result.report.ok:
        return 1
    return 3 if result.report.undetermined else 0


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, "utf-8")
