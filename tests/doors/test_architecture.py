"""Which room may import which, and what importing the package costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "layerwright"

MAY_IMPORT = {
    "core": set(),
    "backends": {"core"},
    "report": {"core"},
    "trial": {"core", "backends", "report"},
    "cases": {"core", "backends", "trial"},
    "checks": {"core", "backends", "trial", "cases"},
    "layers": {"core", "backends"},
    "watch": {"core", "backends", "report"},
    "catalogue": {"core"},
    "runner": {"core", "backends", "report", "trial", "cases", "checks"},
    "pytest_plugin": {"core", "backends", "checks", "runner"},
    "cli": {"core", "backends", "report", "cases", "checks", "runner", "watch", "layers"},
}
"""For each room at the top of the package, the others that it may import."""

HEAVY = {"keras", "tensorflow", "jax", "torch"}
MOST_ROOMS = 14


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py")


def room(path):
    """The first part of a module's path under the package: a folder, or a file at the top."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """The rooms that a module imports: by `import`, at its top or in functions, or by a module's name in a text."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide the room"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not is_prose(node.value):
            names = re.findall(r"\blayerwright(?:\.\w+)+", node.value)
        elif isinstance(node, ast.JoinedStr):
            start = node.values[0].value if isinstance(node.values[0], ast.Constant) else ""
            names = [f"{start}…"] if re.fullmatch(r"layerwright\.\w*", str(start)) else []
        yield from (name.split(".")[1] for name in names if name.startswith("layerwright."))


def is_prose(text):
    """Whether a text only speaks of a module: a docstring, a sentence."""
    return " " in text.strip() and "import" not in text


def test_every_room_is_known():
    rooms = {room(path) for path in modules()}
    assert rooms == set(MAY_IMPORT)
    assert len(rooms) <= MOST_ROOMS


def test_the_rule_has_no_circle():
    left = dict(MAY_IMPORT)
    while left:
        free = [name for name, others in left.items() if not others & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path):
    allowed = MAY_IMPORT[room(path)] | {room(path), "__version__"}
    found = set(imported_rooms(path))
    if room(path) in ("layers", "checks"):
        found -= {"case", "Case", "InputSpec"}  # their code is written as users write theirs; all are of core
    assert found <= allowed, f"{path.relative_to(SOURCE)} may import only {sorted(allowed)}"


def test_dynamic_imports_are_seen(tmp_path):
    file = tmp_path / "hidden.py"
    file.write_text(
        "import importlib\nimportlib.import_module('layerwright.cli.main')\nCODE = 'import layerwright.runner.plan'\n"
    )
    assert set(imported_rooms(file)) == {"cli", "runner"}
    file.write_text("import importlib\nroom = 'cli'\nimportlib.import_module(f'layerwright.{room}.main')\n")
    assert set(imported_rooms(file)) == {"…"}


def test_no_circle_within_a_room():
    """Imports at the top of modules: those in functions are made when everything is loaded."""
    edges = {}
    for path in modules():
        name = ".".join(("layerwright", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        edges[name] = {
            found
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layerwright.")
            for found in [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        }
    left = {name: others & edges.keys() - {name} for name, others in edges.items()}
    while left:
        free = [name for name, others in left.items() if not others & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import layerwright",
        "import layerwright.core.case, layerwright.core.check, layerwright.core.finding, layerwright.report.report",
        "import layerwright.cli.main",
        "from layerwright.checks.discovery import all_checks; all_checks()",
        "import layerwright.runner.workers",
        "import layerwright.pytest_plugin",
    ],
)
def test_importing_loads_no_framework(statement):
    assert not loaded_after(statement) & HEAVY


def test_importing_loads_no_templates():
    assert "jinja2" not in loaded_after("import layerwright, layerwright.trial.influence")


def test_public_names():
    import layerwright

    names = {
        "Case",
        "Finding",
        "InputSpec",
        "Report",
        "Traits",
        "case",
        "check",
        "influence",
        "parametrize_with_checks",
    }
    assert names <= set(dir(layerwright))
    assert callable(layerwright.influence)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = layerwright.nonsense


def test_the_engine_knows_no_check_by_its_code():
    for name in ("runner", "cases", "core", "report"):
        for path in modules():
            if room(path) != name:
                continue
            constants = [
                node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)
            ]
            codes = [node.value for node in constants if re.fullmatch(r"LW\d{3,4}", str(node.value))]
            assert not codes, f"{path.relative_to(SOURCE)} names {codes}"
