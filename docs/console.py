"""Run the commands on the pages, and write their output into the pages.

    python docs/console.py                      every page
    python docs/console.py docs/guides/masks.md

The commands of each page run in a new folder, which contains the files that the page defines. If the output on a page
has a line `…`, which leaves out any number of lines, it is not changed. The tests compare all outputs with the pages.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from blocks import Block, blocks, pages

NOT_RUN = {
    "pip install": "needs the network",
    "pre-commit": "creates environments; tests/doors/test_docs_ci.py runs the hook",
    "make": "runs all tests, or `layerwright demo`, which has a test",
}
"""Beginnings of commands that are not run, and why. The pages show no output of them."""

VARIES = re.compile(r"\b\d+\.\d+ ?s\b|keras \d+\.\d+\.\d+|[▁▂▃▄▅▆▇█·]{5,} *-?[\d.e-]*")
"""Times, the version of Keras, and statistics during training, which depend on rounding."""

NOT_INHERITED = {"KERAS_BACKEND", "PYTEST_ADDOPTS", "CI", "BUILD_NUMBER", "GITHUB_ACTIONS"}
"""Variables that change the output of a command: pytest does not shorten the lines of its summary if CI is set."""

WIDTH = 92


def main() -> None:
    """Run the commands of the pages, and write their output into the pages."""
    for page in [Path(each).resolve() for each in sys.argv[1:]] or pages():
        with tempfile.TemporaryDirectory() as folder:
            text = page.read_text("utf-8")
            for block, ran in reversed(list(results(page, Path(folder)))):
                new = "".join(f"$ {command}\n{said if _elides(said) else output}" for command, said, output in ran)
                text = text[: block.start] + new + text[block.start + len(block.text) :]
            page.write_text(text, "utf-8")


def results(page: Path, folder: Path) -> Iterator[tuple[Block, list[tuple[str, str, str]]]]:
    """Run a page's commands in a folder; yield each console block with (command, output on the page, actual output)."""
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        if block.language == "console":
            yield block, [(command, said, _run(command, folder)) for command, said in block.commands()]


def _run(command: str, folder: Path) -> str:
    if command.startswith(tuple(NOT_RUN)):
        return ""
    own = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": own, "COLUMNS": str(WIDTH), "PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"}
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**inherited, **here},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=240,
        check=False,
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.replace(f"{folder}/", "").splitlines())


def _elides(said: str) -> bool:
    return "…" in said.splitlines()


def agree(said: str, output: str) -> bool:
    """Return whether a page shows the actual output, except for what varies and what a line `…` leaves out."""
    lines = VARIES.sub("", said).splitlines()
    pattern = "".join("(?:.*\n)*?" if line == "…" else f"{re.escape(line.rstrip())}\n" for line in lines)
    return (
        re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in VARIES.sub("", output).splitlines())) is not None
    )


if __name__ == "__main__":
    main()
