"""The command line, run as a user runs it, in a process of its own."""

import os
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def layerwright(tmp_path):
    """Run `layerwright ARGUMENTS…` in an empty folder and return what came of it."""

    def run(*arguments, timeout=280):
        command = [sys.executable, "-c", "from layerwright.cli.main import main; main()", *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run


@pytest.fixture
def layers_file(tmp_path):
    """Write a file of layers and return its name."""

    def write(text, name="my_layers.py"):
        (tmp_path / name).write_text("import keras\nfrom keras import ops\n\n" + text, "utf-8")
        return name

    return write


def heed_interrupts():
    """Undo what a test runner in the background hands down: that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    """Start `layerwright ARGUMENTS…` in an empty folder, in a session of its own, and return the process."""
    processes = []

    def run(*arguments):
        command = [sys.executable, "-c", "from layerwright.cli.main import main; main()", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
