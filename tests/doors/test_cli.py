"""The command line: its exit statuses, its formats, and one clear line for whatever is wrong with a command."""

import json
import resource
import subprocess
import sys

import jsonschema
import pytest

from layerwright.checks.discovery import check_by_code
from layerwright.cli import main as cli
from layerwright.report.formats.json import schema

MIXER = """
class Mixer(keras.layers.Layer):
    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0, keepdims=True)
"""
SOUND = """
class Sound(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0
"""
STRICT = """
class Strict(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()

    def call(self, inputs):
        return inputs * 2.0
"""


def test_failure_is_reported_with_its_fix(layerwright, layers_file):
    done = layerwright("check", layers_file(MIXER + SOUND), "--backend", "torch", "--select", "LW301")
    assert done.returncode == 1
    assert "LW301 batch-independence failed on torch" in done.stdout
    assert "replacing one sample changed other samples' outputs" in done.stdout
    assert "influence map" in done.stdout
    assert "fix: Keep axis 0 out" in done.stdout
    assert "inferred input shape (None, 10, 5)" in done.stdout
    assert done.stderr == ""


def test_everything_held(layerwright, layers_file):
    done = layerwright("check", layers_file(SOUND), "--backend", "torch", "--select", "LW3")
    assert done.returncode == 0, done.stdout
    assert "✓ Sound" in done.stdout


def test_json_validates_and_is_all_that_is_written(layerwright, layers_file):
    noisy = SOUND + "\nprint('hello from the file')\n"
    done = layerwright(
        "check", layers_file(MIXER + noisy), "--backend", "torch", "--select", "LW301", "--format", "json"
    )
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema())
    assert done.returncode == 1
    assert [run["target"] for run in document["runs"]] == ["my_layers.py:Mixer", "my_layers.py:Sound"]
    failed = document["runs"][0]["findings"][0]
    assert len(failed["evidence"]["influence_map"]) == 4


def test_github_annotates_the_line_of_the_class(layerwright, layers_file):
    done = layerwright("check", layers_file(MIXER), "--backend", "torch", "--select", "LW301", "--format", "github")
    assert done.stdout.startswith(
        "::error file=my_layers.py,line=5,title=LW301 batch-independence (Mixer on torch)::replacing one sample"
    )
    assert "%0AFix%3A" not in done.stdout
    assert "%0AFix: " in done.stdout


def test_output_goes_to_a_file(layerwright, layers_file, tmp_path):
    arguments = ("--backend", "torch", "--select", "LW301", "--format", "json", "--output", "report.json")
    done = layerwright("check", layers_file(SOUND), *arguments)
    assert done.stdout == ""
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["summary"]["passed"] == 1


def test_expectation(layerwright, layers_file):
    arguments = ("--backend", "torch", "--select", "LW301", "--expect", "LW301=centres by design")
    assert layerwright("check", layers_file(MIXER), *arguments).returncode == 0
    stale = layerwright("check", layers_file(SOUND), *arguments)
    assert stale.returncode == 1
    assert "expected to fail (centres by design), but passed" in stale.stdout


def test_one_class_one_input_one_argument(layerwright, layers_file):
    text = """
class Scale(keras.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs, mask=None):
        return inputs * self.factor
"""
    name = layers_file(text + MIXER)
    arguments = ("--init", "factor=7", "--input", "None,12,3", "--input", "mask=None,12:bool")
    done = layerwright("check", f"{name}:Scale", "--backend", "torch", "--select", "LW102", *arguments)
    assert "Scale(factor=7) on (None, 12, 3) with mask=(None, 12) bool" in done.stdout
    assert "Mixer" not in done.stdout
    assert "settled" not in done.stdout


def test_several_inputs_are_a_list_for_one_argument(layerwright, layers_file):
    text = "class Pair(keras.layers.Layer):\n    def call(self, inputs):\n        return inputs[0] + inputs[1]\n"
    arguments = ("--backend", "torch", "--select", "LW102", "--input", "None,3", "--input", "None,3")
    done = layerwright("check", layers_file(text), *arguments)
    assert "Pair() on [(None, 3), (None, 3)]" in done.stdout
    assert done.returncode == 0


