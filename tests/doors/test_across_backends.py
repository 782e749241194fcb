"""Checks that compare backends: each fails its `bad()` layer and no other check does; all pass its `good()` layer."""

from dataclasses import replace

import numpy as np
import pytest

from layerwright.backends import installed
from layerwright.cases.targets import parse_target
from layerwright.checks.discovery import all_checks, check_by_code
from layerwright.checks.parity._observation import Observation
from layerwright.core.check import Check
from layerwright.core.finding import BAD_OUTCOMES, Outcome
from layerwright.runner.across_backends import compare_backends
from layerwright.runner.workers import Options, check_targets

ACROSS = [check for check in all_checks() if check.across_backends]


def report_on(name, check, backends, checks=None):
    """Check the case that `bad` or `good` of a check returns, each backend in its own process."""
    target = parse_target(f"{check.function.__module__}:{name}")
    return check_targets([target], Options(checks or all_checks(), backends)).report


def test_there_are_such_checks():
    assert {"LW709", "LW1001"} <= {check.code for check in ACROSS}
    assert len(installed()) == 3, "install tensorflow, jax and torch: these tests compare them"


@pytest.mark.parametrize("check", ACROSS, ids=lambda check: check.code)
def test_bad_fails_exactly_this_check(check):
    report = report_on("bad", check, installed())
    assert {finding.code for finding in report.findings if finding.outcome in BAD_OUTCOMES | {Outcome.WARNED}} == {
        check.code
    }
    failures = [finding for finding in report.findings if finding.outcome is Outcome.FAILED]
    assert all(finding.message and finding.fix for finding in failures)


@pytest.mark.parametrize("check", ACROSS, ids=lambda check: check.code)
def test_good_fails_no_check(check):
    report = report_on("good", check, installed())
    assert report.ok
    assert [each.outcome for each in report.findings if each.code == check.code] == [Outcome.PASSED] * 3


def test_one_backend_alone_is_inconclusive():
    check = check_by_code("LW1001")
    (finding,) = report_on("bad", check, ("torch",), [check]).findings
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "--backend all" in finding.message


def test_what_is_required_blocks_the_comparison(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(
        "import keras\n\n\n"
        "class Uncallable(keras.layers.Layer):\n"
        "    def call(self, inputs):\n"
        "        return self.never\n"
    )
    check = check_by_code("LW1001")
    report = check_targets([parse_target(str(file))], Options([check], ("jax", "torch"))).report
    outcomes = {(run.backend, finding.code): finding.outcome for run in report.runs for finding in run.findings}
    for backend in ("jax", "torch"):
        assert outcomes[backend, "LW102"] is Outcome.FAILED
        assert outcomes[backend, "LW1001"] is Outcome.BLOCKED


def test_an_expected_difference_is_expected(tmp_path):
    file = tmp_path / "cases.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from layerwright.checks.parity.backend_parity import bad\n\n\n"
        "def cases():\n"
        "    return replace(bad(), expect={'LW1001': 'known'})\n"
    )
    check = check_by_code("LW1001")
    report = check_targets([parse_target(f"{file}:cases")], Options([check], installed())).report
    outcomes = {run.backend: finding.outcome for run in report.runs for finding in run.findings}
    assert outcomes == {"tensorflow": Outcome.PASSED, "jax": Outcome.PASSED, "torch": Outcome.XFAILED}


def test_random_outputs_are_not_compared(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(
        "import keras\n\n\n"
        "class Noisy(keras.layers.Layer):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        self.drop = keras.layers.Dropout(0.5)\n\n"
        "    def call(self, inputs, training=None):\n"
        "        return self.drop(inputs, training=training)\n"
    )
    targets = [parse_target(str(file)), parse_target("keras.layers:GaussianNoise")]
    options = Options([check_by_code("LW1001")], ("jax", "torch"))
    findings = check_targets(targets, options).report.findings
    assert [finding.outcome for finding in findings] == [Outcome.PASSED] * 4


def test_a_comparison_that_breaks_costs_its_own_finding():
    def broken(first, second):
        raise ZeroDivisionError("oops")

    check = Check("LW999", "broken", broken, across_backends=True)
    findings = compare_backends(check, {"jax": 1, "torch": 2}, {})
    assert findings["torch"].outcome is Outcome.ERRORED
    assert "ZeroDivisionError: oops" in findings["torch"].message


def test_outputs_that_are_random_on_one_backend_only_are_not_compared():
    arrays = (np.ones((4, 5), "float32"),)
    steady = Observation(arrays, (), arrays, arrays, (("inputs", arrays[0]),), (1.0,))
    random = replace(steady, training=None, gradients=None, losses=())
    compare = check_by_code("LW1001").compare
    assert compare(steady, random).outcome is compare(random, steady).outcome is Outcome.PASSED
