"""The command's end of its workers: fork servers, one a backend and one a target, and talk with each child."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from time import monotonic

from layerwright.cases.targets import Target
from layerwright.core.errors import UsageError, quote
from layerwright.runner.environment import checking_environment
from layerwright.runner.messages import (
    CRASHED,
    Answer,
    FinalAnswer,
    NotReady,
    NotShared,
    Ready,
    Reap,
    Reaped,
    Started,
    StartServer,
    StartTask,
    Task,
)

IMPORT_SECONDS = 180.0
INTERPRETER = "from layerwright.runner.fork_server import main; main()"


class Death(Exception):  # noqa: N818 - an event, caught where it is dealt with
    """A child ended, or was ended, before its task was done. The message says how."""


class ServerDeath(Death):
    """The fork server has ended: a layer killed it, or its import set a timer that did."""


class ForkServer:
    """The command's end of a fork server; see `layerwright.runner.fork_server`.

    Args:
        backend: The backend that the server's Keras runs on.
        connection: What the server is talked to on.
        process: The server's process id.
    """

    def __init__(self, backend: str, connection: Connection, process: int) -> None:
        self.backend = backend
        self.connection = connection
        self.process = process
        self.lock = threading.Lock()
        self.children: set[int] = set()

    def start(self, request: StartTask | StartServer) -> tuple[int, Connection]:
        """Have the server fork a child; return its process id and the connection to it."""
        try:
            with self.lock:
                self.connection.send(request)
                started = self.connection.recv()
                assert isinstance(started, Started)
                handle = recv_handle(self.connection)
                self.children.add(started.process)
        except (EOFError, OSError) as error:
            raise ServerDeath("ended the process that imported its file") from error
        return started.process, Connection(handle, writable=isinstance(request, StartServer))

    def reap(self, process: int) -> int | None:
        """Wait for a child that is ending or was killed; return its wait status, None if the server has ended too."""
        self.children.discard(process)
        try:
            with self.lock:
                self.connection.send(Reap(process))
                reaped = self.connection.recv()
        except (EOFError, OSError):
            return None
        assert isinstance(reaped, Reaped)
        return reaped.status

    def is_alive(self) -> bool:
        """Whether the server can be talked to. It says nothing of its own accord, so what can be read is its end."""
        with self.lock:
            try:
                return not self.connection.closed and not self.connection.poll(0)
            except OSError:
                return False

    def close(self) -> None:
        """Kill every child, and the server."""
        for child in tuple(self.children):
            _kill(child)
        _kill(self.process)
        self.connection.close()


class BackendServer(ForkServer):
    """A fork server that has imported Keras on one backend, in a process that the command starts."""

    def __init__(self, backend: str, memory_bytes: int) -> None:
        ours, theirs = Pipe()
        command = [sys.executable, "-c", INTERPRETER, str(theirs.fileno()), str(memory_bytes)]
        nothing = subprocess.DEVNULL
        self._popen = subprocess.Popen(
            command,
            env=checking_environment(backend),
            pass_fds=[theirs.fileno()],
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
        )
        theirs.close()
        super().__init__(backend, ours, self._popen.pid)
        self.keras = ""

    def await_ready(self) -> None:
        """Wait until the server has imported Keras.

        Raises:
            UsageError: If it cannot.
        """
        if not self.connection.poll(IMPORT_SECONDS):
            raise UsageError(f"importing Keras on {self.backend} takes more than {IMPORT_SECONDS:.0f} s.")
        try:
            said = self.connection.recv()
        except EOFError:
            said = NotReady("the process ended while importing it")
        if isinstance(said, NotReady):
            raise UsageError(f"Keras cannot be imported on {self.backend}: {said.reason}")
        self.keras = said.keras

    def server_for(self, target: Target, logs: Path) -> ForkServer:
        """Return a fork server that has imported a target, or this one if threads that the import started forbid it.

        Raises:
            UsageError: If the target cannot be imported; the message says why.
        """
        log = _log(logs, self.backend)
        process, connection = self.start(StartServer(target, str(log)))
        server = TargetServer(self, connection, process)
        try:
            said: object = connection.recv() if connection.poll(IMPORT_SECONDS) else None
        except (EOFError, OSError):
            connection.close()
            raise UsageError(
                f"{target.module} cannot be imported: it {_how_it_ended(self.reap(process), log)}."
            ) from None
        if isinstance(said, Ready):
            return server
        server.close()
        if isinstance(said, NotShared):
            return self
        if isinstance(said, NotReady):
            raise UsageError(said.reason)
        raise UsageError(f"importing {target.module} takes more than {IMPORT_SECONDS:.0f} s on {self.backend}.")

    def close(self) -> None:
        """Kill every child, and the server."""
        super().close()
        self._popen.wait()


class TargetServer(ForkServer):
    """A fork server that a backend's server has forked, and that has imported a target."""

    def __init__(self, parent: BackendServer, connection: Connection, process: int) -> None:
        super().__init__(parent.backend, connection, process)
        self._parent = parent

    def close(self) -> None:
        """Kill every child, and the server."""
        super().close()
        self._parent.reap(self.process)


def converse(
    server: ForkServer, task: Task, logs: Path, first_seconds: float, seconds: float
) -> Generator[Answer, None, None]:
    """Run a task in a child and yield its answers; raise `Death` if it falls silent or ends before the last.

    Args:
        server: The server that forks the child.
        task: The task.
        logs: The folder for the child's output.
        first_seconds: How long the first answer may take.
        seconds: How long each further answer may take.
    """
    log = _log(logs, server.backend)
    process, pipe = server.start(StartTask(task, str(log)))
    patience = first_seconds
    ended = False
    try:
        while True:
            if not pipe.poll(patience):
                raise Death(f"did not return within {patience:g} s and was stopped")
            try:
                answer = pipe.recv()
            except (EOFError, OSError):
                ended = True
                raise Death(_how_it_ended(server.reap(process), log)) from None
            except Exception as error:  # a pickle may raise anything
                raise Death(f"sent an answer that cannot be read ({quote(error)})") from None
            yield answer
            if isinstance(answer, FinalAnswer):
                return
            patience = seconds
    finally:
        pipe.close()
        if not ended:
            _kill(process)
            server.reap(process)


def ask(server: ForkServer, task: Task, logs: Path, seconds: float, first_seconds: float | None = None) -> FinalAnswer:
    """Run a task and return its last answer; raise `Death` if there is none."""
    patience = seconds if first_seconds is None else first_seconds
    with contextlib.closing(converse(server, task, logs, patience, seconds)) as answers:
        return next(answer for answer in answers if isinstance(answer, FinalAnswer))


def _log(logs: Path, backend: str) -> Path:
    return logs / f"{backend}-{threading.get_ident()}-{monotonic()}"


def _how_it_ended(status: int | None, log: Path) -> str:
    if status is None:
        return "ended its process together with the one that imported its file"
    code = os.waitstatus_to_exitcode(status)
    if code == CRASHED:
        return f"broke the worker: {_last_line(log)}"
    ended = f"with {_signal_name(-code)}" if code < 0 else f"with exit status {code}"
    output = _last_line(log)
    return f"ended the process {ended}" + (f" (last output: {output})" if output else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip()[:200] if lines else ""


def _kill(process: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(process, signal.SIGKILL)


def memory_limit_bytes(jobs: int) -> int:
    """Return how much memory one child may take: half of the machine's is shared between them, but 4 GiB at least."""
    return max(4 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (2 * jobs))
