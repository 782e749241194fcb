"""`layerwright demo`: finds planted mistakes, checks two sound layers, and trains a classifier on real data."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

import layerwright
from layerwright.backends import installed
from layerwright.cases.targets import parse_target
from layerwright.checks.discovery import all_checks, check_by_code
from layerwright.core.case import Case
from layerwright.core.check import Check
from layerwright.core.errors import UsageError
from layerwright.core.finding import BAD_OUTCOMES
from layerwright.report.formats.terminal import show
from layerwright.report.progress import on_terminal
from layerwright.report.report import Report
from layerwright.runner.environment import quiet_environment
from layerwright.runner.workers import Options, check_targets

CLASSIFIER_LAYERS = ("layerwright.layers:CausalConv1D", "layerwright.layers:MaskedAverage")
AS_IN_THE_CLASSIFIER = f"{__name__}:masked_cases"
PLACE = 6


def demo() -> None:
    """Check short layers with one mistake each and two sound ones, then train with the sound ones on real data."""
    raise typer.Exit(run())


def run() -> int:
    """Run the demonstration and return its exit status: 0 if everything is as it should be."""
    console = Console(highlight=False)
    mistakes, classifier = (_examples() / name for name in ("common_mistakes.py", "series_classifier.py"))
    backends = installed()
    if not backends:
        raise UsageError("no backend is installed; install one: pip install 'layerwright[jax]' (or another).")
    planted = _planted(mistakes)
    codes = sorted(set(planted.values()), key=lambda code: int(code[2:]))
    _head(console, f"1. Short layers with one mistake each: layerwright check {mistakes.name}")
    console.print(f"Only the checks that find them: --select {','.join(codes)}\n", style="dim")
    report = _check(str(mistakes), backends, [check_by_code(code) for code in codes])
    caught = _show_mistakes(console, report, planted, backends)
    _head(console, f"2. The two layers of the classifier: layerwright check {' '.join(CLASSIFIER_LAYERS)}")
    sound = _check(AS_IN_THE_CLASSIFIER, backends, all_checks())
    console.print(show(sound))
    trained = _train(console, classifier, backends)
    console.print("\nNext: [bold]layerwright check your_layers.py[/], and [bold]layerwright explain LW301[/].")
    return 0 if caught and sound.ok and trained else 1


def masked_cases() -> list[Case]:
    """Return one case of each of the classifier's layers, with a padding mask as there."""
    from layerwright.layers import causal_conv1d, masked_average

    return [module.CASES[1] for module in (causal_conv1d, masked_average)]


def _show_mistakes(console: Console, report: Report, planted: dict[str, str], backends: tuple[str, ...]) -> bool:
    """Print, for each broken layer, what was planted and what was found."""
    missed = []
    for layer, code in planted.items():
        found = _findings(report, layer, code)
        missed += [] if found else [layer]
        where = "every backend" if len(found) == len(backends) else ", ".join(found) or "[bold red]no backend[/]"
        console.print(f"[bold]{layer:<22}[/]{code} {check_by_code(code).slug}, on {where}")
        message = next(iter(found.values()), "not found")
        console.print(Padding(Text(message, style="dim"), (0, 0, 0, 22)))
    console.print(f"\n[bold]{len(planted) - len(missed)} of {len(planted)} mistakes found.[/] One of them in full:\n")
    console.print(show(_part(report, ":SwapHeads")))
    return not missed


def _train(console: Console, path: Path, backends: tuple[str, ...]) -> bool:
    """Train the classifier in a process of its own, its output shown as it comes."""
    backend = "jax" if "jax" in backends else backends[0]
    _head(console, f"3. The classifier on real series, on {backend}: python examples/{path.name}")
    environment = {**quiet_environment(backend), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([sys.executable, str(path)], env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        console.print(done.stderr, markup=False)
    return done.returncode == 0


def _check(target: str, backends: tuple[str, ...], checks: Sequence[Check]) -> Report:
    with on_terminal() as draw:
        result = check_targets([parse_target(target)], Options(checks, backends), draw)
    if result.interrupted:
        raise KeyboardInterrupt
    return result.report


def _part(report: Report, *ends: str) -> Report:
    """Return the part of the report whose targets end so."""
    return replace(report, runs=tuple(run for run in report.runs if run.target.endswith(ends)))


def _findings(report: Report, layer: str, code: str) -> dict[str, str]:
    """Return the backends on which `code` has something against the layer, each with its message."""
    return {
        run.backend: finding.message
        for run in report.runs
        if run.target.endswith(f":{layer}")
        for finding in run.findings
        if finding.code == code and finding.outcome in BAD_OUTCOMES
    }


def _planted(path: Path) -> dict[str, str]:
    """Read `PLANTED` out of the example without importing Keras here."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PLANTED":
            read: dict[str, str] = ast.literal_eval(node.value)
            return read
    raise UsageError(f"{path} does not say what is planted in it.")


def _examples() -> Path:
    """Return the folder of examples: inside an installed package, or beside `src` in a checkout."""
    package = Path(layerwright.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / "common_mistakes.py").exists():
            return folder
    raise UsageError("the examples are not installed; run the demonstration from a checkout of the repository.")


def _head(console: Console, text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")
    console.print()
