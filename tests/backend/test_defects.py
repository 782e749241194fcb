"""The known defects of Keras's layers: each script shows on this backend what its comments say."""

import contextlib
import io
import re

import keras
import pytest

from layerwright.catalogue.keras import cases, defects
from layerwright.checks.discovery import check_by_code

pytestmark = pytest.mark.skipif(not keras.__version__.startswith("3.15"), reason="they are defects of Keras 3.15")
DEFECTS = defects()
BACKEND = keras.config.backend()
SCRIPTS = [
    (f"{defect.title} {number}", script) for defect in DEFECTS for number, script in enumerate(defect.scripts, 1)
]
NAMED = re.compile(r"# ((?:tensorflow|jax|torch)(?:, (?:tensorflow|jax|torch))*): (.*)")


def promised(script):
    """The lines that the script's comments say it prints here; None where they speak of other backends only."""
    comments = [line for line in script.splitlines() if line.startswith("# ")]
    named = [found for found in map(NAMED.fullmatch, comments) if found]
    if not named:
        return [comment.removeprefix("# ") for comment in comments]
    here = [found[2] for found in named if BACKEND in found[1].split(", ")]
    return here or None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", [script for _, script in SCRIPTS], ids=[title for title, _ in SCRIPTS])
def test_script_prints_what_it_says(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(script, "script", "exec"), {"__name__": "__main__"})
    if promised(script) is not None:
        assert printed.getvalue().splitlines() == promised(script)


def test_every_script_promises_something():
    for _, script in SCRIPTS:
        assert re.search(r"^# |^ *assert ", script, re.MULTILINE)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.title)
def test_what_is_explained_exists(defect):
    known = {case.layer.__name__ for case in cases()}
    for each in defect.explains:
        assert set(each.layers) <= known
        assert set(each.backends) <= {"tensorflow", "jax", "torch"}
        assert all(check_by_code(code) for code in each.codes)
