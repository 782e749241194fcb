"""Put targets to checks in processes of their own: one zygote a backend, one child a case, a timeout a check."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from time import monotonic
from typing import Any

from layerwright.core.check import Check
from layerwright.core.discovery import check_by_code
from layerwright.core.errors import UsageError
from layerwright.core.finding import Finding, Outcome, Report, Run, failed, with_identity
from layerwright.environment import quiet_environment
from layerwright.targets import Overrides, Target
from layerwright.zygote import CRASHED, CheckCase, ListCases, Task

IMPORT_SECONDS = 180.0
MOST_DEATHS = 3
INTERPRETER = "from layerwright.zygote import main; main()"


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
    """

    checks: Sequence[Check]
    backends: Sequence[str]
    overrides: Overrides = field(default_factory=Overrides)
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    timeout_seconds: float = 60.0
    seed: int = 0


@dataclass
class Checking:
    """One case on one backend, while it is being checked: its findings grow.

    Attributes:
        target: Where the layer comes from.
        layer: The layer's name.
        case: The case in words; better ones come once it is worked out.
        backend: The backend.
        index: Which of the target's cases it is.
        at: The code of the check in hand.
        state: `"waiting"`, `"running"` or `"done"`.
    """

    target: Target
    layer: str
    case: str
    backend: str
    index: int
    notes: tuple[str, ...] = ()
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
    targets: Sequence[Target], options: Options, on_progress: Callable[[Sequence[Checking]], object] = bool
) -> Result:
    """Put every case of every target to the checks, on every backend.

    Whatever a layer does to its process costs one finding; everything else still runs. Ctrl-C ends the work and
    returns what is known so far.

    Args:
        targets: What to check.
        options: How.
        on_progress: Called about ten times a second with every case of the invocation.

    Raises:
        UsageError: If a target cannot be loaded on any backend, or a backend not at all.
    """
    from layerwright import __version__

    if not hasattr(os, "fork"):
        raise UsageError(
            "this command isolates layers with fork(), which this system lacks; use lw.check or pytest here."
        )
    work: list[Checking] = []
    zygotes = {backend: Zygote(backend, _memory_limit_bytes(options.jobs)) for backend in options.backends}
    stop = threading.Event()
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="layerwright-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        logs = Path(folder)
        try:
            for zygote in zygotes.values():
                zygote.await_ready()
            for target in targets:
                work += _find_work(target, zygotes, options, logs)
            crew = _Crew(options, zygotes, logs, stop)
            _attend([pool.submit(crew.check, one) for one in work], work, on_progress)
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


class Zygote:
    """The parent's end of a zygote process; see `layerwright.zygote`."""

    def __init__(self, backend: str, memory_bytes: int) -> None:
        self.backend = backend
        self.keras = ""
        self.lock = threading.Lock()
        self.children: set[int] = set()
        self.connection, theirs = Pipe()
        environment = quiet_environment(backend)
        command = [sys.executable, "-c", INTERPRETER, str(theirs.fileno()), str(memory_bytes)]
        nothing = subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, env=environment, pass_fds=[theirs.fileno()], stdin=nothing, stdout=nothing, stderr=nothing
        )
        theirs.close()

    def await_ready(self) -> None:
        """Wait until Keras is imported there.

        Raises:
            UsageError: If it cannot be.
        """
        if not self.connection.poll(IMPORT_SECONDS):
            raise UsageError(f"importing Keras on {self.backend} takes more than {IMPORT_SECONDS:.0f} s.")
        try:
            said, value = self.connection.recv()
        except EOFError:
            said, value = "failed", "the process ended while importing it"
        if said == "failed":
            raise UsageError(f"Keras cannot be imported on {self.backend}: {value}")
        self.keras = value

    def fork(self, task: Task, log: Path) -> tuple[int, Connection]:
        """Start a child on a task; return its process id and the pipe on which it answers."""
        with self.lock:
            self.connection.send(("fork", task, str(log)))
            pid: int = self.connection.recv()
            handle = recv_handle(self.connection)
            self.children.add(pid)
        return pid, Connection(handle, writable=False)

    def reap(self, pid: int) -> int:
        """Wait for a child that is ending or was killed; return its wait status."""
        with self.lock:
            self.connection.send(("reap", pid))
            status: int = self.connection.recv()
            self.children.discard(pid)
        return status

    def close(self) -> None:
        """Kill every child, and the zygote."""
        for pid in tuple(self.children):
            _kill(pid)
        self.process.kill()
        self.process.wait()


class _Death(Exception):  # noqa: N818 - an event, caught where it is dealt with
    """A child ended, or was ended, before its task was done. The message says how."""


