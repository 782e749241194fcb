"""A process that has imported Keras on one backend, and forks a child for each task.

Importing a backend takes seconds, a fork milliseconds. Nothing is computed here, so that no framework has started
threads, which a fork would lose. Children are isolated: what one layer does to its process, no other layer sees.

A server may fork a second one that has also imported a target, so that a file is imported once a backend and not once
a task. If that import started threads, the second server says so and is not used.
"""

import contextlib
import importlib
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import NoReturn

from layerwright.cases.loading import load
from layerwright.cases.targets import Target
from layerwright.checks.discovery import all_checks
from layerwright.core.errors import UsageError, quote
from layerwright.runner.messages import (
    CRASHED,
    NotReady,
    NotShared,
    Ready,
    Reap,
    Reaped,
    Request,
    Started,
    StartServer,
    StartTask,
)
from layerwright.runner.tasks import do

THREADS = Path("/proc/self/task")


def main() -> None:
    """Serve on the file descriptor and with the memory limit that the command line names."""
    descriptor, memory_bytes = sys.argv[1:]
    connection = Connection(int(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        version = _import_keras()
    except BaseException as error:
        connection.send(NotReady(quote(error)))
        return
    connection.send(Ready(version))
    serve(connection, int(memory_bytes))


def serve(connection: Connection, memory_bytes: int) -> None:
    """Answer requests until the connection closes."""
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return
        if isinstance(request, Reap):
            connection.send(Reaped(os.waitpid(request.process, 0)[1]))
        elif isinstance(request, StartTask):
            _start_task(connection, request, memory_bytes)
        else:
            _start_server(connection, request, memory_bytes)


def _import_keras() -> str:
    import keras

    from layerwright import backends

    backends.current().preload()
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorflow")  # keras.utils.set_random_seed imports it wherever it is installed
    all_checks()
    return str(keras.__version__)


def _start_task(connection: Connection, request: StartTask, memory_bytes: int) -> None:
    reader, writer = Pipe(duplex=False)

    def work() -> None:
        reader.close()
        do(request.task, writer.send)

    process = _forked(connection, work, request.log, memory_bytes)
    writer.close()
    _tell(connection, process, reader)


def _start_server(connection: Connection, request: StartServer, memory_bytes: int) -> None:
    theirs, ours = Pipe()

    def work() -> None:
        theirs.close()
        _serve_with(request.target, ours, memory_bytes)

    process = _forked(connection, work, request.log, memory_bytes)
    ours.close()
    _tell(connection, process, theirs)


def _serve_with(target: Target, connection: Connection, memory_bytes: int) -> None:
    """Import a target, and serve if that started no threads."""
    import keras

    threads = _threads()
    try:
        load(target)
    except UsageError as error:
        connection.send(NotReady(str(error)))
        return
    if threads is None or _threads() != threads:
        connection.send(NotShared())
        return
    connection.send(Ready(str(keras.__version__)))
    serve(connection, memory_bytes)


def _threads() -> int | None:
    """Return the number of this process's threads, those of C++ libraries included; None if that cannot be told."""
    if THREADS.is_dir():
        return len(os.listdir(THREADS))
    return None if sys.platform == "darwin" else threading.active_count()


def _tell(connection: Connection, process: int, handle: Connection) -> None:
    connection.send(Started(process))
    send_handle(connection, handle.fileno(), os.getppid())
    handle.close()


def _forked(connection: Connection, work: Callable[[], None], log: str, memory_bytes: int) -> int:
    """Fork a child that does the work, its output going to the file `log`; return its process id."""
    process = os.fork()
    if process == 0:
        connection.close()
        _work(work, log, memory_bytes)
    return process


def _work(work: Callable[[], None], log: str, memory_bytes: int) -> NoReturn:
    """Do the work of a forked child, and end the process."""
    os.setpgid(0, 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    status = 0
    try:
        work()
    except BaseException:
        traceback.print_exc()
        status = CRASHED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
