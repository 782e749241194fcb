"""A new check, sink, report format or command is one new file: discovery finds it."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import layerwright
from layerwright.checks import discovery
from layerwright.checks import shape as shape_family
from layerwright.cli import commands
from layerwright.cli.main import command_modules
from layerwright.core.check import Check
from layerwright.report import formats
from layerwright.report.report import Report
from layerwright.watch import sinks

CHECK = '''
from layerwright.core.check import check
from layerwright.core.finding import passed

@check("LW299", "brand-new")
def brand_new(trial):
    """The layer is new."""
    return passed()
'''
SINK = """
class Lines:
    def open(self, run): ...
    def write(self, records): ...
    def close(self): ...

def for_folder(folder):
    return Lines()
"""


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Add a file to a package, as far as discovery can tell."""

    def add(package, name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        importlib.invalidate_caches()

    return add


def test_a_format(add):
    add(formats, "tiny", "def render(report, options):\n    return f'{len(report.runs)} runs'\n")
    assert "tiny" in formats.format_names()
    assert formats.render_as("tiny", Report(()), formats.RenderOptions()) == "0 runs"


def test_a_command(add):
    add(commands, "hello", "PLACE = 9\n\n\ndef hello():\n    '''Say hello.'''\n")
    assert command_modules()[-1].__name__.endswith(".hello")


def test_a_sink(add, tmp_path):
    add(sinks, "lines", SINK)
    assert "Lines" in {type(sink).__name__ for sink in sinks.sinks_for(tmp_path)}


def test_a_check(add):
    add(shape_family, "brand_new", CHECK)
    found = discovery._checks_in("layerwright.checks")
    assert "LW299" in {check.code for check in found}
    assert all(isinstance(check, Check) for check in found)


LAYER = """
import keras

class Doubling(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2

__all__ = ["Doubling"]
"""


def test_a_layer(tmp_path):
    package = tmp_path / "layerwright"
    shutil.copytree(Path(layerwright.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "layers" / "doubling.py").write_text(LAYER)
    code = "import layerwright.layers as layers; print(layers.Doubling.__name__, layers.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Doubling", str(package / "layers" / "__init__.py")]