def test_layer_that_cannot_be_constructed(layerwright, layers_file):
    text = """
class Clash(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.weights = [1.0]
"""
    done = layerwright(
        "check", layers_file(text + "    def call(self, inputs):\n        return inputs\n"), "--backend", "jax"
    )
    assert done.returncode == 1
    assert "LW101 construct failed" in done.stdout
    assert "AttributeError: property 'weights'" in done.stdout


def test_layer_that_cannot_be_called(layerwright, layers_file):
    text = "class Never(keras.layers.Layer):\n    def call(self, inputs):\n        raise RuntimeError('not today')\n"
    done = layerwright("check", layers_file(text), "--backend", "torch")
    assert done.returncode == 1
    assert "LW102 call failed" in done.stdout
    assert "RuntimeError: not today" in done.stdout
    assert "give one with --input" in done.stdout


def test_a_layer_that_nothing_tried_fits_is_undetermined(layerwright, layers_file):
    text = """
class Picky(keras.layers.Layer):
    def call(self, inputs):
        if sum(inputs.shape[1:]) ** 2 % 1009 != 3:
            raise ValueError("needs another number of entries")
        return inputs
"""
    done = layerwright("check", layers_file(text), "--backend", "torch", "--format", "json", "--select", "LW1")
    assert done.returncode == 3, done.stdout + done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema())
    assert document["summary"]["undetermined"] == 1
    assert document["runs"][0]["case_status"] == "undetermined"
    shown = layerwright("check", "my_layers.py", "--backend", "torch", "--select", "LW1")
    assert "? Picky" in shown.stdout
    assert "torch undetermined" in shown.stdout
    assert "--input None" in shown.stdout


def test_folders_and_patterns(layerwright, layers_file, tmp_path):
    (tmp_path / "pack").mkdir()
    layer = "class {}(keras.layers.Layer):\n    def call(self, inputs):\n        return inputs\n\n\n"
    layers_file(layer.format("Quantize") + layer.format("Other"), "pack/one.py")
    layers_file("class Helper:\n    pass\n", "pack/helper.py")
    layers_file("def broken(:\n", "pack/broken.py")
    targets = ("pack", "pack/one.py:Quant*", "pack/*.py:Other", "pack/one.py:Nope*")
    done = layerwright("check", *targets, "--backend", "torch", "--select", "LW101", "--format", "json")
    assert [run["layer"] for run in json.loads(done.stdout)["runs"]] == ["Quantize", "Other"], "each once"
    assert done.returncode == 2
    broken, again, nothing = done.stderr.splitlines()
    assert broken == again
    assert broken.startswith("layerwright: pack/broken.py cannot be imported: SyntaxError")
    assert nothing == "layerwright: no layer in pack/one.py matches 'Nope*'; its layers are: Other, Quantize."
    done = layerwright("check", "pack/h*.py", "--backend", "torch", "--select", "LW101")
    assert (done.returncode, done.stderr) == (2, "layerwright: no Keras layer to check in pack/h*.py.\n")


