"""Every check fails its `bad()` layer and no other check does; every check passes its `good()` layer."""

import importlib
import re
from collections import Counter

import keras
import pytest

from layer_tools import OLD_KERAS
from layerwright.checks.discovery import all_checks, check_by_code
from layerwright.core.check import HEADINGS
from layerwright.core.finding import BAD_OUTCOMES, Outcome
from layerwright.runner.in_process import run_checks

CHECKS = [check for check in all_checks() if not check.across_backends]
"""tests/doors/test_across_backends.py tests the others."""

ids = [check.code for check in CHECKS]
OLD_TORCH = OLD_KERAS and keras.backend.backend() == "torch"


@pytest.fixture(autouse=True)
def _needs_a_newer_keras(request):
    check = request.node.callspec.params["check"] if hasattr(request.node, "callspec") else None
    if OLD_TORCH and getattr(check, "code", "") == "LW806":
        pytest.skip("Keras 3.10 exports nothing that torch can run, and LW806 says so")


def against(case):
    """Run every check on a case; return the outcome and message of those that failed or warned, by code."""
    said = {}
    for finding in run_checks(case, CHECKS):
        if finding.outcome in BAD_OUTCOMES | {Outcome.WARNED}:
            said[finding.code] = (finding.outcome.value, finding.message)
    return said


def numbers_in_families(checks):
    """Map each family to the numbers of its checks: LW301 is number 1 of family 3."""
    families = {}
    for check in checks:
        families.setdefault(int(check.code[2:-2]), []).append(int(check.code[-2:]))
    return families


def test_codes_are_unique():
    counts = Counter(check.code for check in all_checks())
    assert not [code for code, count in counts.items() if count > 1]


def test_the_checks_of_a_folder_have_the_code_of_its_family():
    for check in all_checks():
        folder = importlib.import_module(check.function.__module__.rpartition(".")[0])
        family, colon, _ = folder.__doc__.partition(": ")  # such as "LW3: …"; two folders may share a family
        assert colon
        assert check.code[:-2] == family, f"{check.code} is in {folder.__name__}"


def test_families_and_their_checks_are_numbered_from_1_without_gaps():
    families = numbers_in_families(all_checks())
    assert sorted(families) == list(range(1, len(families) + 1))
    for family, numbers in families.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), f"LW{family}"


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_bad_fails_exactly_this_check(check):
    said = against(check.bad())
    assert set(said) == {check.code}, said
    assert said[check.code][0] == ("warned" if check.advisory else "failed")


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_good_fails_no_check(check):
    assert against(check.good()) == {}


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_good_passes_this_check(check):
    outcomes = {finding.outcome for finding in run_checks(check.good(), [check])}
    assert {Outcome.PASSED, Outcome.NOTE} & outcomes


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_failed_findings_have_a_message_and_a_fix(check):
    for finding in run_checks(check.bad(), [check]):
        if finding.outcome in BAD_OUTCOMES:
            assert finding.message
            assert finding.fix


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_a_check_has_every_heading_of_its_document(check):
    assert check.title.endswith(".")
    positions = [check.document.find(f"\n{heading}:\n") for heading in HEADINGS]
    assert all(position > 0 for position in positions), f"{check.code} lacks one of {HEADINGS}"
    assert positions == sorted(positions)


@pytest.mark.parametrize("check", CHECKS, ids=ids)
def test_code_slug_and_module_have_the_agreed_form(check):
    assert re.fullmatch(r"LW\d{3,4}", check.code)
    assert re.fullmatch(r"[a-z][a-z-]+[a-z]", check.slug)
    assert check.function.__module__.rsplit(".", 1)[1] == check.slug.replace("-", "_")
    for code in check.requires:
        assert check_by_code(code).code == code
