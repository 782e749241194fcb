"""Check targets in processes of their own: a fork server a backend, a child a case, a time limit a check."""

import os
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from layerwright.cases.inferred import Inferred
from layerwright.cases.targets import Overrides, Target
from layerwright.checks.discovery import check_by_code, check_of_stage
from layerwright.core.check import Check
from layerwright.core.errors import UsageError
from layerwright.core.finding import Finding, Outcome, failed, with_identity
from layerwright.report.report import Report
from layerwright.runner.across_backends import compare_backends
from layerwright.runner.messages import (
    CaseAddress,
    CaseDescribed,
    CasePlanned,
    CasesListed,
    CheckCase,
    CheckFinished,
    CheckStarted,
    DeclaredCase,
    KnownCase,
    ListCases,
    NotObserved,
    ObserveCase,
    Observed,
    PlanCase,
    TargetUnusable,
)
from layerwright.runner.parent import (
    IMPORT_SECONDS,
    BackendServer,
    Death,
    ForkServer,
    ServerDeath,
    ask,
    converse,
    memory_limit_bytes,
)
from layerwright.runner.progress import BackendProgress, CaseProgress

MOST_DEATHS = 3

INFERENCE_SHARE = 0.1
"""How long working a case out may take, of the time limit of a check."""

PLANNING_ORDER = ("torch", "tensorflow", "jax")
"""The order in which backends are asked to work a case out: calling a layer once is cheapest on the first."""

Job = Callable[[], "Sequence[Job]"]
"""A piece of work; returns the pieces that it makes possible."""


@dataclass(frozen=True)
class Options:
    """How targets are checked.

    Attributes:
        checks: Which checks.
        backends: On which backends.
        overrides: What the command line says of every case.
        jobs: How many cases run at once.
        timeout_seconds: How long one check may take.
        seed: The seed of everything random.
        sweep: Whether each case is also checked with other constructor arguments.
    """

    checks: Sequence[Check]
    backends: Sequence[str]
    overrides: Overrides = field(default_factory=Overrides)
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    timeout_seconds: float = 60.0
    seed: int = 0
    sweep: bool = False


@dataclass(frozen=True)
class Result:
    """What came of an invocation.

    Attributes:
        report: The findings.
        interrupted: Whether it was interrupted before its end.
        unusable: A line for each target that could not be loaded on any backend.
    """

    report: Report
    interrupted: bool = False
    unusable: tuple[str, ...] = ()


def check_targets(
    targets: Sequence[Target],
    options: Options,
    on_progress: Callable[[Sequence[BackendProgress]], object] = bool,
    *,
    on_done: Callable[[CaseProgress], object] = bool,
    leave_out: Callable[[CaseProgress], bool] = lambda _: False,
) -> Result:
    """Check every case of every target, on every backend.

    Whatever a layer does to its process costs one finding; everything else still runs. Ctrl-C ends the work and
    returns what is known by then.

    Args:
        targets: What to check.
        options: How.
        on_progress: Called about ten times a second with every case of the invocation on each backend.
        on_done: Called, from a worker's thread, with each case once all its checks are done.
        leave_out: Says of a declared case that it is not to be checked.

    Raises:
        UsageError: If no target can be loaded on any backend, or a backend cannot be imported.
    """
    from layerwright import __version__

    if not hasattr(os, "fork"):
        raise UsageError(
            "this command isolates layers with fork(), which this system lacks; use lw.check or pytest here."
        )
    backends = {backend: BackendServer(backend, memory_limit_bytes(options.jobs)) for backend in options.backends}
    targets = list(dict.fromkeys(targets))
    stop = threading.Event()
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="layerwright-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        crew = _Crew(options, backends, Path(folder), stop, on_done, leave_out)
        try:
            for server in backends.values():
                server.await_ready()
            _work_off([partial(crew.open_target, target) for target in targets], pool, crew, on_progress)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            crew.close()
    if crew.unusable and len(crew.unusable) == len(targets):
        raise UsageError("\n".join(crew.unusable.values()))
    runs = tuple(run for case in crew.ordered(targets) for run in case.runs())
    keras = next(iter(backends.values())).keras
    return Result(Report(runs, keras, __version__), interrupted, tuple(crew.unusable.values()))


def _work_off(jobs: Sequence[Job], pool: ThreadPoolExecutor, crew: "_Crew", on_progress: Callable[..., object]) -> None:
    """Run jobs until none is left. Those that a job makes possible come next: one case is finished, then another."""
    ready: deque[Job] = deque(jobs)
    running: set[Future[Sequence[Job]]] = set()
    while ready or running:
        while ready and len(running) < crew.options.jobs:
            running.add(pool.submit(ready.popleft()))
        done, running = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
        for future in done:
            ready.extendleft(reversed(future.result()))
        on_progress([member for case in tuple(crew.cases) for member in case.members])


