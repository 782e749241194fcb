"""Checks over cases, in this process, on its backend: the one generator under every door."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from layerwright.cases.pairwise import expanded
from layerwright.checks.discovery import check_by_code, select_checks
from layerwright.core.case import Case, cases_for, traits_from
from layerwright.core.check import Check, as_expected
from layerwright.core.errors import LayerError, UsageError, quote
from layerwright.core.finding import MET_OUTCOMES, Finding, Outcome, failed, inconclusive, skipped, with_identity
from layerwright.report.report import Report, Run
from layerwright.trial.trial import Trial


def run_checks(
    case: Case,
    checks: Iterable[Check],
    *,
    seed: int = 0,
    outcomes: MutableMapping[str, Outcome] | None = None,
    on_start: Callable[[Check], object] = bool,
) -> Iterator[Finding]:
    """Put a case to each check, those that a check requires first, and yield findings as they are made.

    A check that is required but not among `checks` runs too; its finding is yielded only if it does not hold.

    Args:
        case: The case; its inputs must be known.
        checks: The checks.
        seed: Where everything drawn at random starts from.
        outcomes: Outcomes of checks that ran before, by code; they do not run again. Those that run are added.
        on_start: Called before a check runs.
    """
    trial = Trial(case, seed)
    outcomes = {} if outcomes is None else outcomes
    wanted = {check.code for check in checks}

    def settle(check: Check) -> Iterator[Finding]:
        if check.code in outcomes:
            return
        for code in check.requires:
            yield from settle(check_by_code(code))
        findings = tuple(_findings(check, trial, outcomes, on_start))
        outcomes[check.code] = worst(findings)
        if check.code in wanted or outcomes[check.code] not in MET_OUTCOMES:
            yield from findings

    for check in sorted(checks, key=lambda check: int(check.code[2:])):
        yield from settle(check)


def observe(
    case: Case, check: Check, first: Any, *, seed: int = 0, outcomes: MutableMapping[str, Outcome] | None = None
) -> tuple[tuple[Any, ...], tuple[Finding, ...]]:
    """Return what a check across backends wants to see of a case here: one thing, or none and findings that say why.

    Args:
        case: The case; its inputs must be known.
        check: The check.
        first: What was seen on the first backend; None on the first.
        seed: Where everything drawn at random starts from.
        outcomes: Outcomes of checks that ran before, by code.
    """
    outcomes = {} if outcomes is None else outcomes
    required = [check_by_code(code) for code in check.requires if code not in outcomes]
    findings = list(run_checks(case, required, seed=seed, outcomes=outcomes))
    trial = Trial(case, seed)
    refused = next(_inapplicable(check, trial, outcomes), None)
    if refused is not None:
        bad = [finding for finding in findings if finding.outcome not in MET_OUTCOMES]
        return (), (*bad, with_identity(refused, check.code, check.slug, 0.0))
    observed: list[Any] = []

    def function(trial: Trial) -> Iterator[Finding]:
        observed.append(check.observe(trial, first))
        yield from ()

    looking = replace(check, function=function)
    made = tuple(with_identity(finding, check.code, check.slug, 0.0) for finding in _guarded(looking, trial))
    return tuple(observed), made


def worst(findings: Iterable[Finding]) -> Outcome:
    """Return the outcome that decides whether checks that build on these findings may run."""
    outcomes = [finding.outcome for finding in findings]
    return next(
        (outcome for outcome in outcomes if outcome not in MET_OUTCOMES), outcomes[0] if outcomes else Outcome.PASSED
    )


def _findings(
    check: Check, trial: Trial, outcomes: Mapping[str, Outcome], on_start: Callable[[Check], object]
) -> Iterator[Finding]:
    refused = next(_inapplicable(check, trial, outcomes), None)
    if refused is not None:
        yield with_identity(refused, check.code, check.slug, 0.0)
        return
    if check.across_backends:
        message = "compares backends, each in a process of its own"
        fix = "Run `layerwright check --backend all`."
        yield with_identity(inconclusive(message, fix), check.code, check.slug, 0.0)
        return
    on_start(check)
    started = time.perf_counter()
    for finding in _guarded(check, trial):
        expected = as_expected(finding, check, trial.case.expect)
        yield with_identity(expected, check.code, check.slug, time.perf_counter() - started)
        started = time.perf_counter()


def _inapplicable(check: Check, trial: Trial, outcomes: Mapping[str, Outcome]) -> Iterator[Finding]:
    """Say why a check is not run: the layer's traits exempt it, or a check that it requires does not hold."""
    reason = check.inapplicable(trial.case.traits)
    if reason is not None:
        yield skipped(reason)
    for code in check.requires:
        if outcomes[code] not in MET_OUTCOMES:
            needed = check_by_code(code)
            message = f"needs {needed.code} {needed.slug} to hold first; it is {outcomes[code]}"
            yield Finding(Outcome.BLOCKED, message)


