"""One generator under every door: prerequisites, exemptions, expectations, errors."""

import keras
import pytest
from keras import ops

import layerwright as lw
from layerwright.checks.discovery import check_by_code, select_checks
from layerwright.core.case import Case, Traits
from layerwright.core.check import Check
from layerwright.core.errors import CheckFailed, UsageError
from layerwright.core.finding import Outcome
from layerwright.runner.in_process import run_checks


class BatchMean(keras.layers.Layer):
    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0, keepdims=True)


class Broken(keras.layers.Layer):
    def call(self, inputs):
        raise RuntimeError("not today")


def outcomes(case, codes):
    return {each.code: each.outcome for each in run_checks(case, select_checks(codes))}


def test_failure():
    report = lw.check(BatchMean, inputs=(None, 5), select=["LW301"])
    assert not report.ok
    assert report.findings[0].outcome is Outcome.FAILED
    with pytest.raises(CheckFailed, match="LW301 batch-independence failed"):
        report.raise_if_failed()


def test_declared_trait_exempts():
    assert outcomes(Case(BatchMean, inputs=(None, 5), traits={"batch": "coupled"}), ["LW301"]) == {
        "LW301": Outcome.SKIPPED
    }


def test_expected_failure_carries_its_reason():
    report = lw.check(BatchMean, inputs=(None, 5), select=["LW301"], expect={"LW301": "by design"})
    assert report.ok
    assert report.findings[0].outcome is Outcome.XFAILED
    assert "by design" in report.findings[0].message


def test_stale_expectation_is_reported():
    report = lw.check(keras.layers.Identity, inputs=(None, 5), select=["LW301"], expect={"LW301": "by design"})
    assert not report.ok
    assert report.findings[0].outcome is Outcome.XPASSED


def test_prerequisite_blocks_and_is_shown():
    said = outcomes(Case(Broken, inputs=(None, 5)), ["LW301"])
    assert said["LW102"] is Outcome.FAILED
    assert said["LW301"] is Outcome.BLOCKED


def test_prerequisite_that_holds_is_not_shown():
    assert set(outcomes(Case(keras.layers.Identity, inputs=(None, 5)), ["LW301"])) == {"LW301"}


def test_a_check_that_breaks_is_errored_not_failed():
    def broken(trial):
        raise ZeroDivisionError("oops")

    check = Check("LW999", "broken", broken)
    (finding,) = run_checks(Case(keras.layers.Identity, inputs=(None, 5)), [check])
    assert finding.outcome is Outcome.ERRORED
    assert "ZeroDivisionError: oops" in finding.message


def test_sys_exit_is_errored():
    class Exits(keras.layers.Layer):
        def call(self, inputs):
            raise SystemExit(3)

    assert outcomes(Case(Exits, inputs=(None, 5)), ["LW102"])["LW102"] is Outcome.ERRORED


def test_outcomes_are_kept_between_calls():
    case, kept = Case(keras.layers.Identity, inputs=(None, 5)), {}
    list(run_checks(case, [check_by_code("LW301")], outcomes=kept))
    assert kept["LW102"] is Outcome.PASSED
    assert list(run_checks(case, [check_by_code("LW102")], outcomes=kept)) == []


def test_declared_cases_are_used():
    @lw.case(inputs=(None, 5), batch="coupled", name="declared")
    class Declared(BatchMean):
        pass

    report = lw.check(Declared, select=["LW301"])
    assert [run.case for run in report.runs] == ["declared"]
    assert report.findings[0].outcome is Outcome.SKIPPED


def test_constructor_arguments_are_worked_out_where_inputs_alone_are_given():
    report = lw.check(keras.layers.Dense, inputs=(None, 5), select="LW101")
    assert report.ok
    assert "chose units by convention" in report.runs[0].notes[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lw.check(BatchMean, select=["LW999"]), "no check's code starts with 'LW999'"),
        (lambda: lw.check(BatchMean, expect={"nonsense": "x"}), "no check has the code or slug 'nonsense'"),
        (lambda: lw.check(BatchMean, inputs=(None, 5), batches="coupled"), "unknown trait batches"),
        (lambda: lw.check(3), "takes a layer class or a Case"),
        (lambda: lw.check(keras.layers.Dense(4)), "pass the class, not an instance"),
        (lambda: lw.check(BatchMean, inputs="abc"), "inputs must be a shape"),
        (lambda: Traits(batch="sometimes"), "batch must be one of"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
