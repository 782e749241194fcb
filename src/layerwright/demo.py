"""`layerwright demo`: fourteen mistakes caught, two sound layers proved, and a classifier trained on real data."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from layerwright.backends import installed
from layerwright.core.discovery import all_checks, check_by_code
from layerwright.core.errors import UsageError
from layerwright.core.finding import BAD_OUTCOMES, Report
from layerwright.environment import quiet_environment
from layerwright.report.progress import on_terminal
from layerwright.report.terminal import show
from layerwright.targets import parse_target
from layerwright.workers import Options, check_targets

CLASSIFIER_LAYERS = ("layerwright.layers:CausalConv1D", "layerwright.layers:MaskedAverage")


def run() -> int:
    """Run the demonstration and return its exit status: 0 if everything is as it should be."""
    console = Console(highlight=False)
    examples = _examples()
    backends = installed()
    if not backends:
        raise UsageError(
            "no backend is installed; install one: pip install 'layerwright[jax]' (or [tensorflow], [torch])."
        )
    caught = _show_mistakes(console, examples / "common_mistakes.py", backends)
    clean = _show_sound_layers(console, backends)
    trained = _train(console, examples / "series_classifier.py", backends)
    console.print("\nNext: [bold]layerwright check your_layers.py[/], and [bold]layerwright explain LW301[/].")
    return 0 if caught and clean and trained else 1


def _show_mistakes(console: Console, path: Path, backends: tuple[str, ...]) -> bool:
    """Check the broken layers and print, for each, what was planted and what was found."""
    _head(console, f"1. Fourteen short layers with one mistake each: layerwright check {path.name}")
    planted = _planted(path)
    report = _check([str(path)], backends)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("layer", "found by", "on", "what was seen"):
        table.add_column(heading, no_wrap=heading == "layer")
    missed = []
    for layer, code in planted.items():
        found = _findings(report, layer, code)
        missed += [] if found else [layer]
        check = check_by_code(code)
        message = next(iter(found.values()), "[bold red]not found[/]")
        where = "every backend" if len(found) == len(backends) else ", ".join(found)
        table.add_row(layer, f"{code} {check.slug}", where, _shortened(message))
    console.print(table)
    console.print(f"\n{len(planted) - len(missed)} of {len(planted)} mistakes caught. One of them in full:\n")
    runs = tuple(run for run in report.runs if run.target.endswith(":SwapHeads"))
    console.print(show(Report(runs, report.keras, report.layerwright)))
    return not missed


def _show_sound_layers(console: Console, backends: tuple[str, ...]) -> bool:
    _head(console, f"2. The two layers of the classifier: layerwright check {' '.join(CLASSIFIER_LAYERS)}")
    report = _check(CLASSIFIER_LAYERS, backends)
    console.print(show(report))
    return report.ok


def _train(console: Console, path: Path, backends: tuple[str, ...]) -> bool:
    """Train the classifier in a process of its own, its output shown as it comes."""
    backend = "jax" if "jax" in backends else backends[0]
    _head(console, f"3. The classifier on real series, on {backend}: python examples/{path.name}")
    environment = {**quiet_environment(backend), "PYTHONUNBUFFERED": "1"}
    return subprocess.run([sys.executable, str(path)], env=environment, check=False).returncode == 0


def _check(targets: Any, backends: tuple[str, ...]) -> Report:
    with on_terminal() as draw:
        result = check_targets([parse_target(text) for text in targets], Options(all_checks(), backends), draw)
    if result.interrupted:
        raise KeyboardInterrupt
    return result.report


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
    import ast

    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PLANTED":
            read: dict[str, str] = ast.literal_eval(node.value)
            return read
    raise UsageError(f"{path} does not say what is planted in it.")


def _examples() -> Path:
    """Return the folder of examples: inside an installed package, or beside `src` in a checkout."""
    here = Path(__file__).parent
    for folder in (here / "examples", here.parents[1] / "examples"):
        if (folder / "common_mistakes.py").exists():
            return folder
    raise UsageError("the examples are not installed; run the demonstration from a checkout of the repository.")


def _shortened(message: str, most: int = 110) -> str:
    return message if len(message) <= most else message[: most - 1] + "…"


def _head(console: Console, text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")
    console.print()
