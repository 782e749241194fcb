"""An audit of a package's layers: resumable, and held against the defects that are known."""

import json
import os
import signal
import time

import pytest

from layerwright.core.defect import Defect
from layerwright.core.errors import UsageError
from layerwright.core.finding import Finding, Outcome

MODULE = """
import time

import keras
import layerwright as lw


class Sound(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0


class Mixing(keras.layers.Layer):
    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0)


class Slow(keras.layers.Layer):
    def call(self, inputs):
        time.sleep(0.2)
        return inputs


def cases():
    slow = [lw.Case(Slow, inputs=(None, size)) for size in range(2, 12)]
    return [lw.Case(Sound, inputs=(None, 5)), lw.Case(Mixing, inputs=(None, 5)), *slow]
"""

DEFECTS = '''

def defects():
    from layerwright.core.defect import Defect

    return (Defect.parse("""# Mixing centres over the batch

- LW301, LW302 Mixing

It takes the mean over axis 0.

```python
print("mixed")
# mixed
```
"""),)
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package that brings cases under the name `mine`; return a function that changes its text."""
    folder = tmp_path / "site"
    information = folder / "mine_of_layers-1.0.dist-info"
    information.mkdir(parents=True)
    information.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: mine-of-layers\nVersion: 1.0\n")
    information.joinpath("entry_points.txt").write_text("[layerwright.cases]\nmine = mine_of_layers\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def write(text=MODULE):
        (folder / "mine_of_layers.py").write_text(text, "utf-8")

    write()
    return write


AUDIT = ("audit", "mine", "--backend", "torch", "--select", "LW301", "--output", "report")


def test_what_fails_is_not_explained(layerwright, package, tmp_path):
    done = layerwright(*AUDIT, "--only", "Sound")
    assert (done.returncode, done.stderr) == (0, "")
    done = layerwright(*AUDIT, "--only", "Mixing", "--fresh")
    assert done.returncode == 1
    assert "LW301 batch-independence failed on torch, Mixing() on (None, 5)" in done.stdout
    page = tmp_path.joinpath("report", "report.md").read_text("utf-8")
    assert "## Unexplained" in page
    assert json.loads(tmp_path.joinpath("report", "report.json").read_text("utf-8"))["summary"]["failed"] == 1


def test_what_is_explained_does_not_fail_the_audit(layerwright, package, tmp_path):
    package(MODULE + DEFECTS)
    done = layerwright(*AUDIT, "--only", "Mixing")
    assert done.returncode == 0
    page = tmp_path.joinpath("report", "report.md").read_text("utf-8")
    assert "## Unexplained" not in page
    assert "### Mixing centres over the batch\n\nFound by LW301 in Mixing, on torch." in page


def test_a_killed_audit_goes_on(layerwright, start, package, tmp_path):
    record = tmp_path / "report" / "runs.jsonl"
    process = start(*AUDIT, "--jobs", "1")
    deadline = time.monotonic() + 120
    while not (record.exists() and record.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    with record.open("a") as file:
        file.write('{"case": "torn')
    done_before = record.read_text("utf-8").splitlines()[:-1]
    done = layerwright(*AUDIT)
    assert "12 runs:" in done.stdout
    lines = record.read_text("utf-8").splitlines()
    assert lines[: len(done_before)] == done_before, "what was done stays"
    assert len({json.loads(line)["case"] for line in lines[1:]}) == len(lines) - 1 == 12


def test_an_interrupted_audit_says_so_and_goes_on(layerwright, start, package, tmp_path):
    process = start(*AUDIT, "--jobs", "1")
    record = tmp_path / "report" / "runs.jsonl"
    deadline = time.monotonic() + 120
    while not (record.exists() and record.read_text().count("\n") > 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to resume" in err
    assert "The report is in" in out
    assert "12 runs:" in layerwright(*AUDIT).stdout


def test_another_audit_in_the_folder_is_refused(layerwright, package):
    layerwright(*AUDIT, "--only", "Sound")
    done = layerwright(*AUDIT, "--only", "Sound", "--seed", "3")
    assert done.returncode == 2
    assert "holds results with other seed; give another --output, or --fresh to discard them." in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def cases():\n    return []\n", "is neither a layer nor a model, a Case or a list of Cases"),
        ("def cases():\n    raise ValueError('broken')\n", "ValueError: broken"),
        ("raise ValueError('unimportable')\n", "unimportable"),
    ],
)
def test_broken_packages_get_one_line(layerwright, package, text, message):
    package(text)
    done = layerwright(*AUDIT)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_unknown_names_are_refused(layerwright):
    done = layerwright("audit", "nothing-of-this-name")
    assert done.returncode == 2
    assert "known names: keras" in done.stderr


def test_a_defect_says_what_it_explains():
    defect = Defect.parse("# Wrong\n\n- LW201, LW301 Dense, Conv1D on jax, torch\n- LW101 LSTM\n\n```python\n1\n```\n")
    assert [(each.codes, each.layers, each.backends) for each in defect.explains] == [
        (("LW201", "LW301"), ("Dense", "Conv1D"), ("jax", "torch")),
        (("LW101",), ("LSTM",), ()),
    ]
    assert defect.scripts == ("1\n",)
    failure = Finding(Outcome.FAILED, code="LW301")
    assert defect.covers("Dense", "jax", failure)
    assert not defect.covers("Dense", "tensorflow", failure)
    assert not defect.covers("LSTM", "jax", failure)


@pytest.mark.parametrize("text", ["", "# Wrong\n\nText", "# Wrong\n\n- LW201 Dense\n\nno script", "- LW201 Dense"])
def test_a_defect_that_shows_nothing_is_refused(text):
    with pytest.raises(UsageError, match="must have a title"):
        Defect.parse(text)
