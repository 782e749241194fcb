"""What users put into their own repositories works: the pre-commit hook, the workflow, and the guide's configuration."""

import os
import re
import subprocess
import sys
from pathlib import Path

import blocks
import pytest

yaml = pytest.importorskip("yaml", reason="comes with pre-commit")

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "ci.md"
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))

SOUND = """
import keras

class Double(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs
"""
BROKEN = SOUND.replace("2 * inputs", "keras.ops.softmax(inputs, axis=0)")


def shell(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pre_commit_takes_the_manifest():
    done = shell(f"pre-commit validate-manifest {ROOT / '.pre-commit-hooks.yaml'}", ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pre_commit_takes_the_configuration_of_the_guide(tmp_path):
    (block,) = (block for block in blocks.blocks(GUIDE) if block.file == ".pre-commit-config.yaml")
    path = tmp_path / block.file
    path.write_text(block.text, "utf-8")
    done = shell(f"pre-commit validate-config {path}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (hook,) = yaml.safe_load(block.text)["repos"][0]["hooks"]
    assert hook["id"] == HOOK["id"]
    assert re.search(hook["files"], "my_package/layers/attention.py")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("layers.py", True),
        ("src/package/layers.py", True),
        ("package/layers/attention.py", True),
        ("package/layers/deep/attention.py", True),
        ("package/layers/__init__.py", False),
        ("package/layers/_masks.py", False),
        ("package/players.py", False),
        ("package/losses.py", False),
    ],
)
def test_the_hook_is_for_files_of_layers(path, meant):
    assert bool(re.search(HOOK["files"], path)) is meant


@pytest.mark.parametrize(("text", "status"), [(SOUND, 0), (BROKEN, 1)], ids=["sound", "broken"])
def test_the_hook_as_pre_commit_runs_it(tmp_path, text, status):
    (tmp_path / "layers.py").write_text(text, "utf-8")
    done = shell(f"{HOOK['entry']} --backend jax --select LW3 layers.py", tmp_path)
    assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.parametrize(("text", "status"), [(SOUND, 0), (BROKEN, 1)], ids=["sound", "broken"])
def test_the_workflow_runs(tmp_path, text, status):
    workflow = yaml.safe_load((ROOT / "examples" / "ci" / "layers.yml").read_text("utf-8"))
    job = workflow["jobs"]["check"]
    assert set(job["strategy"]["matrix"]["backend"]) == {"tensorflow", "jax", "torch"}
    install, check = (step["run"].replace("${{ matrix.backend }}", "torch") for step in job["steps"] if "run" in step)
    assert install == "pip install 'layerwright[torch]'"
    (tmp_path / "my_layers.py").write_text(text, "utf-8")
    done = shell(f"{check} --select LW3", tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("::error file=my_layers.py,line=4,title=LW301" in done.stdout) is (status == 1)
