"""Check six models as people write them, sound and with a defect planted in one layer, on every installed backend.

    python benchmarks/models.py [MODEL...]

Prints, for each model, what it cost and what was found. The exit status is 1 if a sound model is not clean, or a
defect's layer is not named. `tests/models_of_users.py` holds the models.
"""

import re
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

from layerwright.backends import installed
from layerwright.cases.targets import parse_target
from layerwright.checks.discovery import all_checks
from layerwright.core.finding import BAD_OUTCOMES, Outcome
from layerwright.report.report import Report
from layerwright.runner.workers import Options, check_targets

MODELS = Path(__file__).parents[1] / "tests" / "models_of_users.py"
DIRTY = BAD_OUTCOMES | {Outcome.WARNED}


def main() -> int:
    """Check each model, and return the exit status."""
    defects = dict(re.findall(r'^    "(\w+)": "(\w+)",$', MODELS.read_text("utf-8"), re.MULTILINE))
    wrong = 0
    for name in sys.argv[1:] or defects:
        sound = checked(name)
        dirty = [
            f"{run.layer} [{run.backend}] {finding.code} {finding.outcome}: {finding.message}"
            for run in sound.runs
            for finding in run.findings
            if finding.outcome in DIRTY
        ]
        wrong += bool(dirty) + bool(sound.undetermined)
        print(*(f"  {line:.300}" for line in dirty), sep="\n", flush=True)
        broken = checked(f"broken_{name}")
        found = Counter(
            (run.layer, finding.code)
            for run in broken.runs
            for finding in run.findings
            if finding.outcome in BAD_OUTCOMES
        )
        named = {run.backend for run in broken.runs if run.layer == defects[name] and BAD_OUTCOMES & outcomes(run)}
        wrong += named != set(installed())
        print(f"  {defects[name]} is named on {', '.join(sorted(named)) or 'no backend'}: {dict(found)}", flush=True)
        for run in broken.runs:
            for finding in run.findings:
                if finding.outcome in BAD_OUTCOMES and run.layer == f"broken_{name}":
                    print(f"    the model [{run.backend}] {finding.code}: {finding.message:.400}", flush=True)
    return int(wrong > 0)


def checked(name: str) -> Report:
    """Check one model, and print what it cost."""
    started = monotonic()
    options = Options(checks=all_checks(), backends=installed(), timeout_seconds=180.0)
    report = check_targets([parse_target(f"{MODELS}:{name}")], options).report
    counts = {outcome: count for outcome, count in report.summary().items() if count}
    print(f"{name}: {len(report.runs)} runs, {monotonic() - started:.0f} s, {counts}", flush=True)
    return report


def outcomes(run) -> set[Outcome]:
    """Return the outcomes of a run's findings."""
    return {finding.outcome for finding in run.findings}


if __name__ == "__main__":
    sys.exit(main())
