"""Checks on one case, in this process, on its backend: the one generator behind every door."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from layerwright.cases.sweep import refusal
from layerwright.checks.discovery import check_by_code
from layerwright.core.case import Case
from layerwright.core.check import Check, as_expected
from layerwright.core.errors import LayerError, quote
from layerwright.core.finding import (
    MET_OUTCOMES,
    Finding,
    Outcome,
    deciding_outcome,
    failed,
    inconclusive,
    skipped,
    with_identity,
)
from layerwright.runner.doubt import with_benefit_of_the_doubt
from layerwright.runner.echoes import raised_error
from layerwright.runner.remedies import fix_for
from layerwright.trial.graph import completed
from layerwright.trial.trial import Trial


class CaseChecker:
    """Runs checks on one case: in the order of their codes, each once, and before it those that it requires.

    Args:
        case: The case; its inputs must be known.
        seed: The seed of everything random.
        outcomes: Outcomes of checks that ran before, by code; they do not run again.

    Attributes:
        findings: What each check that has run here found, by code.
    """

    def __init__(self, case: Case, seed: int = 0, outcomes: Mapping[str, Outcome] | None = None) -> None:
        self.case = case
        self.seed = seed
        self.outcomes = dict(outcomes or {})
        self.findings: dict[str, tuple[Finding, ...]] = {}
        self._trial: Trial | None = None
        self._refusal: str | None = None
        self._errors: dict[str, str] = {}

    @property
    def trial(self) -> Trial:
        """What the checks share of the case."""
        if self._trial is None:
            self._trial = Trial(self.case, self.seed)
        return self._trial

    def release(self) -> None:
        """Drop what the checks share, such as built layers. It is made again if more of them run."""
        self._trial = None

    def run(self, checks: Iterable[Check], on_start: Callable[[Check], object] = bool) -> Iterator[Finding]:
        """Run checks and yield findings as they are made.

        A required check that is not among `checks` runs too; its findings are yielded only if it does not pass.

        Args:
            checks: The checks.
            on_start: Called before a check runs.
        """
        ordered = sorted(checks, key=lambda check: int(check.code[2:]))
        wanted = {check.code for check in ordered}
        for check in ordered:
            yield from self._run_once(check, wanted, on_start)

    def observe(self, check: Check, first: Any) -> tuple[tuple[Any, ...], tuple[Finding, ...]]:
        """Return what a check across backends observes here: one thing, or none and findings that say why.

        Args:
            check: The check.
            first: What the first backend observed; None on the first.
        """
        findings = list(self.run(check_by_code(code) for code in check.requires if code not in self.outcomes))
        reason = self._why_not(check)
        if reason is not None:
            unmet = [finding for finding in findings if finding.outcome not in MET_OUTCOMES]
            return (), (*unmet, with_identity(reason, check.code, check.slug, 0.0))
        observed: list[Any] = []

        def function(trial: Trial) -> Iterator[Finding]:
            observed.append(check.observe(trial, first))
            yield from ()

        observing = replace(check, function=function)
        found = tuple(with_identity(finding, check.code, check.slug, 0.0) for finding in self._guarded(observing))
        return tuple(observed), found

    def _run_once(self, check: Check, wanted: set[str], on_start: Callable[[Check], object]) -> Iterator[Finding]:
        if check.code in self.outcomes:
            return
        for code in check.requires:
            yield from self._run_once(check_by_code(code), wanted, on_start)
        findings = tuple(self._without_echo(finding) for finding in self._findings(check, on_start))
        self.findings[check.code] = findings
        self.outcomes[check.code] = deciding_outcome(findings)
        if check.code in wanted or self.outcomes[check.code] not in MET_OUTCOMES:
            yield from findings

    def _without_echo(self, finding: Finding) -> Finding:
        """Turn a failure into a blocked finding if an earlier check reported the same error of the layer."""
        error = raised_error(finding.message) if finding.outcome in (Outcome.FAILED, Outcome.XFAILED) else ""
        if not error:
            return finding
        first = self._errors.setdefault(error, finding.code)
        if first == finding.code or finding.outcome is Outcome.XFAILED:
            return finding
        message = f"follows from {first} {check_by_code(first).slug}: {finding.message}"
        return replace(finding, outcome=Outcome.BLOCKED, message=message, fix="")

    def _findings(self, check: Check, on_start: Callable[[Check], object]) -> Iterator[Finding]:
        reason = self._why_not(check)
        if reason is None and check.across_backends:
            message = "compares backends, each in a process of its own"
            reason = inconclusive(message, "Run `layerwright check --backend all`.")
        if reason is not None:
            yield with_identity(reason, check.code, check.slug, 0.0)
            return
        on_start(check)
        started = time.perf_counter()
        for finding in self._guarded(check):
            if self.case.undetermined and check.stage and finding.outcome is Outcome.FAILED:
                finding = _undetermined(finding)
            elif finding.outcome in (Outcome.FAILED, Outcome.WARNED):
                finding = with_benefit_of_the_doubt(finding, check, self.case, self.seed)
            if isinstance(check.models, str) and self.case.traits.model:
                finding = completed(self.trial, check.models, finding)
            expected = as_expected(finding, check, self.case.expect)
            yield with_identity(expected, check.code, check.slug, time.perf_counter() - started)
            started = time.perf_counter()

    def _why_not(self, check: Check) -> Finding | None:
        """Return why a check does not run: refused arguments, traits that exempt the layer, an unmet requirement."""
        if self.case.skip:
            return skipped(self.case.skip)
        if self._refused():
            return skipped(f"the layer refuses this combination of arguments: {self._refused()}")
        if check.needs_tensors and self.trial.has_strings and self.trial.backend.NAME != "tensorflow":
            return skipped("Keras has string tensors on TensorFlow only")
        exempt = check.inapplicable(self.case.traits)
        if exempt is not None:
            return skipped(exempt)
        if self.case.undetermined and self._needs_what_is_undetermined(check):
            return Finding(Outcome.BLOCKED, "no way to construct and call the layer was found")
        for code in check.requires:
            if self.outcomes[code] not in MET_OUTCOMES:
                needed = check_by_code(code)
                message = f"requires {needed.code} {needed.slug} to pass; it was {self.outcomes[code]}"
                return Finding(Outcome.BLOCKED, message)
        return None

    def _needs_what_is_undetermined(self, check: Check) -> bool:
        """Whether a check requires, perhaps by way of others, a stage that no arguments or inputs were found for."""
        required = [check_by_code(code) for code in check.requires]
        unmet = any(each.stage and self.outcomes.get(each.code) is Outcome.INCONCLUSIVE for each in required)
        return unmet or any(self._needs_what_is_undetermined(each) for each in required)

    def _refused(self) -> str:
        """Return the error with which the layer refuses arguments that its author did not combine; else nothing."""
        if self._refusal is None:
            self._refusal = refusal(self.case) if self.case.combined else ""
        return self._refusal

    def _guarded(self, check: Check) -> Iterator[Finding]:
        """Run a check. An exception out of the layer is a failure; any other is a defect of the check itself."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = check.function(self.trial)
                findings = (made,) if isinstance(made, Finding) else tuple(made)
            yield from findings
        except LayerError as error:
            yield failed(str(error), fix_for(check, error))
        except SystemExit as error:
            yield Finding(Outcome.ERRORED, f"the layer called sys.exit({error.code!r})", "Raise an exception instead.")
        except MemoryError as error:
            yield Finding(
                Outcome.ERRORED, f"the layer ran out of memory ({quote(error)})", "Look for unbounded growth."
            )
        except Exception as error:
            yield Finding(Outcome.ERRORED, f"the check itself broke: {quote(error)}", "Please report this as a bug.")


def _undetermined(finding: Finding) -> Finding:
    """Turn a failure with inferred arguments or inputs, which may be the wrong ones, into an inconclusive finding."""
    fix = (
        "Say how the layer is called: give `--init NAME=VALUE` and `--input None,…` on the command line, or declare "
        "`@layerwright.case(init={…}, inputs=(None, …))` on the class."
    )
    message = f"no way to construct and call the layer was found; {finding.message}"
    return replace(finding, outcome=Outcome.INCONCLUSIVE, message=message, fix=fix)
