"""Checks as pytest tests: `parametrize_with_checks`, and the marker `layerwright` that selects them."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from layerwright.cases.pairwise import expanded
from layerwright.checks.discovery import check_by_code, select_checks
from layerwright.core.case import Case
from layerwright.core.check import Check
from layerwright.core.errors import CheckFailed
from layerwright.core.finding import BAD_OUTCOMES, Finding, Outcome

SKIPS = frozenset({Outcome.SKIPPED, Outcome.BLOCKED, Outcome.INCONCLUSIVE})


class CheckWarning(UserWarning):
    """An advisory check has something to say of a layer."""


@dataclass
class CaseUnderTest:
    """One parametrised case, with what its checks have found so far: by the code of the check whose test says it.

    What a case leaves open is worked out when its first check runs, not while tests are collected.
    """

    declared: Case
    chosen: frozenset[str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    found: dict[str, list[Finding]] = field(default_factory=dict)
    known: Case | None = None

    def resolve(self) -> Case:
        """Return the case with its inputs known."""
        if self.known is None:
            from layerwright.cases.candidates import infer

            self.known = infer(self.declared)
        return self.known


@dataclass(frozen=True)
class CheckUnderTest:
    """One parametrised check: call it with the case it was parametrised with."""

    check: Check

    def __call__(self, case: CaseUnderTest) -> None:
        """Run the check; skip, xfail or fail the test as its findings say.

        Raises:
            CheckFailed: If the property is refuted, or holds where a failure was expected.
        """
        __tracebackhide__ = True
        from layerwright.runner.in_process import run_checks

        for finding in run_checks(case.resolve(), [self.check], outcomes=case.outcomes):
            has_own_test = finding.code in case.chosen
            case.found.setdefault(finding.code if has_own_test else self.check.code, []).append(finding)
        for finding in sorted(case.found.get(self.check.code, []), key=lambda each: each.outcome not in BAD_OUTCOMES):
            _report(finding)


def parametrize_with_checks(
    cases: Iterable[Case | type],
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    expect: dict[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrise a test with every case and every check.

    Args:
        cases: Cases, or layer classes: of those, the declared cases, or one that is worked out.
        select: Codes, families (`"LW3"`) or slugs of the checks to run; all by default.
        ignore: Codes, families or slugs of checks to leave out.
        expect: Codes of checks known to fail on each case, each with its reason: the test is reported as xfailed,
            and fails once the check holds.

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
    expected = {check_by_code(code).code: reason for code, reason in (expect or {}).items()}
    chosen = select_checks(select, ignore)
    parameters = []
    for each in (one for given in cases for one in _declared(given)):
        codes = frozenset(check.code for check in chosen)
        case = CaseUnderTest(replace(each, expect={**each.expect, **expected}), codes)
        for check in chosen:
            name = f"{each}-{check.code}-{check.slug}"
            parameters.append(pytest.param(case, CheckUnderTest(check), id=name, marks=pytest.mark.layerwright))
    return pytest.mark.parametrize(("case", "check"), parameters)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "layerwright: a check of a Keras layer by layerwright")


def _declared(given: Case | type) -> tuple[Case, ...]:
    from layerwright.core.case import cases_for

    declared = (given,) if isinstance(given, Case) else cases_for([given])[given]
    return tuple(each for case in declared for each in expanded(case))


def _report(finding: Finding) -> Any:
    __tracebackhide__ = True
    words = f"{finding.code} {finding.check}: {finding.message}"
    if finding.outcome in BAD_OUTCOMES:
        raise CheckFailed(f"{words}\nfix: {finding.fix}" if finding.fix else words)
    if finding.outcome is Outcome.XFAILED:
        pytest.xfail(finding.message)
    if finding.outcome in SKIPS:
        # A check that does not apply to the layer, or could not probe it, is no pass: pytest says why.
        pytest.skip(f"{finding.outcome}: {finding.message}")
    if finding.outcome is Outcome.WARNED:
        warnings.warn(CheckWarning(words), stacklevel=2)
