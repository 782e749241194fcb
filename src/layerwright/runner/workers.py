"""Put targets to checks in processes of their own: one zygote a backend, one child a case, a timeout a check."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from layerwright.cases.targets import Overrides, Target
from layerwright.checks.discovery import check_by_code
from layerwright.core.check import Check, as_expected
from layerwright.core.errors import UsageError
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, passed, with_identity
from layerwright.report.report import Report, Run
from layerwright.runner.parent import IMPORT_SECONDS, Death, Zygote, converse, memory_limit_bytes
from layerwright.runner.zygote import CheckCase, ListCases, Observe, Suggest

MOST_DEATHS = 3
ALONE = "compares backends, and ran on one only; give --backend all, with more than one installed"


@dataclass(frozen=True)
class Options:
    """How targets are put to checks.

    Attributes:
        checks: Which checks.
        backends: On which backends.
        overrides: What the command line says of every case.
        jobs: How many cases run at once.
        timeout_seconds: How long one check may take.
        seed: Where everything drawn at random starts from.
        sweep: Whether each case is also checked with other constructor arguments.
    """

    checks: Sequence[Check]
    backends: Sequence[str]
    overrides: Overrides = field(default_factory=Overrides)
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    timeout_seconds: float = 60.0
    seed: int = 0
    sweep: bool = False


@dataclass
class Checking:
    """One case on one backend, while it is being checked: its findings grow.

    Attributes:
        target: Where the layer comes from.
        layer: The layer's name.
        case: The case in words; better ones come once it is worked out.
        backend: The backend.
        index: Which of the target's cases it is.
        label: The case in words as it was declared: the same on every backend.
        changed: Other constructor arguments than the case declares.
        notes: What was settled on where the case was worked out.
        expect: The checks that it is known to fail, each with the reason.
        at: The code of the check in hand.
        state: `"waiting"`, `"running"` or `"done"`.
    """

    target: Target
    layer: str
    case: str
    backend: str
    index: int
    label: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    expect: Mapping[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    at: str = ""
    state: str = "waiting"

    def run(self) -> Run:
        """Return what is known of it."""
        ordered = sorted(self.findings, key=lambda finding: int(finding.code[2:]))
        name = f"{self.target.module}:{self.layer}"
        return Run(name, self.case, self.backend, self.seconds, tuple(ordered), self.notes)


@dataclass(frozen=True)
class Result:
    """What came of an invocation: the report, and whether it was interrupted before its end."""

    report: Report
    interrupted: bool = False


def check_targets(
    targets: Sequence[Target],
    options: Options,
    on_progress: Callable[[Sequence[Checking]], object] = bool,
    *,
    on_done: Callable[[Sequence[Checking]], object] = bool,
    leave_out: Callable[[str], bool] = lambda _: False,
) -> Result:
    """Put every case of every target to the checks, on every backend.

    Whatever a layer does to its process costs one finding; everything else still runs. Ctrl-C ends the work and
    returns what is known so far.

    Args:
        targets: What to check.
        options: How.
        on_progress: Called about ten times a second with every case of the invocation.
        on_done: Called, from the thread that saw to it, with one case on every backend once all checks of it are done.
        leave_out: Says of a declared case, in words, that it is not to be checked.

    Raises:
        UsageError: If a target cannot be loaded on any backend, or a backend not at all.
    """
    from layerwright import __version__

    if not hasattr(os, "fork"):
        raise UsageError(
            "this command isolates layers with fork(), which this system lacks; use lw.check or pytest here."
        )
    work: list[Checking] = []
    zygotes = {backend: Zygote(backend, memory_limit_bytes(options.jobs)) for backend in options.backends}
    stop = threading.Event()
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="layerwright-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        logs = Path(folder)
        try:
            for zygote in zygotes.values():
                zygote.await_ready()
            for target in targets:
                work += [one for one in _find_work(target, zygotes, options, logs) if not leave_out(one.label)]
            crew = _Crew(options, zygotes, logs, stop, on_done)
            if options.sweep:
                work += [one for group in _grouped(work) for one in _variants(group, zygotes, options, logs)]
            groups = _grouped(work)
            jobs = [pool.submit(crew.check, one, group) for group in groups for one in group.members]
            _attend(jobs, work, on_progress)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for zygote in zygotes.values():
                zygote.close()
    runs = tuple(one.run() for one in work if one.state == "done" or one.findings)
    return Result(Report(runs, next(iter(zygotes.values())).keras, __version__), interrupted)


def _attend(futures: Sequence[Future[None]], work: Sequence[Checking], on_progress: Callable[..., object]) -> None:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.1)
        for future in done:
            future.result()
        on_progress(work)


class _Group:
    """One case on every backend."""

    def __init__(self, members: Sequence[Checking]) -> None:
        self.members = members
        self.lock = threading.Lock()
        self.left = len(members)

    def is_last(self) -> bool:
        """Note that a member's own checks are done; whether those of all are."""
        with self.lock:
            self.left -= 1
            return self.left == 0


