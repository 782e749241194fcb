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
from layerwright.runner.case_checker import CaseChecker
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


def test_prerequisite_that_passes_is_not_shown():
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


def test_memory_is_counted_where_a_method_refers_to_an_unbound_name():
    def class_around_an_empty_cell():
        helper = None

        class Layer(keras.layers.Layer):
            def call(self, inputs, fancy=False):
                return helper(inputs) if fancy else inputs  # noqa: F821 - unbound on purpose

        del helper
        return Layer

    assert outcomes(Case(class_around_an_empty_cell(), inputs=(None, 5)), ["LW1004"])["LW1004"] is Outcome.PASSED


def test_outcomes_are_kept_between_calls():
    checker = CaseChecker(Case(keras.layers.Identity, inputs=(None, 5)))
    list(checker.run([check_by_code("LW301")]))
    assert checker.outcomes["LW102"] is Outcome.PASSED
    assert list(checker.run([check_by_code("LW102")])) == []
    checker.release()
    assert [each.outcome for each in checker.run([check_by_code("LW101"), check_by_code("LW305")])] == []


def test_declared_cases_are_used():
    @lw.case(inputs=(None, 5), batch="coupled", name="declared")
    class Declared(BatchMean):
        pass

    report = lw.check(Declared, select=["LW301"])
    assert [run.case for run in report.runs] == ["declared"]
    assert report.findings[0].outcome is Outcome.SKIPPED


def test_constructor_arguments_are_inferred_where_inputs_alone_are_given():
    report = lw.check(keras.layers.Dense, inputs=(None, 5), select="LW101")
    assert report.ok
    assert "inferred constructor argument units" in report.runs[0].notes[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lw.check(BatchMean, select=["LW999"]), "no check's code starts with 'LW999'"),
        (lambda: lw.check(BatchMean, expect={"nonsense": "x"}), "no check has the code or slug 'nonsense'"),
        (lambda: lw.check(BatchMean, inputs=(None, 5), batches="coupled"), "unknown trait batches"),
        (
            lambda: lw.check(Case(BatchMean, inputs=(None, 5), expect={"LW31": "x"})),
            r"'LW31' \(did you mean LW301\?\)",
        ),
        (lambda: lw.check(3), "takes a layer class, a Case or a model"),
        (lambda: lw.check(keras.layers.Dense(4)), "pass its class"),
        (lambda: lw.check(BatchMean, inputs="abc"), "inputs must be a shape"),
        (lambda: Traits(batch="sometimes"), "batch must be one of"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


class Refusing(keras.layers.Layer):
    """Refuses two flags together.

    Args:
        centre: Whether to centre.
        scale: Whether to scale.
    """

    def __init__(self, centre=True, scale=True, **kwargs):
        super().__init__(**kwargs)
        if not centre and not scale:
            raise ValueError("centre and scale cannot both be off")
        self.centre, self.scale = centre, scale

    def call(self, inputs):
        centred = inputs - ops.mean(inputs, axis=-1, keepdims=True) if self.centre else inputs
        return centred * 2.0 if self.scale else centred


def test_a_combination_that_the_layer_refuses_is_skipped():
    report = lw.check(Refusing, inputs=(None, 5), select=["LW1"], sweep=True)
    assert report.ok, str(report)
    assert len({run.id for run in report.runs}) == len(report.runs) > 3
    (refused,) = [
        run
        for run in report.runs
        if "'centre': False, 'scale': False" in run.case or "centre=False, scale=False" in run.case
    ]
    assert {finding.outcome for finding in refused.findings} == {Outcome.SKIPPED}
    assert "cannot both be off" in refused.findings[0].message


def test_declared_values_are_claims_but_their_combinations_are_not():
    case = Case(Refusing, inputs=(None, 5), variants={"centre": [False], "scale": [False]})
    assert lw.check(case, select=["LW1"]).ok
    refused = Case(Refusing, init={"centre": False}, inputs=(None, 5), variants={"scale": [False]})
    assert not lw.check(refused, select=["LW1"]).ok


def test_a_backend_that_the_case_does_not_support_is_left_out():
    here = keras.config.backend()
    assert lw.check(Case(Broken, inputs=(None, 5), unsupported={here: "no kernel"}), select=["LW1"]).runs == ()
