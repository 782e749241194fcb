"""Whatever a layer does to its process costs one finding; everything else still runs."""

import json
import os
import signal
import time

NASTY = """
import os, sys, time

class Forever(keras.layers.Layer):
    def call(self, inputs):
        while True:
            pass

class Aborts(keras.layers.Layer):
    def call(self, inputs):
        os.abort()

class HardExit(keras.layers.Layer):
    def call(self, inputs):
        os._exit(0)

class Exits(keras.layers.Layer):
    def call(self, inputs):
        sys.exit(3)

class HangsInTraining(keras.layers.Layer):
    def call(self, inputs, training=False):
        while training:
            time.sleep(1)
        return inputs

class First(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0

class Second(keras.layers.Dense):
    def __init__(self, units=3, **kwargs):
        super().__init__(units, **kwargs)

class Third(keras.layers.Layer):
    def call(self, inputs):
        return ops.tanh(inputs)
"""

GREEDY = """
class Greedy(keras.layers.Layer):
    def call(self, inputs):
        import numpy as np
        hoard = []
        while True:
            hoard.append(np.ones(1 << 28))
"""


def findings(done):
    """Layer name to its findings by code."""
    runs = json.loads(done.stdout)["runs"]
    return {run["target"].rpartition(":")[2]: {each["code"]: each for each in run["findings"]} for run in runs}


def test_every_layer_is_reported(layerwright, layers_file):
    arguments = ("--backend", "torch", "--select", "LW1,LW302", "--timeout", "5", "--format", "json")
    done = layerwright("check", layers_file(NASTY), *arguments)
    said = findings(done)
    assert done.returncode == 1
    assert list(said) == ["Forever", "Aborts", "HardExit", "Exits", "HangsInTraining", "First", "Second", "Third"]
    for layer, words in {
        "Forever": "did not return within",
        "Aborts": "ended the process with SIGABRT",
        "HardExit": "ended the process with exit status 0",
        "Exits": "the layer called sys.exit(3)",
        "HangsInTraining": "did not return within",
    }.items():
        assert said[layer]["LW102"]["outcome"] == "errored"
        assert words in said[layer]["LW102"]["message"]
        assert [code for code, each in said[layer].items() if each["outcome"] == "errored"] == ["LW102"]
        assert said[layer]["LW302"]["outcome"] == "blocked"
    for layer in ("First", "Second", "Third"):
        assert {each["outcome"] for each in said[layer].values()} <= {"passed", "skipped"}


def test_memory_is_bounded(layerwright, layers_file):
    done = layerwright("check", layers_file(GREEDY), "--backend", "torch", "--select", "LW102", "--format", "json")
    finding = findings(done)["Greedy"]["LW102"]
    assert finding["outcome"] == "errored"
    assert "ran out of memory" in finding["message"]


def test_import_failing_on_one_backend_is_a_finding_there(layerwright, layers_file):
    text = """
if keras.backend.backend() == "jax":
    raise ImportError("not on jax")

class Picky(keras.layers.Layer):
    def call(self, inputs):
        return inputs
"""
    arguments = ("--backend", "torch", "--backend", "jax", "--select", "LW101,LW102", "--format", "json")
    done = layerwright("check", layers_file(text), *arguments)
    runs = {run["backend"]: {each["code"]: each for each in run["findings"]} for run in json.loads(done.stdout)["runs"]}
    assert runs["torch"]["LW102"]["outcome"] == "passed"
    assert runs["jax"]["LW101"]["outcome"] == "failed"
    assert "not on jax" in runs["jax"]["LW101"]["message"]
    assert runs["jax"]["LW102"]["outcome"] == "blocked"
    assert done.returncode == 1


def test_layers_do_not_see_what_another_did(layerwright, layers_file):
    text = """
STATE = []

class First(keras.layers.Layer):
    def call(self, inputs):
        STATE.append(1)
        return inputs

class Second(keras.layers.Layer):
    def call(self, inputs):
        assert not STATE
        return inputs
"""
    done = layerwright("check", layers_file(text), "--backend", "torch", "--select", "LW102", "--jobs", "1")
    assert done.returncode == 0, done.stdout


THREE = """
with open("imports.txt", "a") as file:
    file.write("x")

class First(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0

class Second(First):
    pass

class Third(First):
    pass
"""


def test_a_file_is_imported_once_a_backend(layerwright, layers_file, tmp_path):
    done = layerwright("check", layers_file(THREE), "--backend", "torch", "--select", "LW102", "--sweep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "imports.txt").read_text() == "x"


def test_an_import_that_starts_threads_is_not_shared(layerwright, layers_file, tmp_path):
    threads = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
    done = layerwright("check", layers_file(threads + THREE), "--backend", "torch", "--select", "LW102")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert len((tmp_path / "imports.txt").read_text()) > 3


def test_one_bad_target_costs_one_line(layerwright, layers_file):
    layers_file("import argparse\nargparse.ArgumentParser().parse_args(['--nope'])\n", "exits.py")
    done = layerwright("check", "exits.py", layers_file(THREE), "--backend", "torch", "--select", "LW102")
    assert done.returncode == 2
    assert "3 passed" in done.stdout
    assert done.stderr == "layerwright: exits.py:5 cannot be imported: SystemExit: 2\n"


def test_interrupt_prints_what_is_known(layers_file, start):
    text = (
        "class Sound(keras.layers.Layer):\n    def call(self, inputs):\n        return inputs\n"
        + NASTY.partition("class Aborts")[0]
    )
    options = ["--select", "LW102", "--timeout", "200", "--jobs", "1"]
    process = start("check", layers_file(text), "--backend", "torch", *options)
    time.sleep(40)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "✓ Sound" in out
    assert "interrupted" in err
    assert "Traceback" not in err