def _grouped(work: Sequence[Checking]) -> list[_Group]:
    """Put together what is the same case on several backends: the same words, the first with the first and so on."""
    members: dict[tuple[str, str, int], list[Checking]] = {}
    for one in work:
        number = 0
        while any(other.backend == one.backend for other in members.get((one.target.text, one.label, number), ())):
            number += 1
        members.setdefault((one.target.text, one.label, number), []).append(one)
    return [_Group(each) for each in members.values()]


def _variants(group: _Group, zygotes: dict[str, Zygote], options: Options, logs: Path) -> list[Checking]:
    """Return the case with other constructor arguments, on every backend; which, the first backend says."""
    member = next((one for one in group.members if not one.findings), None)
    if member is None:
        return []
    task = Suggest(member.target, options.overrides, member.index)
    try:
        with contextlib.closing(
            converse(zygotes[member.backend], task, logs, options.timeout_seconds, options.timeout_seconds)
        ) as answers:
            said, suggested = next(answers)
    except Death:  # checking the case itself will say what it did to its process
        return []
    return [
        replace(
            one, label=f"{one.label} with {changed}", case=f"{one.case} with {changed}", changed=changed, findings=[]
        )
        for changed in (suggested if said == "suggested" else ())
        for one in group.members
        if not one.findings
    ]


@dataclass(frozen=True)
class _Crew:
    """What the threads that watch children share."""

    options: Options
    zygotes: dict[str, Zygote]
    logs: Path
    stop: threading.Event
    on_done: Callable[[Sequence[Checking]], object]

    def check(self, work: Checking, group: _Group) -> None:
        """See one case through all its checks; the last of its group then compares backends."""
        work.state = "running"
        started = monotonic()
        finished = bool(work.findings) or self._check_alone(work)
        if not finished:
            return
        work.seconds = monotonic() - started
        work.state = "waiting"
        if group.is_last():
            for check in self.options.checks:
                if check.across_backends and not self.stop.is_set():
                    self._compare(check, group.members)
            for member in group.members:
                _block_the_rest(member, self.options.checks)
                member.state = "done"
            if not self.stop.is_set():
                self.on_done(group.members)

    def _check_alone(self, work: Checking) -> bool:
        """Put a case to the checks of one backend, in as many children as it takes; whether it came to an end."""
        started = monotonic()
        for _ in range(MOST_DEATHS):
            try:
                self._follow(work)
            except (EOFError, OSError):
                if self.stop.is_set():  # interrupted: the zygote is gone
                    return False
                raise
            except Death as death:
                if self.stop.is_set():
                    return False
                culprit = check_by_code(work.at or "LW101")
                work.findings.append(_died(death, culprit, monotonic() - started))
                if culprit.code in ("LW101", "LW102"):
                    break
            else:
                break
        return True

    def _compare(self, check: Check, group: Sequence[Checking]) -> None:
        """Have each backend observe the case, the later ones with what the first saw, and compare what they saw."""
        work_at = {one.backend: one for one in group}
        seen: dict[str, Any] = {}
        expect = next((one.expect for one in group if one.expect), {})
        for backend, one in work_at.items():
            one.at = check.code
            started = monotonic()
            first = next(iter(seen.values()), None)
            findings, observed = self._observe(check, one, first)
            one.seconds += monotonic() - started
            if observed is None:
                one.findings += findings
            else:
                seen[backend] = observed[0]
        for backend, finding in _compared(check, seen, expect).items():
            one = work_at[backend]
            one.findings.append(with_identity(finding, check.code, check.slug, 0.0))

    def _observe(self, check: Check, work: Checking, first: Any) -> tuple[list[Finding], tuple[Any] | None]:
        """Return what a check across backends sees of a case on one of them, or the findings that say why nothing."""
        known = {finding.code: finding.outcome for finding in work.findings}
        options = self.options
        task = Observe(work.target, options.overrides, work.index, check.code, options.seed, known, first, work.changed)
        patience = self.options.timeout_seconds
        started = monotonic()
        try:
            with contextlib.closing(
                converse(self.zygotes[work.backend], task, self.logs, patience, patience)
            ) as answers:
                said, value = next(answers)
        except Death as death:
            return [_died(death, check, monotonic() - started)], None
        if said == "observed":
            return [], (value,)
        if said == "unusable":
            return [], None
        findings = [Finding.from_dict(finding) for finding in value]
        return [finding for finding in findings if finding.code not in known], None

    def _follow(self, work: Checking) -> None:
        """Hand what is left of a case to a child and take down what it says, until it is done."""
        known = {finding.code: finding.outcome for finding in work.findings}
        codes = tuple(
            check.code for check in self.options.checks if check.code not in known and not check.across_backends
        )
        task = CheckCase(work.target, self.options.overrides, work.index, codes, self.options.seed, known, work.changed)
        work.at = ""
        patience = max(self.options.timeout_seconds, IMPORT_SECONDS / 3)
        zygote = self.zygotes[work.backend]
        with contextlib.closing(converse(zygote, task, self.logs, patience, self.options.timeout_seconds)) as answers:
            for said, *rest in answers:
                if said == "start":
                    work.at = rest[0]
                elif said == "case":
                    work.case, work.notes, work.expect = rest
                elif said == "finding":
                    work.findings.append(Finding.from_dict(rest[0]))
                elif said == "unusable":
                    raise Death(rest[0])