@dataclass(frozen=True)
class _Crew:
    """What the threads that watch children share."""

    options: Options
    zygotes: dict[str, Zygote]
    logs: Path
    stop: threading.Event

    def check(self, work: Checking) -> None:
        """See one case through all its checks, in as many children as it takes."""
        if work.state == "done":
            return
        work.state = "running"
        started = monotonic()
        for _ in range(MOST_DEATHS):
            try:
                self._follow(work)
            except (EOFError, OSError):
                if self.stop.is_set():  # interrupted: the zygote is gone
                    return
                raise
            except _Death as death:
                if self.stop.is_set():
                    return
                culprit = check_by_code(work.at or "LW101")
                finding = Finding(
                    Outcome.ERRORED, str(death), "Run the layer alone under a debugger; nothing else was affected."
                )
                work.findings.append(with_identity(finding, culprit.code, culprit.slug, monotonic() - started))
                if culprit.code in ("LW101", "LW102"):
                    break
            else:
                break
        _block_the_rest(work, self.options.checks)
        work.seconds = monotonic() - started
        work.state = "done"

    def _follow(self, work: Checking) -> None:
        """Hand what is left of a case to a child and take down what it says, until it is done."""
        known = {finding.code: finding.outcome for finding in work.findings}
        codes = tuple(check.code for check in self.options.checks if check.code not in known)
        task = CheckCase(work.target, self.options.overrides, work.index, codes, self.options.seed, known)
        work.at = ""
        patience = max(self.options.timeout_seconds, IMPORT_SECONDS / 3)
        zygote = self.zygotes[work.backend]
        with contextlib.closing(_converse(zygote, task, self.logs, patience, self.options.timeout_seconds)) as answers:
            for said, *rest in answers:
                if said == "start":
                    work.at = rest[0]
                elif said == "case":
                    work.case, work.notes = rest
                elif said == "finding":
                    work.findings.append(Finding.from_dict(rest[0]))
                elif said == "unusable":
                    raise _Death(rest[0])


def _converse(
    zygote: Zygote, task: Task, logs: Path, first_seconds: float, seconds: float
) -> Generator[tuple[Any, ...], None, None]:
    """Run a task in a child and yield what it says; raise `_Death` if it falls silent or ends before it is done."""
    log = logs / f"{zygote.backend}-{threading.get_ident()}-{monotonic()}"
    pid, pipe = zygote.fork(task, log)
    patience = first_seconds
    ended = False
    try:
        while True:
            if not pipe.poll(patience):
                raise _Death(f"did not return within {patience:g} s, and was ended")
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                ended = True
                raise _Death(_how_it_ended(zygote.reap(pid), log)) from None
            yield message
            if message[0] in ("done", "cases", "unusable"):
                return
            patience = seconds
    finally:
        pipe.close()
        if not ended:
            _kill(pid)
            zygote.reap(pid)


def _how_it_ended(status: int, log: Path) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == CRASHED:
        return f"the worker broke: {_last_line(log)}"
    if code < 0:
        words = f"ended the process with {signal.Signals(-code).name}"
    else:
        words = f"ended the process with exit status {code}"
    said = _last_line(log)
    return f"{words} (last output: {said})" if said else words


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip()[:200] if lines else ""


def _find_work(target: Target, zygotes: dict[str, Zygote], options: Options, logs: Path) -> list[Checking]:
    """Return the cases of a target on each backend; where it loads on some only, the others get a finding."""
    found: dict[str, list[tuple[str, str]]] = {}
    unusable: dict[str, str] = {}
    for backend, zygote in zygotes.items():
        try:
            task = ListCases(target, options.overrides)
            with contextlib.closing(_converse(zygote, task, logs, IMPORT_SECONDS, IMPORT_SECONDS)) as answers:
                said, value = next(answers)
        except _Death as death:
            said, value = "unusable", f"{target.module} cannot be imported: it {death}"
        (found if said == "cases" else unusable)[backend] = value
    if not found:
        raise UsageError(next(iter(unusable.values())))
    elsewhere = next(iter(found.values()))
    work = []
    for backend in zygotes:
        cases = found.get(backend, elsewhere)
        here = [Checking(target, layer, words, backend, index) for index, (layer, words) in enumerate(cases)]
        for one in here if backend in unusable else ():
            finding = failed(unusable[backend], "Import what only one backend has inside the function that needs it.")
            one.findings.append(with_identity(finding, "LW101", "construct", 0.0))
            _block_the_rest(one, options.checks)
            one.state = "done"
        work += here
    return work


def _block_the_rest(work: Checking, checks: Sequence[Check]) -> None:
    known = {finding.code for finding in work.findings}
    culprit = next((one for one in work.findings if one.outcome in (Outcome.ERRORED, Outcome.FAILED)), None)
    for check in checks:
        if check.code not in known and culprit is not None:
            message = f"could not run after {culprit.code} {culprit.check} {culprit.outcome}"
            work.findings.append(with_identity(Finding(Outcome.BLOCKED, message), check.code, check.slug, 0.0))


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _memory_limit_bytes(jobs: int) -> int:
    """Return how much memory one child may take: half of the machine's is shared between them, but 4 GiB at least."""
    return max(4 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (2 * jobs))
