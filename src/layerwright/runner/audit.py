"""Check every layer in a package, resumably, and compare failures with known defects."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from layerwright.cases.targets import Target
from layerwright.core.defect import Defect
from layerwright.core.errors import UsageError, quote
from layerwright.core.finding import Finding, Outcome
from layerwright.report.report import Report, Run
from layerwright.runner.progress import BackendProgress
from layerwright.runner.workers import Options, check_targets

GROUP = "layerwright.cases"
"""The entry points of packages that bring cases: a module with `cases()`, and perhaps `defects()`."""

RUNS, REPORT, PAGE = "runs.jsonl", "report.json", "report.md"
WANT_EXPLAINING = frozenset({Outcome.FAILED, Outcome.ERRORED, Outcome.XPASSED})


@dataclass(frozen=True)
class Audit:
    """What came of an audit.

    Attributes:
        name: What was audited, such as `"keras"`.
        report: Every finding.
        defects: The defects that are known.
        interrupted: Whether it was interrupted before its end.
    """

    name: str
    report: Report
    defects: Sequence[Defect]
    interrupted: bool = False

    def unexplained(self) -> list[tuple[Run, Finding]]:
        """Return the failures and errors that no known defect explains."""
        return [
            (run, finding)
            for run in self.report.runs
            for finding in run.findings
            if finding.outcome in WANT_EXPLAINING
            and not any(each.covers(run.layer, run.backend, finding) for each in self.defects)
        ]

    def seen(self, defect: Defect) -> list[tuple[Run, Finding]]:
        """Return the findings that a defect explains."""
        return [
            (run, finding)
            for run in self.report.runs
            for finding in run.findings
            if finding.outcome in WANT_EXPLAINING and defect.covers(run.layer, run.backend, finding)
        ]


def known_names() -> tuple[str, ...]:
    """Return the names under which packages bring cases."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def run_audit(
    name: str,
    options: Options,
    folder: Path,
    *,
    only: str = "",
    fresh: bool = False,
    on_progress: Callable[[Sequence[BackendProgress]], object] = bool,
) -> Audit:
    """Check every case that a package brings, and write the results into a folder.

    Each finished case is saved at once; run again in the same folder, an interrupted audit resumes.

    Args:
        name: The name under which the package brings its cases.
        options: Which checks, on which backends, how.
        folder: Where the runs and the report go.
        only: Check only cases that contain this text.
        fresh: Discard saved results instead of resuming.
        on_progress: As in `check_targets`.

    Raises:
        UsageError: If nothing has that name, or the folder holds another audit.
    """
    point = _point(name)
    target = Target(name, point.module, is_file=False, layer="cases")
    record = _Record(folder / RUNS, _question(name, options, only))
    done = {} if fresh else record.read()
    record.start(done)
    result = check_targets(
        [target],
        options,
        on_progress,
        on_done=lambda case: record.add(case.id, list(case.runs())),
        leave_out=lambda case: case.id in done or only not in case.text,
    )
    runs = [run for earlier in done.values() for run in earlier]
    report = Report((*runs, *result.report.runs), result.report.keras, result.report.layerwright)
    return Audit(name, report, _defects(point), result.interrupted)


def _point(name: str) -> EntryPoint:
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point
    raise UsageError(
        f"no package brings cases under the name {name!r}; known names: {', '.join(known_names()) or 'none'}."
    )


def _defects(point: EntryPoint) -> tuple[Defect, ...]:
    try:
        module = point.load()
    except Exception as error:
        raise UsageError(f"{point.value}, which brings cases as {point.name!r}, raised {quote(error)}") from error
    return tuple(module.defects()) if hasattr(module, "defects") else ()


def _question(name: str, options: Options, only: str) -> dict[str, Any]:
    """Return all that the results depend on: an audit resumes only if this is the same."""
    from importlib.metadata import version

    return {
        "audit": name,
        "keras": version("keras"),
        "layerwright": version("layerwright"),
        "checks": [check.code for check in options.checks],
        "backends": list(options.backends),
        "only": only,
        "seed": options.seed,
    }


class _Record:
    """The file of finished cases: a line that says what is audited, then one for each case on every backend."""

    def __init__(self, path: Path, question: dict[str, Any]) -> None:
        self.path = path
        self.question = question

    def read(self) -> dict[str, list[Run]]:
        """Return the runs of finished cases, by the case's id; a torn last line is left out.

        Raises:
            UsageError: If the file is of another audit.
        """
        if not self.path.exists():
            return {}
        lines = [line for line in map(_json_or_none, self.path.read_text("utf-8").splitlines()) if line is not None]
        if not lines:
            return {}
        if lines[0] != self.question:
            differing = [key for key, value in self.question.items() if lines[0].get(key) != value]
            raise UsageError(
                f"{self.path} holds results with other {', '.join(differing)}; give another --output, or --fresh to "
                "discard them."
            )
        return {line["case"]: [Run.from_dict(run) for run in line["runs"]] for line in lines[1:]}

    def start(self, done: dict[str, list[Run]]) -> None:
        """Write the file with the finished cases only.

        Raises:
            UsageError: If it cannot be written.
        """
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = [self.question, *(_line(case, runs) for case, runs in done.items())]
            new.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
            new.replace(self.path)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}; give another --output.") from None

    def add(self, case: str, runs: Sequence[Run]) -> None:
        """Add one case on every backend; called from several threads, hence one write a line."""
        text = json.dumps(_line(case, runs)) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _line(case: str, runs: Sequence[Run]) -> dict[str, Any]:
    return {"case": case, "runs": [run.to_dict() for run in runs]}


def _json_or_none(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
