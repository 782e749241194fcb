"""The command line: arguments and wiring only."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from layerwright.cli.arguments import parse_expect, parse_init, parse_input, split
from layerwright.core.errors import UsageError

app = typer.Typer(
    name="layerwright",
    help="Write, prove and watch custom Keras layers, on TensorFlow, JAX and PyTorch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


class BackendChoice(StrEnum):
    """Backends that a check can be asked to run on."""

    TENSORFLOW = "tensorflow"
    JAX = "jax"
    TORCH = "torch"
    ALL = "all"


class Format(StrEnum):
    """How a report is written."""

    TERMINAL = "terminal"
    JSON = "json"
    GITHUB = "github"
    HTML = "html"


EVERY_CORE = os.cpu_count() or 1

Backends = Annotated[
    list[BackendChoice] | None,
    typer.Option("--backend", help="Where to check; by default on every installed backend."),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", help="Run only these: codes, families (`LW3`) or slugs, comma separated.", metavar="CODES"
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", help="Leave these out: codes, families or slugs, comma separated.", metavar="CODES"),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="How many cases to check at once.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that one check may take.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Where everything drawn at random starts from.")]

EXAMPLES = """
Examples:

    layerwright check my_layers.py

    layerwright check my_layers.py:Attention --backend jax --input None,10,8 --init num_heads=2

    layerwright check my_package.layers --select LW3,LW7 --format github

    layerwright check my_layers.py --expect 'LW301=normalises over the batch by design'

    layerwright check my_layers.py --format html --output report.html

Exit status: 0 everything held, 1 something failed, 2 the command was wrong or a target could not be loaded,
130 interrupted (what is known so far is printed).
"""

AUDIT_EXAMPLES = """
Examples:

    layerwright audit keras

    layerwright audit keras --backend jax --only Attention --select LW4

A package brings its cases through the entry point group `layerwright.cases`: a module with a function `cases()` that
returns a list of `layerwright.Case`, and perhaps `defects()`.

Exit status: 0 nothing failed that is not explained, 1 something did, 2 the command was wrong, 130 interrupted.
"""


@app.command(epilog=EXAMPLES)
def check(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...", help="`file.py`, `file.py:Layer`, `package.module` or `package.module:Layer`."
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Shape of an input, batch first, with a dtype if not float32: `None,10,5` or `None,10:int32`. "
            "Repeat for several inputs; `mask=None,10:bool` names a call argument or a key.",
            metavar="SHAPE",
        ),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option("--init", help="A constructor argument, such as `units=4`; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    backend: Backends = None,
    select: Select = None,
    ignore: Ignore = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect", help="A check known to fail, and why; it fails the run if it holds.", metavar="CODE=REASON"
        ),
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", help="How to write the report.")] = Format.TERMINAL,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the report to this file.", metavar="FILE")
    ] = None,
    jobs: Jobs = EVERY_CORE,
    timeout: Timeout = 60.0,
    seed: Seed = 0,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Check each case with other modes, flags and axes too, as its constructor documents them."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every finding, not only those that want attention.")
    ] = False,
) -> None:
    """Prove the Keras layers in each TARGET: what is wrong, on which backend, why it matters and what to do.

    With no --input and no declared case, a case is worked out for each layer, and the report says which.
    """
    from layerwright.cases.targets import Overrides, parse_target
    from layerwright.checks.discovery import select_checks
    from layerwright.runner.workers import Options, check_targets

    overrides = Overrides(
        init=dict(parse_init(text) for text in init or []),
        inputs=tuple(parse_input(text) for text in inputs or []),
        expect=dict(parse_expect(text) for text in expect or []),
    )
    options = Options(
        checks=select_checks(split(select), split(ignore)),
        backends=_backends(backend),
        overrides=overrides,
        jobs=jobs,
        timeout_seconds=timeout,
        seed=seed,
        sweep=sweep,
    )
    parsed = [parse_target(text) for text in targets]
    _prove_writable(output)
    with _progress() as draw:
        result = check_targets(parsed, options, draw)
    title = f"Layerwright check of {', '.join(Path(text).name for text in targets)}"
    _write(result.report, output_format, output, title, verbose=verbose)
    if result.interrupted:
        typer.echo("layerwright: interrupted; the report holds what was known by then.", err=True)
        raise typer.Exit(130)
    raise typer.Exit(0 if result.report.ok else 1)


@app.command(epilog=AUDIT_EXAMPLES)
def audit(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Whose layers: `keras`, or the name under which a package brings cases."),
    ],
    backend: Backends = None,
    select: Select = None,
    ignore: Ignore = None,
    only: Annotated[
        str, typer.Option("--only", help="Check only cases that hold this text, such as `Conv`.", metavar="TEXT")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Folder for the report; by default layerwright-audit/NAME.", metavar="FOLDER"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew instead of going on.")] = False,
    jobs: Jobs = EVERY_CORE,
    timeout: Timeout = 60.0,
    seed: Seed = 0,
) -> None:
    """Put every layer of a package to the checks, and hold what fails against the defects that are known.

    A case that is done is written down at once: an audit that was ended goes on where it was, with the same command.
    """
    from layerwright.checks.discovery import select_checks
    from layerwright.runner.audit import run_audit
    from layerwright.runner.workers import Options

    options = Options(
        checks=select_checks(split(select), split(ignore)),
        backends=_backends(backend),
        jobs=jobs,
        timeout_seconds=timeout,
        seed=seed,
    )
    folder = output or Path("layerwright-audit", name)
    with _progress() as draw:
        done = run_audit(name, options, folder, only=only, fresh=fresh, on_progress=draw)
    page = _write_audit(done, folder)
    unexplained = done.unexplained()
    for run, finding in unexplained:
        typer.echo(f"{finding.code} {finding.check} {finding.outcome} on {run.backend}, {run.case}: {finding.message}")
    said = ", ".join(f"{count} {outcome}" for outcome, count in done.report.summary().items() if count)
    typer.echo(f"{len(done.report.runs)} runs: {said or 'nothing was checked'}; {len(unexplained)} not explained.")
    typer.echo(f"The report is in {page}, and as a page with pictures in {page.with_suffix('.html')}.")
    if done.interrupted:
        typer.echo("layerwright: interrupted; the same command goes on from here.", err=True)
        raise typer.Exit(130)
    raise typer.Exit(1 if unexplained else 0)


@app.command()
def checks() -> None:
    """List the catalogue of checks."""
    from rich.console import Console
    from rich.table import Table

    from layerwright.checks.discovery import all_checks

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("code", "check", "", "proves"):
        table.add_column(heading, no_wrap=heading in ("code", "check"))
    for each in all_checks():
        table.add_row(each.code, each.slug, "advisory" if each.advisory else "", each.title)
    Console().print(table)
    typer.echo("\n`layerwright explain CODE` shows what a check proves, why it matters, and a layer that breaks it.")


@app.command()
def explain(code: Annotated[str, typer.Argument(help="A check's code or slug, such as `LW301`.")]) -> None:
    """Explain a check: what it proves, why it matters, how it is tested, a layer that breaks it, one that keeps it."""
    from rich.console import Console
    from rich.syntax import Syntax

    from layerwright.checks.discovery import check_by_code

    found = check_by_code(code)
    console = Console(highlight=False)
    console.print(f"[bold]{found.code} {found.slug}[/]" + (" (advisory: warns, never fails)" if found.advisory else ""))
    console.print()
    console.print(found.document, markup=False)
    for name, words in (("bad", "A layer that breaks it:"), ("good", "A layer that keeps it:")):
        console.print(f"\n[bold]{words}[/]")
        source = found.source(name)
        widest = max(map(len, source.splitlines()))
        uncut = Console(width=max(console.width, widest + 1), highlight=False)
        uncut.print(Syntax(source, "python", background_color="default"))


@app.command()
def show(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder that `Watch` was given as a sink.")],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with the pictures to this file.", metavar="FILE"),
    ] = None,
    most: Annotated[int, typer.Option("--most", help="Rows of each kind at most.", min=1)] = 20,
) -> None:
    """Show what a watched run recorded: alerts, the course of each tensor, the samples that were learned worst.

    A run can be shown while it goes on.
    """
    from rich.console import Console

    from layerwright.watch.show.html import render_run_html
    from layerwright.watch.show.run import read_run
    from layerwright.watch.show.terminal import render_run

    _prove_writable(html, "--html")
    run = read_run(folder)
    console = Console(highlight=False)
    console.print(render_run(run, most))
    if html is not None:
        html.write_text(render_run_html(run), "utf-8")
        console.print(f"The pictures are in {html}.")


@app.command()
def demo() -> None:
    """Prove a dozen broken layers and two sound ones, then train with the sound ones on real data."""
    from layerwright.cli.commands.demo import run

    raise typer.Exit(run())


def _version(shown: bool) -> None:
    if shown:
        from layerwright import __version__

        typer.echo(f"layerwright {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Write, prove and watch custom Keras layers, on TensorFlow, JAX and PyTorch."""


