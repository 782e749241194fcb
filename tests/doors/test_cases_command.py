"""`layerwright cases`: what it shows, the module that it writes, and what it sees of a program that runs."""

import os
import subprocess
import sys

import numpy as np
import pytest

import layerwright as lw
from layerwright.cases.recording import Recorded, merged
from layerwright.cases.source import write_case, write_module

LAYERS = """
class Scale(keras.layers.Layer):
    def __init__(self, units, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.inner = units, inner

    def call(self, inputs, mask=None):
        return inputs * self.units

    def get_config(self):
        return {**super().get_config(), "units": self.units}

class Odd(keras.layers.Layer):
    def __init__(self, thing, **kwargs):
        super().__init__(**kwargs)
        self.thing = thing["nothing"].deep

    def call(self, inputs):
        return inputs
"""


def test_it_shows_and_writes_what_check_takes(layerwright, layers_file, tmp_path):
    done = layerwright("cases", layers_file(LAYERS), "--write", "my_cases.py", "--backend", "torch")
    assert done.returncode == 0, done.stderr
    text = next(line for line in done.stdout.splitlines() if line.startswith("Scale(units="))
    assert text.endswith("  [inferred]")
    assert "[undetermined]" in done.stdout
    assert "1 of 2 cases is a comment to complete; check it with: layerwright check my_cases.py:CASES" in done.stdout
    written = (tmp_path / "my_cases.py").read_text()
    assert "from my_layers import Scale\n" in written
    assert "# lw.Case(Odd" in written
    done = layerwright("check", "my_cases.py:CASES", "--backend", "torch", "--select", "LW301")
    assert done.returncode == 0, done.stdout + done.stderr
    assert text.removesuffix("  [inferred]") in done.stdout


PROGRAM = """
import os
import subprocess
import sys
import numpy as np
from my_layers import Scale

if __name__ == "__main__":
    if sys.argv[1:]:
        for steps in (4, 9):
            Scale(2)(np.zeros((2, steps, 6), "float32"), mask=np.ones((2, steps), bool))
        os.kill(os.getpid(), 9)
    Scale(3, inner=Scale(1))(np.zeros((2, 4), "float32"))
    subprocess.run([sys.executable, __file__, "child"])
    sys.exit(5)
"""


def test_it_observes_a_program_and_its_subprocesses_although_they_are_killed(layerwright, layers_file, tmp_path):
    layers_file(LAYERS)
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text("print('the hidden sitecustomize ran')\n")
    path = os.pathsep.join([str(tmp_path / "hidden"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", "from layerwright.cli.main import main; main()", "cases"]
    done = subprocess.run(
        [*command, "--observe", f"{sys.executable} train.py", "--write", "seen.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "the hidden sitecustomize ran" in done.stdout
    assert "layerwright: the program ended with exit status 5." in done.stderr
    assert "Scale(units=2) on (None, None, 6) with mask=(None, None) bool  [observed]" in done.stdout
    written = (tmp_path / "seen.py").read_text()
    assert 'lw.Case(Scale, init={"units": 3, "inner": Scale(units=1)}, inputs=(None, 4))' in written
    assert 'call={"mask": lw.InputSpec((None, None), "bool")}' in written
    assert "# Not used: it was constructed, but not called." in written  # the one inside


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], 'give a TARGET, such as my_layers.py, or --observe "python -m pytest tests".'),
        (["--observe", "no-such-program x"], "--observe: no-such-program cannot be run: No such file or directory."),
        (["--observe", ""], "--observe is empty"),
        (["my_layers.py", "--observe", "ls"], "--observe runs a program instead of reading targets"),
        (["none.py"], "no such file: none.py"),
    ],
)
def test_wrong_use_costs_one_line(layerwright, arguments, said):
    done = layerwright("cases", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_value_comes_back_from_its_source(tmp_path):
    import keras

    init = {
        "shape": (1,),
        "names": ["a", 'b"c'],
        "rate": float("inf"),
        "table": np.arange(3),
        "inner": keras.layers.Dense(4, activation="relu"),
        "kind": keras.layers.Dense,
        "initializer": keras.initializers.RandomNormal(stddev=0.5),
        "function": keras.activations.relu,
    }
    case = lw.Case(
        keras.layers.Layer,
        init,
        [(None, 3), lw.InputSpec((None, 2), "int32", high=9)],
        {"mask": (None, 3)},
        {"causal": True},
    )
    source = write_module("x", [(write_case(case), ["a note"])])
    names = {}
    exec(compile(source, "cases.py", "exec"), names)
    (again,) = names["CASES"]
    assert (again.inputs, dict(again.call), again.traits) == (case.inputs, dict(case.call), case.traits)
    assert again.init["inner"].get_config()["activation"] == "relu"
    assert again.init["initializer"].get_config() == init["initializer"].get_config()
    assert again.init["kind"] is keras.layers.Dense
    assert again.init["function"] is keras.activations.relu
    assert np.array_equal(again.init["table"], init["table"])
    assert {name: again.init[name] for name in ("shape", "names", "rate")} == {
        name: init[name] for name in ("shape", "names", "rate")
    }


def test_what_cannot_be_written_becomes_a_comment():
    written = write_case(lw.Case(dict, {"function": lambda x: x}, (None, 3)))
    assert "<lambda>" in written.problem
    module = write_module("x", [(written, [])])
    assert "\n    # lw.Case(dict, inputs=(None, 3)),\n" in module
    compile(module, "cases.py", "exec")


def test_uses_that_differ_in_sizes_are_one_with_free_axes():
    def record(**rest):
        return Recorded("Scale", "my_layers", "", "{}", **rest)

    one, two = lw.InputSpec((None, 4, 6)), lw.InputSpec((None, 9, 6))
    mask = {"mask": lw.InputSpec((None, 9), "bool")}
    (found,) = merged([record(), record(inputs=one), record(inputs=two, call=mask)])
    assert found.inputs.shape == (None, None, 6)
    assert "mask" in found.call
