"""Run a user's own program, and learn how it constructs and calls its layers, in each of its Python processes."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layerwright.cases.recording import Recorded, merged, read_records
from layerwright.cases.source import WrittenCase, write_call
from layerwright.core.case import Case
from layerwright.core.errors import UsageError
from layerwright.runner.describe import Described

FOLDER, ROOT = "LAYERWRIGHT_OBSERVE", "LAYERWRIGHT_OBSERVE_BELOW"
"""The environment variables that say where records go, and below which folder the user's own layers are defined."""

MISSING = "missing"

SITECUSTOMIZE = f'''
"""Starts recording once Keras is imported, and runs the sitecustomize module that this one hides."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys


def run_hidden():
    here = os.path.dirname(os.path.abspath(__file__))
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


class AfterKeras(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executing(module):
                execute(module)
                start()

            spec.loader.exec_module = executing
        return spec


def start():
    folder, root = os.environ["{FOLDER}"], os.environ["{ROOT}"]
    try:
        from pathlib import Path

        from layerwright.cases.recording import record_into
    except ImportError:
        open(os.path.join(folder, "{MISSING}"), "a").close()
    else:
        record_into(Path(folder), Path(root))


if "{FOLDER}" in os.environ:
    sys.meta_path.insert(0, AfterKeras())
run_hidden()
'''


@dataclass(frozen=True)
class Observed:
    """What came of a program.

    Attributes:
        cases: How its layers were constructed and called.
        status: Its exit status, as a shell says it: 128 and the signal's number if a signal ended it.
        warning: Why something may be missing; empty if nothing is.
    """

    cases: Sequence[Described]
    status: int
    warning: str = ""


def observe(command: str) -> Observed:
    """Run a command and record how layers defined below the working directory are constructed and called in it.

    A crash or an interrupt of the program loses nothing: each way of calling a layer is written down when it is seen.

    Raises:
        UsageError: If the command cannot be run.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--observe {command!r} is no command: {error}.") from None
    if not words:
        raise UsageError('--observe is empty; give a command, such as --observe "python -m pytest tests".')
    with tempfile.TemporaryDirectory(prefix="layerwright-") as name:
        folder, hook = Path(name, "records"), Path(name, "hook")
        folder.mkdir()
        hook.mkdir()
        (hook / "sitecustomize.py").write_text(SITECUSTOMIZE, "utf-8")
        status = _run(words, folder, hook)
        records = merged(list(read_records(folder)))
        return Observed([_described(record) for record in records], status, _warning(folder, records))


def _run(words: Sequence[str], folder: Path, hook: Path) -> int:
    path = os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, FOLDER: str(folder), ROOT: str(Path.cwd().resolve())}
    try:
        program = subprocess.Popen(words, env=environment)
    except OSError as error:
        raise UsageError(f"--observe: {words[0]} cannot be run: {error.strerror}.") from None
    while True:
        try:
            status = program.wait()
        except KeyboardInterrupt:  # the program has got it too, and ends as it likes
            continue
        return status if status >= 0 else 128 - status


def _warning(folder: Path, records: Sequence[Recorded]) -> str:
    if (folder / MISSING).exists():
        return (
            "a Python process of the program cannot import layerwright, so its layers were not seen; install it there."
        )
    if not records:
        return (
            "the program constructed no layer that is defined below the working directory; run the command from the "
            "folder of your project."
        )
    return ""


def _described(record: Recorded) -> Described:
    """Return a record as a case, in words and as source."""
    traits = {"model": True} if record.model else {}
    source = write_call(record.layer, record.init, record.inputs, record.call, traits)
    imports = (*record.imports, f"from {record.module} import {record.layer.split('.')[0]}")
    problem = record.problem or ("" if record.inputs is not None else "it was constructed, but not called")
    called = str(Case(Recorded, inputs=record.inputs, call=record.call)).removeprefix("Recorded()")
    return Described(
        record.layer,
        record.constructed + called,
        "observed",
        (f"seen at {record.where}",) if record.where else (),
        WrittenCase(source, tuple(sorted(imports)), "", problem),
        (record.folder,) if record.folder else (),
    )