class _Crew:
    """What the threads that watch children share, and what each of them does."""

    def __init__(
        self,
        options: Options,
        backends: dict[str, BackendServer],
        logs: Path,
        stop: threading.Event,
        on_done: Callable[[CaseProgress], object],
        leave_out: Callable[[CaseProgress], bool],
    ) -> None:
        self.options = options
        self.backends = backends
        self.logs = logs
        self.stop = stop
        self.on_done = on_done
        self.leave_out = leave_out
        self.cases: list[CaseProgress] = []
        self.unusable: dict[Target, str] = {}
        self._ids: set[str] = set()
        self._listed: dict[str, list[tuple[Target, int]]] = {}
        self._same: dict[tuple[Target, int], list[tuple[Target, int]]] = {}
        self._servers: dict[tuple[Target, str], ForkServer] = {}
        self._lock = threading.Lock()
        self._left: Counter[Target] = Counter()

    def close(self) -> None:
        """End every worker."""
        for target in {target for target, _ in tuple(self._servers)}:
            self._close_servers(target)
        for server in self.backends.values():
            server.close()

    def ordered(self, targets: Sequence[Target]) -> list[CaseProgress]:
        """Return the cases in the order of targets and declarations, each followed by its variants."""
        places = {target: place for place, target in enumerate(targets)}

        def first_place(case: CaseProgress) -> tuple[int, int]:
            return min((places[target], index) for target, index in self._same[case.target, case.index])

        return sorted(self.cases, key=first_place)

    def open_target(self, target: Target) -> Sequence[Job]:
        """Import a target and list its cases; where it loads on some backends only, the others get a finding."""
        listed: dict[str, Sequence[DeclaredCase]] = {}
        unusable: dict[str, str] = {}
        for backend in self.backends:
            try:
                listed[backend] = self._list(target, backend)
            except UsageError as error:
                unusable[backend] = str(error)
        if not listed:
            self.unusable[target] = next(iter(unusable.values()))
            return []
        cases = self._new_ones(self._gathered(target, listed, unusable))
        self._add(target, cases)
        if not cases:
            self._close_servers(target)
        return [job for case in cases for job in self._jobs_of(case)]

    def _new_ones(self, cases: Iterable[CaseProgress]) -> list[CaseProgress]:
        """Return the cases that are to be checked and that no other target has brought."""
        cases = list(cases)
        with self._lock:
            for case in cases:
                same = self._listed.setdefault(case.id, [])
                same.append((case.target, case.index))
                self._same[case.target, case.index] = same
            new = [case for case in cases if case.id not in self._ids and not self.leave_out(case)]
            self._ids |= {case.id for case in new}
        return new

    def _add(self, target: Target, cases: Sequence[CaseProgress]) -> None:
        with self._lock:
            self.cases += cases
            self._left[target] += len(cases)

    def _remove(self, target: Target) -> None:
        """Note that one case of a target is done; after the last, end the servers that have imported it."""
        with self._lock:
            self._left[target] -= 1
            is_last = self._left[target] == 0
        if is_last:
            self._close_servers(target)

    def _close_servers(self, target: Target) -> None:
        for backend in self.options.backends:
            server = self._servers.pop((target, backend), None)
            if server is not None and server is not self.backends[backend]:
                server.close()

    def _server(self, target: Target, backend: str) -> ForkServer | None:
        """Return what forks children for a target; None if the target could not be imported on this backend.

        Where a layer or an import has ended the target's server, the backend's takes its place, and each child imports
        the target by itself.
        """
        server = self._servers.get((target, backend))
        if server is None or server.is_alive():
            return server
        with self._lock:
            if not self.backends[backend].is_alive():
                self.backends[backend] = _new_server(backend, self.options)
            self._servers[target, backend] = self.backends[backend]
        return self.backends[backend]

    def _list(self, target: Target, backend: str) -> Sequence[DeclaredCase]:
        try:
            server = self.backends[backend].server_for(target, self.logs)
            self._servers[target, backend] = server
            answer = ask(server, ListCases(target, self.options.overrides), self.logs, IMPORT_SECONDS)
        except Death as death:
            raise UsageError(f"{target.module} cannot be imported: it {death}.") from None
        if isinstance(answer, TargetUnusable):
            raise UsageError(answer.reason)
        assert isinstance(answer, CasesListed)
        return answer.cases

    def _gathered(
        self, target: Target, listed: dict[str, Sequence[DeclaredCase]], unusable: dict[str, str]
    ) -> Iterator[CaseProgress]:
        """Yield each case with the backends that it is checked on: cases of a layer with the same text are the same."""
        by_key = {backend: _by_key(cases) for backend, cases in listed.items()}
        keys = dict.fromkeys(key for cases in by_key.values() for key in cases)
        for key in keys:
            first = next(cases[key] for cases in by_key.values() if key in cases)
            declared = first.case
            members = []
            for backend in self.options.backends:
                if backend in unusable:
                    members.append(_not_loaded(declared.layer, backend, unusable[backend]))
                elif key in by_key[backend] and backend not in declared.unsupported:
                    members.append(BackendProgress(declared.layer, backend, by_key[backend][key].number))
            if members:
                layer, text, number = key
                yield CaseProgress(target, first.index, number, layer, text, members, declared.complete)

    def _jobs_of(self, case: CaseProgress) -> Sequence[Job]:
        """Return the jobs of a case: to plan it, if that is needed, else to check it on each backend."""
        if (case.is_complete and not self.options.sweep) or case.changed:
            return [partial(self.check, case, member) for member in case.members]
        return [partial(self.plan, case)]

    def plan(self, case: CaseProgress) -> Sequence[Job]:
        """Infer what the case leaves open, once for all backends, and the variants of a sweep; then check it.

        If a layer works on none of the inputs tried on one backend, the next is asked. Then each other backend tries
        what was inferred; where the layer cannot be called so, what it takes there is chosen if it takes it everywhere.
        If a worker dies of it, that is the finding there, and each other backend infers for itself.
        """
        chosen: CasePlanned | None = None
        first: BackendProgress | None = None
        members = sorted(case.members, key=lambda member: PLANNING_ORDER.index(member.backend))
        asked: list[BackendProgress] = []
        for member in members:
            asked.append(member)
            answer = self._ask_for_plan(case, member, None)
            if answer is not None and (chosen is None or _is_known(answer.inferred)):
                chosen, first = answer, member
            if member.findings or (chosen is not None and _is_known(chosen.inferred)):
                break
        if chosen is not None and first is not None and _is_known(chosen.inferred):
            chosen = self._agreed(case, first, [one for one in members if one not in asked], chosen)
        variants: list[CaseProgress] = []
        if chosen is not None:
            case.inferred = chosen.inferred
            variants = [case.with_arguments(changed) for changed in chosen.variants]
        for variant in variants:
            variant.inferred = case.inferred
        self._add(case.target, variants)
        return [partial(self.check, one, member) for one in (case, *variants) for member in one.members]

    def _agreed(
        self, case: CaseProgress, first: BackendProgress, others: Sequence[BackendProgress], chosen: CasePlanned
    ) -> CasePlanned:
        """Return what was inferred on the first backend, or on another one if the layer takes that on both."""
        for member in others:
            answer = self._ask_for_plan(case, member, chosen.inferred)
            if answer is None or answer.is_known or not _is_known(answer.inferred):
                continue
            there = self._ask_for_plan(case, first, answer.inferred)
            if there is not None and there.is_known:
                return answer
        return chosen

    def _ask_for_plan(self, case: CaseProgress, member: BackendProgress, known: Inferred | None) -> CasePlanned | None:
        """Return what a backend infers, if it can say; a worker that dies of it is a finding."""
        server = self._server(case.target, member.backend)
        if member.findings or server is None:
            return None
        started = monotonic()
        seconds = INFERENCE_SHARE * self.options.timeout_seconds
        task = PlanCase(self._address(case, member), self.options.sweep, seconds, known)
        try:
            answer = ask(server, task, self.logs, self.options.timeout_seconds, self._patience)
        except ServerDeath:
            return None
        except Death as death:
            member.findings.append(_died(death, check_of_stage("call"), monotonic() - started))
            return None
        return answer if isinstance(answer, CasePlanned) else None

    def check(self, case: CaseProgress, member: BackendProgress) -> Sequence[Job]:
        """Run all checks of a case on one backend; the last backend to finish then compares them."""
        member.state = "running"
        started = monotonic()
        if not member.findings and not self._check_on_backend(case, member):
            return []
        member.seconds = monotonic() - started
        member.state = "waiting"
        if case.is_last():
            self._finish(case)
        return []

    def _finish(self, case: CaseProgress) -> None:
        for check in self.options.checks:
            if check.across_backends and not self.stop.is_set():
                self._compare(check, case)
        for member in case.members:
            member.block_the_rest(self.options.checks)
            member.state = "done"
        if not self.stop.is_set():
            self.on_done(case)
            self._remove(case.target)

    def _check_on_backend(self, case: CaseProgress, member: BackendProgress) -> bool:
        """Run the checks of one backend, in as many children as it takes; return whether they came to an end."""
        started = monotonic()
        for _ in range(MOST_DEATHS):
            try:
                self._follow(case, member)
            except Death as death:
                if self.stop.is_set():  # interrupted: the server is gone
                    return False
                if isinstance(death, ServerDeath):  # another one takes its place
                    continue
                blamed = check_by_code(member.at) if member.at else check_of_stage("construct")
                member.findings.append(_died(death, blamed, monotonic() - started))
                if blamed.stage:
                    break
            else:
                break
        return True

    def _follow(self, case: CaseProgress, member: BackendProgress) -> None:
        """Give what is left of a case to a child and take down what it says, until it is done."""
        known = member.outcomes
        codes = tuple(one.code for one in self.options.checks if one.code not in known and not one.across_backends)
        task = CheckCase(self._known(case, member), codes, self.options.seed, known)
        member.at = ""
        server = self._server(case.target, member.backend)
        assert server is not None, "a case is checked where its target was imported"
        with closing(converse(server, task, self.logs, self._patience, self.options.timeout_seconds)) as answers:
            for answer in answers:
                if isinstance(answer, CheckStarted):
                    member.at = answer.code
                elif isinstance(answer, CaseDescribed):
                    member.described = answer
                elif isinstance(answer, CheckFinished):
                    member.findings.append(answer.finding)
                elif isinstance(answer, TargetUnusable):
                    raise Death(answer.reason)

    def _compare(self, check: Check, case: CaseProgress) -> None:
        """Have each backend observe the case, the later ones knowing what the first observed, and compare them."""
        observed: dict[str, Any] = {}
        members = {member.backend: member for member in case.members}
        expect = next((one.described.expect for one in case.members if one.described is not None), {})
        for backend, member in members.items():
            member.at = check.code
            started = monotonic()
            first = next(iter(observed.values()), None)
            findings, observation = self._observe(check, case, member, first)
            member.seconds += monotonic() - started
            member.findings += findings
            if observation is not None:
                observed[backend] = observation
        for backend, finding in compare_backends(check, observed, expect).items():
            members[backend].findings.append(with_identity(finding, check.code, check.slug, 0.0))

    def _observe(
        self, check: Check, case: CaseProgress, member: BackendProgress, first: Any
    ) -> tuple[list[Finding], Any]:
        """Return what a check across backends observes on one of them, or None and the findings that say why not."""
        known = member.outcomes
        server = self._server(case.target, member.backend)
        if server is None:
            return [], None
        task = ObserveCase(self._known(case, member), check.code, self.options.seed, known, first)
        started = monotonic()
        try:
            answer = ask(server, task, self.logs, self.options.timeout_seconds)
        except Death as death:
            return [_died(death, check, monotonic() - started)], None
        if isinstance(answer, Observed):
            return [], answer.observation
        if isinstance(answer, NotObserved):
            return [finding for finding in answer.findings if finding.code not in known], None
        return [], None

    @property
    def _patience(self) -> float:
        """How long a child's first answer may take: it may have to import the target."""
        return max(self.options.timeout_seconds, IMPORT_SECONDS / 3)

    def _address(self, case: CaseProgress, member: BackendProgress) -> CaseAddress:
        return CaseAddress(case.target, self.options.overrides, case.layer, member.number)

    def _known(self, case: CaseProgress, member: BackendProgress) -> KnownCase:
        return KnownCase(self._address(case, member), case.inferred, case.changed)


