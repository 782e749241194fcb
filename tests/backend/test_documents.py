"""The Python in README and on the pages of the site runs, on each backend, from the top of a page to its end."""

import sys
from pathlib import Path

import blocks
import pytest

NOT_RUN: dict[tuple[str, int], str] = {}
"""Pages and the numbers of their Python blocks that do not run, and why. There are none."""

PAGES = [page for page in blocks.pages() if any(block.language == "python" for block in blocks.blocks(page))]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the alerts of the guide that watches
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before, names = set(sys.modules), {"__name__": "page"}
    try:
        for number, block in enumerate(block for block in blocks.blocks(page) if block.language == "python"):
            if (page.name, number) in NOT_RUN:
                continue
            if block.file:
                Path(block.file).write_text(block.text, "utf-8")
                forget(tmp_path)
            # Empty lines in front, so that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
    finally:
        forget(tmp_path)
    assert not [name for name in set(sys.modules) - before if comes_from(name, tmp_path)]


def forget(folder):
    """Have files of a page imported anew, in the form that they have further down."""
    for name in list(sys.modules):
        if comes_from(name, folder):
            del sys.modules[name]


def comes_from(name, folder):
    return (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder))


def test_every_page_with_code_is_here():
    named = {page.stem for page in PAGES}
    assert {"README", "getting-started", "index", "batch-axis", "masks", "state", "saving", "watching", "ci"} <= named


def test_what_is_not_run_is_there():
    assert all(name in {page.name for page in PAGES} for name, _ in NOT_RUN)
