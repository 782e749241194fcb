"""Python, the command line and pytest give the same findings for the same case."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SELECT = "LW101,LW102,LW104,LW301,LW302,LW304,LW401,LW501,LW701,LW901"

PYTHON = """
import agreeing_cases
import layerwright as lw
print(lw.check(list(agreeing_cases.{function}()), select={select!r}.split(","), sweep={sweep}).to_json())
"""

TEST = """
import agreeing_cases
import layerwright as lw

@lw.parametrize_with_checks(agreeing_cases.{function}(), select={select!r}.split(","), sweep={sweep})
def test_layer(case, check):
    check(case)
"""

CONFTEST = """
import json
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    under_test = item.funcargs["case"]
    if under_test.declared.unsupported:
        return
    case = under_test.checker.case
    for finding in under_test.reported.get(item.funcargs["check"].check.code, []):
        line = [str(case), case.status, finding.code, finding.outcome, finding.message, finding.fix]
        with open("findings.jsonl", "a") as file:
            file.write(json.dumps(line) + "\\n")
"""


def run(command, folder):
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def by_python(folder, **settings):
    done = run([sys.executable, "-W", "ignore", "-c", PYTHON.format(**settings)], folder)
    return reported(done)


def by_command(folder, function, select, sweep):
    target = f"{HERE / 'agreeing_cases.py'}:{function}"
    options = ["--backend", "torch", "--select", select, "--format", "json", *(["--sweep"] if sweep else [])]
    command = [sys.executable, "-c", "from layerwright.cli.main import main; main()", "check", target, *options]
    return reported(run(command, folder))


def reported(done):
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return Counter(
        (run["case"]["text"], run["case_status"], each["code"], each["outcome"], each["message"], each["fix"])
        for run in report["runs"]
        for each in run["findings"]
    )


def by_pytest(folder, **settings):
    (folder / "test_layers.py").write_text(TEST.format(**settings))
    (folder / "conftest.py").write_text(CONFTEST)
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"], folder)
    lines = (folder / "findings.jsonl").read_text().splitlines()
    assert lines, done.stdout
    return Counter(tuple(json.loads(line)) for line in lines)


@pytest.mark.parametrize(("function", "sweep"), [("cases", False), ("swept", True)])
def test_every_door_gives_the_same_findings(tmp_path, function, sweep):
    settings = {"function": function, "select": SELECT, "sweep": sweep}
    python = by_python(tmp_path, **settings)
    assert len({case for case, *_ in python}) >= (40 if function == "cases" else 10)
    assert {outcome for _, _, _, outcome, *_ in python} >= {"passed", "failed", "skipped", "xfailed"}
    if function == "cases":
        assert {status for _, status, *_ in python} == {"declared", "inferred", "undetermined"}
    command, tests = by_command(tmp_path, **settings), by_pytest(tmp_path, **settings)
    assert command - python == python - command == Counter()
    assert tests - python == python - tests == Counter()