@dataclass(frozen=True)
class _Listed:
    """A case on one backend: its place among the target's cases, and its number among those of its layer."""

    case: DeclaredCase
    index: int
    number: int


def _by_key(cases: Sequence[DeclaredCase]) -> dict[tuple[str, str, int], _Listed]:
    """Return each case by its layer's name, its text, and which of the cases with that text it is."""
    of_layer: Counter[str] = Counter()
    with_text: Counter[tuple[str, str]] = Counter()
    found = {}
    for index, case in enumerate(cases):
        found[case.layer, case.text, with_text[case.layer, case.text]] = _Listed(case, index, of_layer[case.layer])
        of_layer[case.layer] += 1
        with_text[case.layer, case.text] += 1
    return found


def _is_known(inferred: Inferred) -> bool:
    """Whether a way to call the layer was found."""
    return not (inferred.undetermined or inferred.skip)


def _new_server(backend: str, options: Options) -> BackendServer:
    server = BackendServer(backend, memory_limit_bytes(options.jobs))
    server.await_ready()
    return server


def _not_loaded(layer: str, backend: str, reason: str) -> BackendProgress:
    check = check_of_stage("construct")
    finding = failed(reason, "Import what only one backend has inside the function that needs it.")
    return BackendProgress(layer, backend, findings=[with_identity(finding, check.code, check.slug, 0.0)])


def _died(death: Death, check: Check, seconds: float) -> Finding:
    finding = Finding(Outcome.ERRORED, str(death), "Run the layer alone under a debugger; no other layer was affected.")
    return with_identity(finding, check.code, check.slug, seconds)
