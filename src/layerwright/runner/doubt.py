"""The benefit of the doubt: what fails on guessed inputs but passes on others, as likely ones, is a note."""

import warnings
from dataclasses import replace

from layerwright.cases.candidates import inputs_text
from layerwright.cases.judge import judge
from layerwright.core.case import Case, InputSpec
from layerwright.core.check import Check
from layerwright.core.finding import MET_OUTCOMES, Finding, Outcome
from layerwright.trial.trial import Trial


def with_benefit_of_the_doubt(finding: Finding, check: Check, case: Case, seed: int) -> Finding:
    """Return a failure as a note, if nothing says that the layer takes these inputs and the check passes on others.

    Args:
        finding: What the check found on the case.
        check: The check.
        case: The case; `alternatives` holds the others that are as likely.
        seed: The seed of everything random.
    """
    if check.stage:
        return finding
    other = next((one for one in case.alternatives if _passes(check, one, seed)), None)
    if other is None:
        return finding
    message = (
        f"{finding.message} (on {inputs_text(case)}, which was inferred; on {inputs_text(other)} the check passes)"
    )
    fix = (
        f"If the layer is meant for {inputs_text(case)}, declare it to make this count: `--input {_option(case)}`, or "
        f"`inputs={inputs_text(case)}` in `@layerwright.case`. {finding.fix}"
    )
    return replace(finding, outcome=Outcome.NOTE, message=message, fix=fix.strip())


def _passes(check: Check, case: Case, seed: int) -> bool:
    """Whether the layer takes a case in every mode, and the check passes on it."""
    if not judge(case).is_sound:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = check.function(Trial(case, seed))
            findings = (made,) if isinstance(made, Finding) else tuple(made)
    except Exception:  # the layer raises there: no doubt is left
        return False
    return bool(findings) and all(one.outcome in MET_OUTCOMES for one in findings) and _says_something(findings)


def _says_something(findings: tuple[Finding, ...]) -> bool:
    return any(one.outcome is Outcome.PASSED for one in findings)


def _option(case: Case) -> str:
    """Return the inputs as the option `--input` takes them."""
    spec = case.inputs
    assert isinstance(spec, InputSpec)
    shape = ",".join(str(size) for size in spec.shape)
    return shape if spec.dtype == "float32" else f"{shape}:{spec.dtype}"
