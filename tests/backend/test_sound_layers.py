"""No check fails or warns on correct layers."""

import pytest

from layerwright.checks.discovery import all_checks
from layerwright.core.finding import Outcome
from layerwright.runner.in_process import run_checks
from sound_layers import CASES

SILENT = {Outcome.PASSED, Outcome.NOTE, Outcome.SKIPPED, Outcome.INCONCLUSIVE}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_check_fails_or_warns(case):
    said = {
        finding.code: finding.message for finding in run_checks(case, all_checks()) if finding.outcome not in SILENT
    }
    assert said == {}


def test_there_are_many_layers():
    assert len({case.layer for case in CASES}) >= 20
