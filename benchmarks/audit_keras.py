"""Put every layer that ships with Keras to the checks, on one backend, and print what did not hold.

python benchmarks/audit_keras.py --backend jax
python benchmarks/audit_keras.py --backend torch --select LW3 --only Conv --json audit.json
"""

import argparse
import logging
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

SHOWN = ("failed", "warned", "errored", "xpassed")


def main() -> None:
    """Run the audit that the command line asks for."""
    wanted = _arguments()
    os.environ["KERAS_BACKEND"] = wanted.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    report = _audit(wanted)
    _print_tally(report)
    if wanted.json:
        wanted.json.write_text(report.to_json(indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("tensorflow", "jax", "torch"), default="tensorflow")
    parser.add_argument("--select", nargs="*", default=(), metavar="CODE", help="codes, families or slugs; all if none")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases that hold this text")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the whole report here")
    return parser.parse_args()


def _audit(wanted: argparse.Namespace) -> Any:
    import keras

    from layerwright import Report, __version__
    from layerwright.catalogue.keras import cases
    from layerwright.checker import run_case
    from layerwright.core.discovery import select_checks

    checks = select_checks(wanted.select)
    chosen = [case for case in cases() if wanted.only in str(case)]
    runs = []
    for number, case in enumerate(chosen, 1):
        print(f"\r{number}/{len(chosen)} {str(case)[:100]:100}", end="", file=sys.stderr, flush=True)
        runs.append(run_case(case, checks))
        _print_failures(runs[-1])
    print("\r" + " " * 110, end="\r", file=sys.stderr)
    return Report(tuple(runs), keras.__version__, __version__)


def _print_failures(run: Any) -> None:
    for finding in run.findings:
        if finding.outcome.value in SHOWN:
            print(f"{finding.code}  {finding.outcome.value:7}  {run.case}\n    {finding.message}", flush=True)


def _print_tally(report: Any) -> None:
    outcomes = [outcome for outcome, count in report.summary().items() if count]
    by_code: dict[str, Counter[str]] = {}
    seconds: Counter[str] = Counter()
    for finding in report.findings:
        by_code.setdefault(f"{finding.code} {finding.check}", Counter())[finding.outcome.value] += 1
        seconds[f"{finding.code} {finding.check}"] += finding.seconds
    backend = report.runs[0].backend if report.runs else "no backend"
    layers = {run.case.partition("(")[0] for run in report.runs}
    print(f"\nKeras {report.keras} on {backend}: {len(layers)} layers, {len(report.runs)} cases")
    print(f"{'check':36}" + "".join(f"{outcome:>11}" for outcome in outcomes) + f"{'seconds':>10}")
    for code, counts in by_code.items():
        print(f"{code:36}" + "".join(f"{counts[outcome]:11}" for outcome in outcomes) + f"{seconds[code]:10.1f}")
    print(f"{'together':36}" + "".join(f"{report.summary()[outcome]:11}" for outcome in outcomes), end="")
    print(f"{sum(run.seconds for run in report.runs):10.1f}")


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s with imports")