def main() -> NoReturn:
    """Run the command line; a `UsageError` becomes one line on standard error and exit status 2."""
    try:
        app(standalone_mode=True)
    except UsageError as error:
        typer.echo(f"layerwright: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    sys.exit(0)


def _backends(chosen: list[BackendChoice] | None) -> tuple[str, ...]:
    from layerwright.backends import installed

    here = installed()
    if not here:
        raise UsageError(
            "no backend is installed; install one: pip install 'layerwright[jax]' (or [tensorflow], [torch])."
        )
    if not chosen or BackendChoice.ALL in chosen:
        return here
    for backend in chosen:
        if backend.value not in here:
            raise UsageError(f"{backend.value} is not installed; run: pip install 'layerwright[{backend.value}]'.")
    return tuple(dict.fromkeys(backend.value for backend in chosen))


def _prove_writable(output: Path | None, option: str = "--output") -> None:
    if output is None:
        return
    try:
        output.open("a").close()
    except OSError as error:
        raise UsageError(f"{option} {output} cannot be written: {error.strerror}.") from None


def _progress() -> Any:
    from layerwright.report.progress import on_terminal

    return on_terminal()


def _write_audit(audit: Any, folder: Path) -> Path:
    from layerwright.report.audit import render
    from layerwright.report.formats.html import render as render_html
    from layerwright.runner.audit import PAGE, REPORT

    folder.joinpath(REPORT).write_text(audit.report.to_json(indent=1) + "\n", "utf-8")
    page = folder / PAGE
    page.write_text(render(audit), "utf-8")
    title = f"Layerwright audit of {audit.name}"
    page.with_suffix(".html").write_text(render_html(audit.report, title=title, defects=audit.defects), "utf-8")
    return page


def _write(report: Any, output_format: Format, output: Path | None, title: str, *, verbose: bool) -> None:
    if output_format is Format.TERMINAL:
        from rich.console import Console

        from layerwright.report.formats.terminal import render, show

        if output is None:
            Console(highlight=False).print(show(report, verbose=verbose))
            return
        text = render(report, width=120, verbose=verbose)
    elif output_format is Format.JSON:
        from layerwright.report.formats.json import render as render_json

        text = render_json(report)
    elif output_format is Format.HTML:
        from layerwright.report.formats.html import render as render_html

        text = render_html(report, title=title)
    else:
        from layerwright.report.formats.github import render as render_github

        text = render_github(report)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, "utf-8")