def test_module_target_and_package_relative_imports(layerwright, layers_file, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text(
        "import keras\n\n\nclass Base(keras.layers.Layer):\n    def call(self, x):\n        return x\n"
    )
    (package / "derived.py").write_text("from .base import Base\n\n\nclass Derived(Base):\n    pass\n")
    for target in ("package.derived", "package/derived.py", "package.derived:Derived"):
        done = layerwright("check", target, "--backend", "torch", "--select", "LW102")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "✓ Derived" in done.stdout
        assert "✓ Base" not in done.stdout


def test_only_layers_defined_there(layerwright, layers_file):
    text = (
        "from keras.layers import Dense, Layer\n\nclass Abstract(Layer):\n    pass\n\nclass M(keras.Model):\n    pass\n"
    )
    done = layerwright(
        "check", layers_file(text + SOUND), "--backend", "torch", "--select", "LW102", "--format", "json"
    )
    assert [run["target"] for run in json.loads(done.stdout)["runs"]] == ["my_layers.py:Sound"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.py"], "no such file: nope.py"),
        (["syntax.py"], r"syntax.py:4: invalid Python syntax"),
        (["empty.py", "--backend", "torch"], "empty.py defines no Keras layer"),
        (["sound.py:Nope", "--backend", "torch"], "sound.py has no layer 'Nope'; its layers are: Sound"),
        (["imports.py", "--backend", "torch"], "imports.py:4 cannot be imported: ModuleNotFoundError: No module named"),
        (["dies.py", "--backend", "torch"], "dies.py cannot be imported: it ended the process with exit status 5"),
        (["nowhere.at.all", "--backend", "torch"], "nowhere.at.all cannot be imported: ModuleNotFoundError"),
        (["sound.py", "--input", "a,b"], "--input 'a,b' is not a shape"),
        (["sound.py", "--input", "None,3:flot"], "--input 'None,3:flot' has the dtype 'flot'"),
        (
            ["sound.py", "--input", "10"],
            "--input '10' holds one size, and the batch axis comes first; write --input None,10",
        ),
        (["sound.py", "--init", "units"], "--init 'units' is not NAME=VALUE"),
        (
            ["sound.py", "--init", "nam=a"],
            "--init nam: no layer in sound.py takes an argument 'nam'; did you mean name?",
        ),
        (
            ["strict.py", "--init", "spam=1"],
            "--init spam: no layer in strict.py takes an argument 'spam'; the arguments are",
        ),
        (["sound.py", "--select", "LW999"], "no check's code starts with 'LW999'"),
        (["sound.py", "--ignore", "XX"], "no check's code starts with 'XX'"),
        (["sound.py", "--expect", "LW301"], "--expect 'LW301' gives no reason"),
        (["sound.py", "--expect", "LW999=why"], "no check has the code or slug 'LW999'"),
        (["sound.py", "--output", "no/such/folder/x"], "--output no/such/folder/x cannot be written"),
        (["layers/*.py"], "layers/*.py contains no Python file with a class"),
    ],
)
def test_wrong_commands_get_one_line(layerwright, layers_file, arguments, message):
    layers_file(SOUND, "sound.py")
    layers_file(STRICT, "strict.py")
    layers_file("def broken(:\n", "syntax.py")
    layers_file("x = 1\n", "empty.py")
    layers_file("import no_such_package_anywhere\n", "imports.py")
    layers_file("import os; os._exit(5)\n", "dies.py")
    done = layerwright("check", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"layerwright: {message}")
    assert done.stderr.count("\n") == 1


def test_backend_that_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr("layerwright.backends.installed", lambda: ("torch",))
    monkeypatch.setattr(sys, "argv", ["layerwright", "check", "x.py", "--backend", "jax"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "layerwright: jax is not installed; run: pip install 'layerwright[jax]'.\n"


def test_no_backend_at_all(monkeypatch, capsys):
    monkeypatch.setattr("layerwright.backends.installed", lambda: ())
    monkeypatch.setattr(sys, "argv", ["layerwright", "check", "x.py"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "no backend is installed" in capsys.readouterr().err


def test_catalogue_and_explanation(layerwright):
    listed = layerwright("checks")
    assert "LW301" in listed.stdout
    assert "batch-independence" in listed.stdout
    explained = layerwright("explain", "LW301")
    for words in ("Why it matters", "A layer that fails it", "class SoftmaxOverBatch", "References"):
        assert words in explained.stdout
    uncut = layerwright("explain", "LW308").stdout
    assert all(line in uncut for line in check_by_code("LW308").source("bad").splitlines())
    unknown = layerwright("explain", "LW999")
    assert unknown.returncode == 2
    assert unknown.stderr.count("\n") == 1


def test_help_is_quick():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", "from layerwright.cli.main import main; main()", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "check" in done.stdout
    loaded = [sys.executable, "-X", "importtime", *command[1:]]
    imports = subprocess.run(loaded, capture_output=True, text=True, check=True).stderr
    assert not [line for line in imports.splitlines() if line.split("|")[-1].strip() in ("keras", "numpy")]
    assert (after.ru_utime - before.ru_utime) > 0


def test_version(layerwright):
    assert layerwright("--version").stdout.startswith("layerwright 0.")
