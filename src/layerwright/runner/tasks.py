"""What a worker does: each task, in a child process that a fork server started for it."""

from collections.abc import Callable
from functools import singledispatch

from layerwright.cases.candidates import infer, is_complete
from layerwright.cases.inferred import Inferred
from layerwright.cases.judge import judge
from layerwright.cases.source import write_case
from layerwright.cases.sweep import variant
from layerwright.cases.targets import Overrides, Target, find_cases, import_folder
from layerwright.checks.discovery import check_by_code, check_of_stage
from layerwright.core.case import Case
from layerwright.core.check import Check
from layerwright.core.errors import UsageError
from layerwright.runner.case_checker import CaseChecker
from layerwright.runner.identity import layer_name
from layerwright.runner.messages import (
    Answer,
    CaseAddress,
    CaseDescribed,
    CasePlanned,
    CasesListed,
    CaseWritten,
    CheckCase,
    CheckFinished,
    CheckStarted,
    DeclaredCase,
    Done,
    KnownCase,
    ListCases,
    NotObserved,
    ObserveCase,
    Observed,
    PlanCase,
    TargetUnusable,
    Task,
    WriteCase,
)
from layerwright.runner.plan import variants_of, with_expectations

Send = Callable[[Answer], None]


def do(task: Task, send: Send) -> None:
    """Do a task and send its answers."""
    try:
        _do(task, send)
    except UsageError as error:
        send(TargetUnusable(str(error)))


@singledispatch
def _do(task: Task, send: Send) -> None:
    raise NotImplementedError(f"no worker does a {type(task).__name__}")


@_do.register
def _list_cases(task: ListCases, send: Send) -> None:
    cases = _declared(task.target, task.overrides)
    send(CasesListed([_described(case) for case in cases]))


@_do.register
def _plan_case(task: PlanCase, send: Send) -> None:
    declared = _at(task.address)
    send(CheckStarted(check_of_stage("call").code))
    if task.known is not None and judge(task.known.applied_to(declared)).error is None:
        send(CasePlanned(task.known, [], is_known=True))
        return
    known = infer(declared, task.seconds)
    send(CasePlanned(Inferred.of(declared, known), variants_of(known, sweep=task.sweep)))


@_do.register
def _check_case(task: CheckCase, send: Send) -> None:
    declared = _at(task.case.address)
    send(CheckStarted(check_of_stage("call").code))  # blamed if the process ends while the case is inferred
    case = _known(declared, task.case)
    send(CaseDescribed(case.to_dict(), case.status, case.notes, dict(case.expect)))

    def starting(check: Check) -> None:
        send(CheckStarted(check.code))

    checks = [check_by_code(code) for code in task.codes]
    for finding in CaseChecker(case, task.seed, task.outcomes).run(checks, starting):
        send(CheckFinished(finding.portable()))
    send(Done())


@_do.register
def _observe_case(task: ObserveCase, send: Send) -> None:
    checker = CaseChecker(_known(_at(task.case.address), task.case), task.seed, task.outcomes)
    observed, findings = checker.observe(check_by_code(task.code), task.first)
    send(Observed(*observed) if observed else NotObserved([finding.portable() for finding in findings]))


@_do.register
def _write_case(task: WriteCase, send: Send) -> None:
    case = infer(_at(task.address))
    send(CaseWritten(str(case), case.status, case.notes, write_case(case), (import_folder(task.address.target),)))


def _declared(target: Target, overrides: Overrides) -> list[Case]:
    return [with_expectations(case) for case in find_cases(target, overrides)]


def _described(case: Case) -> DeclaredCase:
    return DeclaredCase(layer_name(case), str(case), is_complete(case), dict(case.unsupported))


def _at(address: CaseAddress) -> Case:
    cases = _declared(address.target, address.overrides)
    return [case for case in cases if layer_name(case) == address.layer][address.number]


def _known(declared: Case, known: KnownCase) -> Case:
    """Return the case with its inputs known: as inferred elsewhere, or else inferred here."""
    case = infer(declared) if known.inferred is None else known.inferred.applied_to(declared)
    return variant(case, known.changed) if known.changed else case
