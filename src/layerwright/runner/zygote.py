"""A process that has imported Keras on one backend, and forks a child for each piece of work.

Nothing is computed here, so no framework has started threads, and a fork costs milliseconds where an import costs
seconds. Children are isolated: what one layer does to its process, no other layer sees.
"""

import contextlib
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Any, NoReturn

from layerwright.cases.targets import Overrides, Target, find_cases
from layerwright.checks.discovery import all_checks, check_by_code
from layerwright.core.case import Case
from layerwright.core.errors import UsageError, quote
from layerwright.core.finding import Outcome, skipped, with_identity

WORKING_OUT = "LW102"
"""What is blamed when a layer ends its process while its case is worked out: it cannot be called."""

CRASHED = 70


@dataclass(frozen=True)
class ListCases:
    """Say which cases a target holds. Answer: `("cases", [(layer name, case in words), …])` or `("unusable", why)`."""

    target: Target
    overrides: Overrides


@dataclass(frozen=True)
class CheckCase:
    """Put one case of a target to checks.

    Answers: `("start", WORKING_OUT)` if the case is not fully declared; `("case", words, notes, expect)` once it is
    known; then for each check `("start", code)` and `("finding", dict)`; last `("done",)`.
    """

    target: Target
    overrides: Overrides
    index: int
    codes: tuple[str, ...]
    seed: int = 0
    known: Mapping[str, Outcome] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Observe:
    """See what a check across backends wants to see of a case here.

    Answers: `("observed", it)`; or `("findings", [dict, …])` where there is nothing to be seen, which say why.
    """

    target: Target
    overrides: Overrides
    index: int
    code: str
    seed: int
    known: Mapping[str, Outcome]
    first: Any
    changed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suggest:
    """Say which other constructor arguments a case could be checked with. Answer: `("suggested", [arguments, …])`."""

    target: Target
    overrides: Overrides
    index: int


Task = ListCases | CheckCase | Observe | Suggest

Send = Callable[[tuple[Any, ...]], None]


def main() -> None:
    """Serve on the file descriptor and with the memory limit that the command line names."""
    descriptor, memory_bytes = sys.argv[1:]
    serve(Connection(int(descriptor)), int(memory_bytes))


def serve(connection: Connection, memory_bytes: int) -> None:
    """Import Keras on the backend that KERAS_BACKEND names, then answer requests until the connection closes.

    Says `("ready", version of Keras)` or `("failed", why)`. `("fork", task, log)` forks a child for the task, its
    output going to the file `log`, and answers with the child's process id, then with the handle of a pipe on which
    the child answers. `("reap", pid)` waits for a child's end and answers with its status.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        version = _warm_up()
    except BaseException as error:
        connection.send(("failed", quote(error)))
        return
    connection.send(("ready", version))
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        if request[0] == "reap":
            connection.send(os.waitpid(request[1], 0)[1])
        else:
            _, task, log = request
            _fork(connection, task, log, memory_bytes)


def _warm_up() -> str:
    import keras

    from layerwright import backends
    from layerwright.cases import candidates as inference
    from layerwright.runner import in_process as checker

    assert checker.__name__, inference.__name__  # imported here once, for every child
    backends.current().preload()
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorflow")  # keras.utils.set_random_seed imports it wherever it is installed
    all_checks()
    return str(keras.__version__)


def _fork(connection: Connection, task: Task, log: str, memory_bytes: int) -> None:
    reader, writer = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        connection.close()
        reader.close()
        _work(task, writer, log, memory_bytes)
    writer.close()
    connection.send(pid)
    send_handle(connection, reader.fileno(), os.getppid())
    reader.close()


def _work(task: Task, writer: Connection, log: str, memory_bytes: int) -> NoReturn:
    """Do one task in a forked child, and end the process."""
    os.setpgid(0, 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    status = 0
    try:
        _do(task, writer.send)
    except BaseException:
        traceback.print_exc()
        status = CRASHED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _do(task: Task, send: Send) -> None:
    try:
        cases = find_cases(task.target, task.overrides)
    except UsageError as error:
        send(("unusable", str(error)))
        return
    if isinstance(task, ListCases):
        send(("cases", [(getattr(case.layer, "__name__", "layer"), str(case)) for case in cases]))
    elif isinstance(task, Suggest):
        _suggest(cases[task.index], send)
    elif isinstance(task, Observe):
        _observe(cases[task.index], task, send)
    else:
        _check(cases[task.index], task, send)


def _settled(case: Case, changed: Mapping[str, Any]) -> Case:
    """Return the case with its inputs known, and with other constructor arguments if there are any."""
    from layerwright.cases.candidates import infer
    from layerwright.cases.sweep import variant

    known = infer(case)
    return variant(known, changed) if changed else known


def _suggest(case: Case, send: Send) -> None:
    from layerwright.cases.sweep import suggested

    send(("suggested", suggested(_settled(case, {}))))


def _observe(case: Case, task: Observe, send: Send) -> None:
    from layerwright.runner.in_process import observe

    known = _settled(case, task.changed)
    check = check_by_code(task.code)
    seen, findings = observe(known, check, task.first, seed=task.seed, outcomes=dict(task.known))
    send(("observed", *seen) if seen else ("findings", [finding.to_dict() for finding in findings]))


def _check(case: Case, task: CheckCase, send: Send) -> None:
    from layerwright.cases.sweep import refusal
    from layerwright.runner.in_process import run_checks

    if case.inputs is None:
        send(("start", WORKING_OUT))
    case = _settled(case, task.changed)
    send(("case", str(case), case.notes, dict(case.expect)))
    checks = [check_by_code(code) for code in task.codes]
    refused = refusal(case) if task.changed else ""
    if refused:
        reason = skipped(f"the layer refuses these arguments here: {refused}")
        for check in checks:
            send(("finding", with_identity(reason, check.code, check.slug, 0.0).to_dict()))
        checks = []
    for finding in run_checks(
        case, checks, seed=task.seed, outcomes=dict(task.known), on_start=lambda check: send(("start", check.code))
    ):
        send(("finding", finding.to_dict()))
    send(("done",))