def _find_work(target: Target, zygotes: dict[str, Zygote], options: Options, logs: Path) -> list[Checking]:
    """Return the cases of a target on each backend; where it loads on some only, the others get a finding."""
    found: dict[str, list[tuple[str, str]]] = {}
    unusable: dict[str, str] = {}
    for backend, zygote in zygotes.items():
        try:
            task = ListCases(target, options.overrides)
            with contextlib.closing(converse(zygote, task, logs, IMPORT_SECONDS, IMPORT_SECONDS)) as answers:
                said, value = next(answers)
        except Death as death:
            said, value = "unusable", f"{target.module} cannot be imported: it {death}"
        (found if said == "cases" else unusable)[backend] = value
    if not found:
        raise UsageError(next(iter(unusable.values())))
    elsewhere = next(iter(found.values()))
    work = []
    for backend in zygotes:
        cases = found.get(backend, elsewhere)
        here = [Checking(target, layer, words, backend, index, words) for index, (layer, words) in enumerate(cases)]
        for one in here if backend in unusable else ():
            finding = failed(unusable[backend], "Import what only one backend has inside the function that needs it.")
            one.findings.append(with_identity(finding, "LW101", "construct", 0.0))
        work += here
    return work


def _compared(check: Check, seen: dict[str, Any], expect: Mapping[str, str]) -> dict[str, Finding]:
    """Compare what each backend saw with what the first did: a finding for each backend.

    The first is at fault too where none of several others agrees with it. An expectation is met by one failure.
    """
    if len(seen) < 2:
        return {backend: inconclusive(ALONE) for backend in seen}
    (first, reference), *others = seen.items()
    findings = {}
    for backend, observed in others:
        finding: Finding = check.compare(reference, observed)
        findings[backend] = replace(finding, message=f"beside {first}: {finding.message}" if finding.message else "")
    agreeing = [backend for backend, finding in findings.items() if finding.outcome is not Outcome.FAILED]
    if not agreeing and len(others) > 1:
        message = f"{' and '.join(findings)} both differ from it"
        findings[first] = failed(message, next(iter(findings.values())).fix)
    else:
        findings[first] = passed(f"agrees with {', '.join(agreeing)}" if agreeing else "")
    differ = any(finding.outcome is Outcome.FAILED for finding in findings.values())
    return {
        backend: finding if differ and finding.outcome is Outcome.PASSED else as_expected(finding, check, expect)
        for backend, finding in findings.items()
    }


def _died(death: Death, check: Check, seconds: float) -> Finding:
    finding = Finding(Outcome.ERRORED, str(death), "Run the layer alone under a debugger; nothing else was affected.")
    return with_identity(finding, check.code, check.slug, seconds)


def _block_the_rest(work: Checking, checks: Sequence[Check]) -> None:
    known = {finding.code for finding in work.findings}
    culprit = next((one for one in work.findings if one.outcome in (Outcome.ERRORED, Outcome.FAILED)), None)
    for check in checks:
        if check.code not in known and culprit is not None:
            message = f"could not run after {culprit.code} {culprit.check} {culprit.outcome}"
            work.findings.append(with_identity(Finding(Outcome.BLOCKED, message), check.code, check.slug, 0.0))