def _guarded(check: Check, trial: Trial) -> Iterator[Finding]:
    """Run a check. An exception out of the layer refutes the property; any other is a defect of the check's own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = check.function(trial)
            findings = (made,) if isinstance(made, Finding) else tuple(made)
        yield from findings
    except LayerError as error:
        yield failed(
            f"{error.doing} raised {quote(error.error)}",
            f"Make the layer work there, or refuse with a clear ValueError; see `layerwright explain {check.code}`.",
        )
    except SystemExit as error:
        yield Finding(Outcome.ERRORED, f"the layer called sys.exit({error.code!r})", "Raise an exception instead.")
    except MemoryError as error:
        yield Finding(
            Outcome.ERRORED, f"the layer ran out of memory ({quote(error)})", "Look for growth without bound."
        )
    except Exception as error:
        yield Finding(Outcome.ERRORED, f"the check itself broke: {quote(error)}", "Please report this as a bug.")


def run_case(case: Case, checks: Iterable[Check], *, target: str = "", seed: int = 0) -> Run:
    """Put one case, its inputs known, to the checks and gather the findings."""
    from layerwright import backends

    started = time.perf_counter()
    findings = tuple(run_checks(case, checks, seed=seed))
    return Run(
        target or _target(case), str(case), backends.current().NAME, time.perf_counter() - started, findings, case.notes
    )


def check(
    layer: Any,
    *,
    init: Mapping[str, Any] | None = None,
    inputs: Any = None,
    call: Mapping[str, Any] | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    expect: Mapping[str, str] | None = None,
    seed: int = 0,
    sweep: bool = False,
    **traits: Any,
) -> Report:
    """Prove a layer on this process's backend.

    With no `inputs`, the cases declared on the class are checked; if there are none, a case is worked out.

    Args:
        layer: A `keras.layers.Layer` subclass, a `Case`, or a list of cases.
        init: Constructor arguments.
        inputs: The first call argument: a shape such as `(None, 10, 5)`, an `InputSpec`, or a list or dict of them.
        call: Further call arguments by name.
        select: Codes, families (`"LW3"`) or slugs of the checks to run; all by default.
        ignore: Codes, families or slugs of checks to leave out.
        expect: Codes of checks known to fail, each with its reason.
        seed: Where everything drawn at random starts from.
        sweep: Check each case with other modes, flags and axes too, as the layer's constructor documents them.
        **traits: What the layer declares about itself, such as `causal=True`; see `Traits`.

    Returns:
        The report: `report.ok`, `report.findings`, `report.raise_if_failed()`.

    Raises:
        UsageError: If a code, a trait or an input is not valid, or no case can be worked out.

    Example:
        >>> import keras
        >>> import layerwright as lw
        >>> lw.check(keras.layers.Dense, init={"units": 4}, inputs=(None, 5), select=["LW301"]).ok
        True
    """
    import keras

    from layerwright import __version__
    from layerwright.cases.sweep import suggested, variant

    chosen = select_checks(select, ignore)
    for code in expect or {}:
        check_by_code(code)
    cases = list(resolve(layer, init=init, inputs=inputs, call=call, expect=expect, **traits))
    if sweep:
        cases += [variant(case, changed) for case in cases for changed in suggested(case)]
    runs = tuple(run_case(case, chosen, seed=seed) for case in cases)
    return Report(runs, keras.__version__, __version__)


def resolve(
    layer: Any,
    *,
    init: Mapping[str, Any] | None = None,
    inputs: Any = None,
    call: Mapping[str, Any] | None = None,
    expect: Mapping[str, str] | None = None,
    **traits: Any,
) -> Iterator[Case]:
    """Yield the cases that `check` runs for its first arguments."""
    import keras

    from layerwright.cases.candidates import infer

    if isinstance(layer, (list, tuple)):
        for one in layer:
            yield from resolve(one, init=init, inputs=inputs, call=call, expect=expect, **traits)
        return
    if isinstance(layer, keras.layers.Layer) or not (isinstance(layer, Case) or callable(layer)):
        raise UsageError(f"check() takes a layer class or a Case (got {layer!r}); pass the class, not an instance.")
    if isinstance(layer, Case):
        candidates: tuple[Case, ...] = (layer,)
    elif init is not None or inputs is not None or call is not None or traits:
        candidates = (Case(layer, init or {}, inputs, call or {}, traits_from(traits)),)
    else:
        candidates = cases_for([layer])[layer]
    for candidate in (each for one in candidates for each in expanded(one)):
        yield _expecting(infer(candidate), expect or {})


def _expecting(case: Case, expect: Mapping[str, str]) -> Case:
    return replace(case, expect={**case.expect, **expect}) if expect else case


def _target(case: Case) -> str:
    return f"{getattr(case.layer, '__module__', '?')}:{getattr(case.layer, '__qualname__', type(case.layer).__name__)}"
