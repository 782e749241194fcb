"""Which files and layers a target stands for."""

import pytest

from layerwright.cases.search import find_targets
from layerwright.cases.targets import parse_target
from layerwright.core.errors import UsageError

LAYER = "class Thing:\n    pass\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("one", "two", "test_three", "inner/four", "tests/five", ".hidden/six", "env/seven", "inner/conftest"):
        path = tmp_path / "pack" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LAYER)
    (tmp_path / "pack" / "env" / "pyvenv.cfg").touch()
    (tmp_path / "pack" / "inner" / "functions.py").write_text("def f(): pass\n")
    (tmp_path / "pack" / "inner" / "broken.py").write_text("def (:\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("pack", ["pack/inner/broken.py", "pack/inner/four.py", "pack/one.py", "pack/two.py"]),
        ("pack/t*.py", ["pack/two.py"]),
        ("pack/**/*.py", ["pack/inner/broken.py", "pack/inner/four.py", "pack/one.py", "pack/two.py"]),
        ("pack/one.py", ["pack/one.py"]),
    ],
)
def test_a_folder_or_pattern_stands_for_its_files(tree, text, files):
    found = find_targets([text])
    assert [target.module for target in found if "five" not in target.module and "seven" not in target.module] == files


def test_each_target_counts_once(tree):
    assert len(find_targets(["pack", "pack/*.py", "pack"])) == 4


@pytest.mark.parametrize(
    ("text", "layer"), [("pack/one.py:A", "A"), ("pack/one.py::A", "A"), ("pack/one.py:A*", "A*"), ("pack/one.py", "")]
)
def test_a_layer_is_named_after_a_colon(tree, text, layer):
    target = parse_target(text)
    assert (target.module, target.layer, target.is_file) == ("pack/one.py", layer, True)
    assert parse_target("package.module:A").module == "package.module"


@pytest.mark.parametrize("text", ["nothing/*.py", "pack/tests", "pack/inner/fun*.py"])
def test_what_has_no_class_is_refused(tree, text):
    with pytest.raises(UsageError, match="contains no Python file with a class"):
        find_targets([text])
