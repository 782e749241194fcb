"""Compare what each backend observed of a case."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from layerwright.core.check import Check, as_expected
from layerwright.core.errors import quote
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed

ALONE = "compares backends, but only one ran; use --backend all, with two or more installed"


def compare_backends(check: Check, observed: Mapping[str, Any], expect: Mapping[str, str]) -> dict[str, Finding]:
    """Compare what each backend observed with what the first did, and return a finding for each backend.

    The first is at fault too if none of several others agrees with it. One failure is enough to meet an expectation.

    Args:
        check: A check across backends.
        observed: What was observed, by backend.
        expect: As in `Case`.
    """
    if len(observed) < 2:
        return dict.fromkeys(observed, inconclusive(ALONE))
    (first, reference), *others = observed.items()
    findings: dict[str, Finding] = {}
    for backend, observation in others:
        finding = _compared(check, reference, observation)
        message = f"compared with {first}: {finding.message}" if finding.message else ""
        findings[backend] = replace(finding, message=message)
    agreeing = [backend for backend, finding in findings.items() if finding.outcome is not Outcome.FAILED]
    if not agreeing and len(others) > 1:
        fix = next(iter(findings.values())).fix
        findings[first] = failed(f"{' and '.join(findings)} both differ from it", fix)
    else:
        findings[first] = passed(f"agrees with {', '.join(agreeing)}" if agreeing else "")
    differ = any(finding.outcome is Outcome.FAILED for finding in findings.values())
    return {
        backend: finding if differ and finding.outcome is Outcome.PASSED else as_expected(finding, check, expect)
        for backend, finding in findings.items()
    }


def _compared(check: Check, reference: Any, observation: Any) -> Finding:
    """Compare two observations. What is raised is a defect of the check, and costs its own finding only."""
    try:
        return check.compare(reference, observation)
    except Exception as error:
        return Finding(Outcome.ERRORED, f"the check itself broke: {quote(error)}", "Please report this as a bug.")
