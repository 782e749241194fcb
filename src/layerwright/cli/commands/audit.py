"""`layerwright audit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerwright.cli.arguments import split
from layerwright.cli.options import EVERY_CORE, Backends, Ignore, Jobs, Seed, Select, Timeout, chosen_backends

if TYPE_CHECKING:
    from layerwright.runner.audit import Audit

PLACE = 4
EPILOG = """
Examples:

    layerwright audit keras

    layerwright audit keras --backend jax --only Attention --select LW4

A package brings its cases through the entry point group `layerwright.cases`: a module with a function `cases()` that
returns a list of `layerwright.Case`, and perhaps a function `defects()`.

Exit status: 0 a known defect explains every failure, 1 some failure is unexplained, 2 the command was wrong,
130 interrupted.
"""


def audit(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Whose layers: `keras`, or the name under which a package brings cases."),
    ],
    backend: Backends = None,
    select: Select = None,
    ignore: Ignore = None,
    only: Annotated[
        str, typer.Option("--only", help="Check only cases that contain this text, such as `Conv`.", metavar="TEXT")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder for the report; by default layerwright-audit/NAME.", metavar="FOLDER"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard saved results instead of resuming.")] = False,
    jobs: Jobs = EVERY_CORE,
    timeout: Timeout = 60.0,
    seed: Seed = 0,
) -> None:
    """Check every layer in a package and compare failures with known defects.

    Each finished case is saved at once: after an interruption, the same command resumes.
    """
    from layerwright.checks.discovery import select_checks
    from layerwright.report.progress import on_terminal
    from layerwright.runner.audit import run_audit
    from layerwright.runner.workers import Options

    options = Options(
        checks=select_checks(split(select), split(ignore)),
        backends=chosen_backends(backend),
        jobs=jobs,
        timeout_seconds=timeout,
        seed=seed,
    )
    folder = output or Path("layerwright-audit", name)
    with on_terminal() as draw:
        done = run_audit(name, options, folder, only=only, fresh=fresh, on_progress=draw)
    page = _write(done, folder)
    unexplained = done.unexplained()
    for run, finding in unexplained:
        typer.echo(f"{finding.code} {finding.check} {finding.outcome} on {run.backend}, {run.case}: {finding.message}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in done.report.summary().items() if count)
    typer.echo(f"{len(done.report.runs)} runs: {counts or 'nothing was checked'}; {len(unexplained)} unexplained.")
    typer.echo(f"The report is in {page}, and with pictures in {page.with_suffix('.html')}.")
    if done.interrupted:
        typer.echo("layerwright: interrupted; run the same command to resume.", err=True)
        raise typer.Exit(130)
    raise typer.Exit(1 if unexplained else 0)


def _write(done: "Audit", folder: Path) -> Path:
    from layerwright.checks.discovery import all_checks
    from layerwright.report.audit import render
    from layerwright.report.formats import RenderOptions, render_as
    from layerwright.runner.audit import PAGE, REPORT

    page = folder / PAGE
    options = RenderOptions(f"Layerwright audit of {done.name}", checks=all_checks(), defects=done.defects)
    folder.joinpath(REPORT).write_text(done.report.to_json(indent=1) + "\n", "utf-8")
    page.write_text(render(done, all_checks()), "utf-8")
    page.with_suffix(".html").write_text(render_as("html", done.report, options), "utf-8")
    return page
