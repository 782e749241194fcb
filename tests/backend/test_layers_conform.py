"""The reference layers against the whole catalogue: nothing failed, warned, expected or not probed."""

import doctest
import importlib
import pkgutil

import pytest

import layerwright.layers
from layer_tools import OLD_KERAS
from layerwright.checks.discovery import all_checks
from layerwright.core.finding import Outcome
from layerwright.runner.in_process import run_checks

MODULES = [
    importlib.import_module(f"layerwright.layers.{module.name}")
    for module in pkgutil.iter_modules(layerwright.layers.__path__)
    if not module.name.startswith("_")
]
CASES = [case for module in MODULES for case in module.CASES]
INCONCLUSIVE_BY_OLD_KERAS = ("LW202", "LW806") if OLD_KERAS else ()
IN_ONE_PROCESS = [check for check in all_checks() if not check.across_backends]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_said_against_it(case):
    said = [
        f"{finding.code} {finding.outcome}: {finding.message}"
        for finding in run_checks(case, IN_ONE_PROCESS)
        if finding.outcome not in (Outcome.PASSED, Outcome.NOTE, Outcome.SKIPPED)
        and not (finding.outcome is Outcome.INCONCLUSIVE and finding.code in INCONCLUSIVE_BY_OLD_KERAS)
    ]
    assert not said, "\n".join(said)


def test_every_layer_has_cases_and_a_reference():
    for module in MODULES:
        assert module.CASES
        assert callable(module.reference)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_example_in_the_docstring_runs(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
