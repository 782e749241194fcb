"""What layers and files do to the processes that check them, beyond their own: nothing else is lost."""

import json

import pytest

ALARM = """
import signal
import time

signal.alarm(8)


class Slow(keras.layers.Layer):
    def call(self, inputs):
        time.sleep(1)
        return inputs


class Quick(keras.layers.Layer):
    def call(self, inputs):
        return inputs
"""

KILLER = """
import os
import signal


class Killer(keras.layers.Layer):
    def call(self, inputs):
        os.kill(os.getppid(), signal.SIGKILL)
        return inputs
"""

SOUND = """
class Sound(keras.layers.Layer):
    def call(self, inputs):
        return inputs
"""


@pytest.fixture
def checked(layerwright):
    def run(*targets, select="LW1", backends=("torch",)):
        chosen = [word for backend in backends for word in ("--backend", backend)]
        done = layerwright("check", *targets, *chosen, "--select", select, "--format", "json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["runs"], done

    return run


@pytest.mark.parametrize("text", [ALARM, KILLER])
def test_the_end_of_a_server_costs_no_other_finding(checked, layers_file, text):
    runs, done = checked(layers_file(text, "ends.py"), layers_file(SOUND))
    sound = next(run for run in runs if run["layer"] == "Sound")
    assert {finding["outcome"] for finding in sound["findings"]} <= {"passed", "note", "skipped"}
    assert done.returncode in (0, 1)


def test_an_import_may_change_directory(checked, layers_file, tmp_path):
    (tmp_path / "sub").mkdir()
    name = layers_file("import os\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\n" + SOUND, "sub/moves.py")
    runs, _ = checked(name, select="LW102")
    assert [finding["outcome"] for finding in runs[0]["findings"]] == ["passed"]


def test_values_of_the_users_own_types_are_reported(checked, layers_file, tmp_path):
    text = """
from enum import IntEnum, StrEnum

import layerwright as lw


class Mode(StrEnum):
    FIRST = "first"


class Number(IntEnum):
    TWO = 2


@lw.case(init={"mode": Mode.FIRST, "number": Number.TWO}, inputs=(None, 5))
class Moded(keras.layers.Layer):
    def __init__(self, mode, number, **kwargs):
        super().__init__(**kwargs)
        self.mode, self.number = mode, number

    def call(self, inputs):
        return inputs * self.number
"""
    (tmp_path / "apart").mkdir()
    runs, _ = checked(layers_file(text, "apart/enums.py"), select="LW102")
    assert runs[0]["case"]["init"] == {"mode": "first", "number": 2}
    assert [finding["outcome"] for finding in runs[0]["findings"]] == ["passed"]


CASES = """
import layerwright as lw

one = lw.Case(keras.layers.Dense, {"units": 2}, (None, 5))
other = lw.Case(keras.layers.Dense, {"units": 3}, (None, 7))


def cases():
    first = [one] if keras.config.backend() == "jax" else []
    return [*first, other]
"""


def test_each_case_has_its_own_id_and_counts_once(checked, layers_file):
    name = layers_file(CASES)
    runs, _ = checked(f"{name}:one", f"{name}:other", f"{name}:one", select="LW101")
    assert [run["case"]["init"]["units"] for run in runs] == [2, 3]
    assert len({run["id"] for run in runs}) == 2


def test_cases_of_one_backend_only_are_not_paired_with_others(checked, layers_file):
    runs, _ = checked(f"{layers_file(CASES)}:cases", select="LW101", backends=("jax", "torch"))
    found = {(run["backend"], run["case"]["init"]["units"], run["id"]) for run in runs}
    assert {(backend, units) for backend, units, _ in found} == {("jax", 2), ("jax", 3), ("torch", 3)}
    assert len({name for _, units, name in found if units == 3}) == 1
