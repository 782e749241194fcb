"""Checks as pytest tests: `parametrize_with_checks`, and the marker `layerwright` that selects them."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest

from layerwright import backends
from layerwright.checks.discovery import select_checks
from layerwright.core.case import Case
from layerwright.core.check import Check
from layerwright.core.errors import CheckFailed
from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome
from layerwright.runner.case_checker import CaseChecker
from layerwright.runner.plan import declared_cases, planned

SKIPS = frozenset({Outcome.SKIPPED, Outcome.BLOCKED, Outcome.INCONCLUSIVE})


class CheckWarning(UserWarning):
    """An advisory check warns of a layer."""


@dataclass
class CaseUnderTest:
    """One parametrised case. What it leaves open is inferred when its first check runs, not while tests are collected.

    Attributes:
        declared: The case.
        chosen: The codes of the checks that have a test.
        reported: What each check's test has reported, by code: a test that runs again reports the same.
    """

    declared: Case
    chosen: frozenset[str]
    reported: dict[str, list[Finding]] = field(default_factory=dict)

    @cached_property
    def checker(self) -> CaseChecker:
        """What runs the checks, each once, whichever tests ask for them."""
        (case,) = planned(self.declared)
        return CaseChecker(case)

    def run(self, check: Check) -> list[Finding]:
        """Run a check and return what its test reports: its findings, and those of unmet requirements with no test."""
        if check.code not in self.reported:
            unmet = [finding for finding in self.checker.run([check]) if finding.code not in self.chosen]
            self.reported[check.code] = [*unmet, *self.checker.findings[check.code]]
        if self.chosen <= self.checker.outcomes.keys():
            self.checker.release()
        return self.reported[check.code]


@dataclass(frozen=True)
class CheckUnderTest:
    """One parametrised check: call it with the case it was parametrised with."""

    check: Check

    def __call__(self, case: CaseUnderTest) -> None:
        """Run the check; skip, xfail or fail the test as its findings say.

        Raises:
            CheckFailed: If the layer lacks the property, or has it where a failure was expected.
        """
        __tracebackhide__ = True
        reason = case.declared.unsupported.get(backends.current().NAME)
        if reason is not None:
            pytest.skip(f"the case does not support this backend: {reason}")
        for finding in sorted(case.run(self.check), key=lambda each: each.outcome not in BAD_OUTCOMES):
            _report(finding)


def parametrize_with_checks(
    cases: Iterable[Case | type],
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    expect: dict[str, str] | None = None,
    sweep: bool = False,
) -> pytest.MarkDecorator:
    """Parametrise a test with every case and every check.

    Args:
        cases: Cases, or layer classes: of those, the declared cases, or one that is inferred.
        select: Codes, families (`"LW3"`) or slugs of the checks to run; all by default.
        ignore: Codes, families or slugs of checks to leave out.
        expect: Codes of checks known to fail on each case, each with its reason: the test is reported as xfailed,
            and fails once the check passes.
        sweep: Also check each case with other modes, flags and axes, as the layer's constructor documents them. Layers
            are then constructed and called while tests are collected.

    Returns:
        A decorator for a test function with the arguments `case` and `check`, whose body is `check(case)`.

    Raises:
        UsageError: If a code is unknown.

    Example:
        >>> import keras
        >>> import layerwright as lw
        >>> @lw.parametrize_with_checks([lw.Case(keras.layers.Dense, init={"units": 4}, inputs=(None, 5))])
        ... def test_dense(case, check):
        ...     check(case)
    """
    chosen = select_checks(select, ignore)
    codes = frozenset(check.code for check in chosen)
    parameters = []
    for declared in declared_cases(list(cases), expect=expect):
        for case in planned(declared, sweep=True) if sweep else [declared]:
            under_test = CaseUnderTest(case, codes)
            for check in chosen:
                name = f"{case}-{check.code}-{check.slug}"
                parameters.append(
                    pytest.param(under_test, CheckUnderTest(check), id=name, marks=pytest.mark.layerwright)
                )
    return pytest.mark.parametrize(("case", "check"), parameters)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "layerwright: a check of a Keras layer by layerwright")


def _report(finding: Finding) -> Any:
    __tracebackhide__ = True
    words = f"{finding.code} {finding.check}: {finding.message}"
    if finding.outcome in BAD_OUTCOMES:
        raise CheckFailed(f"{words}\nfix: {finding.fix}" if finding.fix else words)
    if finding.outcome is Outcome.XFAILED:
        pytest.xfail(finding.message)
    if finding.outcome in SKIPS:
        # A check that does not apply to the layer, or is inconclusive, has not passed: pytest shows the reason.
        pytest.skip(f"{finding.outcome}: {finding.message}")
    if finding.outcome is Outcome.WARNED:
        warnings.warn(CheckWarning(words), stacklevel=2)
