"""The parent's end of worker processes: a zygote a backend, and the conversation with each child it forks."""

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
from typing import Any

from layerwright.core.errors import UsageError
from layerwright.runner.environment import proving_environment
from layerwright.runner.zygote import CRASHED, Task

IMPORT_SECONDS = 180.0
LAST_WORDS = ("done", "cases", "unusable", "observed", "findings", "suggested")
INTERPRETER = "from layerwright.runner.zygote import main; main()"


class Zygote:
    """The parent's end of a zygote process; see `layerwright.runner.zygote`."""

    def __init__(self, backend: str, memory_bytes: int) -> None:
        self.backend = backend
        self.keras = ""
        self.lock = threading.Lock()
        self.children: set[int] = set()
        self.connection, theirs = Pipe()
        environment = proving_environment(backend)
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


class Death(Exception):  # noqa: N818 - an event, caught where it is dealt with
    """A child ended, or was ended, before its task was done. The message says how."""


def converse(
    zygote: Zygote, task: Task, logs: Path, first_seconds: float, seconds: float
) -> Generator[tuple[Any, ...], None, None]:
    """Run a task in a child and yield what it says; raise `Death` if it falls silent or ends before it is done."""
    log = logs / f"{zygote.backend}-{threading.get_ident()}-{monotonic()}"
    pid, pipe = zygote.fork(task, log)
    patience = first_seconds
    ended = False
    try:
        while True:
            if not pipe.poll(patience):
                raise Death(f"did not return within {patience:g} s, and was ended")
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                ended = True
                raise Death(_how_it_ended(zygote.reap(pid), log)) from None
            yield message
            if message[0] in LAST_WORDS:
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


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def memory_limit_bytes(jobs: int) -> int:
    """Return how much memory one child may take: half of the machine's is shared between them, but 4 GiB at least."""
    return max(4 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (2 * jobs))
