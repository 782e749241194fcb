"""`layerwright.check`: checks over cases in this process, on its backend."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from layerwright import backends
from layerwright.checks.discovery import select_checks
from layerwright.core.case import Case
from layerwright.core.check import Check
from layerwright.core.finding import Finding
from layerwright.report.report import Report, Run
from layerwright.runner.case_checker import CaseChecker
from layerwright.runner.identity import case_id, numbered, target_name
from layerwright.runner.plan import declared_cases, planned


def run_checks(case: Case, checks: Iterable[Check], *, seed: int = 0) -> Iterable[Finding]:
    """Run checks on a case, whose inputs must be known, and yield findings as they are made."""
    return CaseChecker(case, seed).run(checks)


def run_case(case: Case, checks: Iterable[Check], *, identity: str = "", seed: int = 0) -> Run:
    """Run checks on a case, whose inputs must be known, and gather the findings."""
    started = time.perf_counter()
    findings = tuple(run_checks(case, checks, seed=seed))
    return Run(
        target=target_name(case),
        case=str(case),
        backend=backends.current().NAME,
        seconds=time.perf_counter() - started,
        findings=findings,
        notes=case.notes,
        id=identity,
        case_status=case.status,
        case_data=case.to_dict(),
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
    """Check a layer on this process's backend.

    With no `inputs`, the cases declared on the class are checked; if there are none, a case is inferred.

    Args:
        layer: A `keras.layers.Layer` subclass, a `Case`, a model, a function that builds one, or a list of these. Of a
            model, each layer that is not Keras's own is checked as the model calls it, and so is the model.
        init: Constructor arguments.
        inputs: The first call argument: a shape such as `(None, 10, 5)`, an `InputSpec`, or a list or dict of them.
        call: Further call arguments by name.
        select: Codes, families (`"LW3"`) or slugs of the checks to run; all by default.
        ignore: Codes, families or slugs of checks to leave out.
        expect: Codes of checks known to fail, each with its reason.
        seed: The seed of everything random.
        sweep: Also check each case with other modes, flags and axes, as the layer's constructor documents them.
        **traits: What the layer declares about itself, such as `causal=True`; see `Traits`.

    Returns:
        The report: `report.ok`, `report.findings`, `report.raise_if_failed()`.

    Raises:
        UsageError: If a code, a trait or an input is not valid.

    Example:
        >>> import keras
        >>> import layerwright as lw
        >>> lw.check(keras.layers.Dense, init={"units": 4}, inputs=(None, 5), select=["LW301"]).ok
        True
    """
    import keras

    from layerwright import __version__

    chosen = select_checks(select, ignore)
    declared = list(declared_cases(layer, init=init, inputs=inputs, call=call, expect=expect, traits=traits))
    backend = backends.current().NAME
    runs = tuple(
        run_case(case, chosen, identity=case_id(target_name(one), f"{one} {place or ''}", number), seed=seed)
        for one, number in numbered(declared)
        if backend not in one.unsupported
        for place, case in enumerate(planned(one, sweep=sweep))
    )
    return Report(runs, keras.__version__, __version__)
