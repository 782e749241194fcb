"""Which part may import which, and what importing the package costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "layerwright"

MAY_IMPORT = {
    "core": {"core"},
    "backends": {"core", "backends"},
    "trial": {"core", "backends"},
    "stateless": {"core", "trial"},
    "slices": {"trial"},
    "influence_map": {"core", "slices", "trial"},
    "alternatives": set(),
    "arguments": {"core"},
    "sweep": {"core", "alternatives", "trial"},
    "conventions": set(),
    "inference": {"core", "trial", "conventions"},
    "checks": {"core", "backends", "trial", "stateless", "slices", "alternatives", "checks"},
    "layers": {"core", "backends", "layers"},
    "catalogue": {"core", "catalogue"},
    "report": {"core", "report"},
    "watch": {"core", "backends", "watch"},
    "sinks": {"core", "sinks"},
    "checker": {"core", "backends", "trial", "inference", "sweep"},
    "targets": {"core"},
    "zygote": {"core", "backends", "checker", "inference", "sweep", "targets"},
    "environment": set(),
    "children": {"core", "environment", "zygote"},
    "audit": {"core", "targets", "workers"},
    "workers": {"core", "children", "targets", "zygote"},
    "pytest_plugin": {"core", "checker", "inference"},
}
FREE = {"__init__", "__main__", "cli", "demo"}
HEAVY = {"keras", "tensorflow", "jax", "torch"}


def modules():
    return sorted(SOURCE.rglob("*.py"))


def room(path):
    """The first part of a module's path under the package: a folder, or a file at the top."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("layerwright."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path):
    if room(path) in FREE:
        return
    allowed = MAY_IMPORT[room(path)] | {"__version__"}
    assert set(imported_rooms(path)) <= allowed, f"{path.name} may import only {sorted(allowed)}"


@pytest.mark.parametrize("room_name", ["checks", "layers", "catalogue", "watch", "sinks", "report"])
def test_rooms_never_import_one_another(room_name):
    others = {"checks", "layers", "catalogue", "watch", "sinks", "report"} - {room_name}
    for path in modules():
        if room(path) == room_name:
            assert not set(imported_rooms(path)) & others


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import layerwright",
        "import layerwright.core.case, layerwright.core.check, layerwright.checks.discovery, layerwright.core.finding",
        "import layerwright.cli",
        "from layerwright.checks.discovery import all_checks; all_checks()",
        "import layerwright.runner.workers",
        "import layerwright.pytest_plugin",
    ],
)
def test_importing_loads_no_framework(statement):
    assert not loaded_after(statement) & HEAVY


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


def test_files_stay_small():
    long = {path.name: lines for path in modules() if (lines := len(path.read_text("utf-8").splitlines())) > 400}
    assert not long
