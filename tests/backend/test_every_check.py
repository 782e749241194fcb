"""Each check refutes the layer that breaks its property, and says nothing against the one that keeps it."""

import re

import keras
import pytest

from layer_tools import OLD_KERAS
from layerwright.checks.discovery import all_checks, check_by_code
from layerwright.core.check import HEADINGS
from layerwright.core.finding import BAD_OUTCOMES, Outcome
from layerwright.runner.in_process import run_checks

CHECKS = [check for check in all_checks() if not check.across_backends]  # those: tests/doors/test_across_backends.py
SIZES = {1: 9, 2: 8, 3: 8, 4: 8, 5: 8, 6: 4, 7: 9, 8: 6, 9: 7, 10: 6}
"""How many checks each family has."""

EXPECTED_CODES = {f"LW{family}{number:02}" for family, size in SIZES.items() for number in range(1, size + 1)}
ids = [check.code for check in CHECKS]
OLD_TORCH = OLD_KERAS and keras.backend.backend() == "torch"


@pytest.fixture(autouse=True)
def _needs_a_newer_keras(request):
    check = request.node.callspec.params["check"] if hasattr(request.node, "callspec") else None
    if OLD_TORCH and getattr(check, "code", "") == "LW806":
        pytest.skip("Keras 3.10 exports nothing that torch can run, and LW806 says so")


def against(case):
    """What the whole catalogue has against a case: code to outcome."""
    said = {}
    for finding in run_checks(case, CHECKS):
        if finding.outcome in BAD_OUTCOMES | {Outcome.WARNED}:
            said[finding.code] = (finding.outcome.value, finding.message)
    return said


def test_no_check_is_missing():
    assert {check.code for check in all_checks()} == EXPECTED_CODES


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_bad_breaks_exactly_this_check(check):
    said = against(check.bad())
    assert set(said) == {check.code}, said
    assert said[check.code][0] == ("warned" if check.advisory else "failed")


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_good_breaks_none(check):
    assert against(check.good()) == {}


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_good_is_put_to_the_test(check):
    outcomes = {finding.outcome for finding in run_checks(check.good(), [check])}
    assert {Outcome.PASSED, Outcome.NOTE} & outcomes


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_findings_say_what_to_do(check):
    for finding in run_checks(check.bad(), [check]):
        if finding.outcome in BAD_OUTCOMES:
            assert finding.message
            assert finding.fix


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_check_is_a_document(check):
    assert check.title.endswith(".")
    positions = [check.document.find(f"\n{heading}:\n") for heading in HEADINGS]
    assert all(position > 0 for position in positions), f"{check.code} lacks one of {HEADINGS}"
    assert positions == sorted(positions)


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_names_are_as_agreed(check):
    assert re.fullmatch(r"LW\d{3,4}", check.code)
    assert re.fullmatch(r"[a-z][a-z-]+[a-z]", check.slug)
    assert check.function.__module__.rsplit(".", 1)[1] == check.slug.replace("-", "_")
    for code in check.requires:
        assert check_by_code(code).code == code
