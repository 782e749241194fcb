"""The same checks as pytest tests, in a real pytest run."""

import pytest

pytest_plugins = ("pytester",)

FILE = """
import keras
from keras import ops
import layerwright as lw

class Mixer(keras.layers.Layer):
    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0, keepdims=True)

@lw.case(inputs=(None, 5))
class Declared(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0

class Inferred(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0
"""


@pytest.fixture(autouse=True)
def on_torch(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")


def run(pytester, test, *arguments):
    pytester.makepyfile(my_layers=FILE, test_layers="import layerwright as lw\nfrom my_layers import *\n" + test)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA", *arguments)


def test_readable_ids_and_verdicts(pytester):
    result = run(
        pytester,
        """
@lw.parametrize_with_checks([Declared, Inferred, lw.Case(Mixer, inputs=(None, 5))], select=["LW301", "LW306"])
def test_layer(case, check):
    check(case)
""",
    )
    result.assert_outcomes(passed=2, failed=1, skipped=3)
    result.stdout.fnmatch_lines_random(
        [
            "PASSED test_layers.py::test_layer[[]Declared() on (None, 5)-LW301-batch-independence[]]",
            "PASSED test_layers.py::test_layer[[]Inferred()-LW301-batch-independence[]]",
            "FAILED test_layers.py::test_layer[[]Mixer() on (None, 5)-LW301-batch-independence[]]*",
            "*CheckFailed: LW301 batch-independence: replacing one sample changed*",
            "*fix: Keep axis 0 out*",
        ]
    )


def test_a_failure_is_its_own_check_s_even_where_another_needed_it_first(pytester):
    result = run(
        pytester,
        """
@lw.parametrize_with_checks([lw.Case(Mixer, inputs=(None, 5))], select=["LW206", "LW301"])
def test_layer(case, check):
    check(case)
""",
    )
    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(
        ["FAILED test_layers.py::test_layer[[]Mixer() on (None, 5)-LW301-batch-independence[]]*"]
    )


def test_constructor_arguments_that_a_case_leaves_out_are_worked_out(pytester):
    result = run(
        pytester,
        """
@lw.parametrize_with_checks([lw.Case(keras.layers.Dense, inputs=(None, 5))], select=["LW101"])
def test_layer(case, check):
    check(case)
""",
    )
    result.assert_outcomes(passed=1)


def test_expected_failures_are_xfailed_with_their_reason_and_strict(pytester):
    result = run(
        pytester,
        """
@lw.parametrize_with_checks([lw.Case(Mixer, inputs=(None, 5)), Declared], select=["LW301"], expect={"LW301": "by design"})
def test_layer(case, check):
    check(case)
""",
    )
    result.assert_outcomes(xfailed=1, failed=1)
    result.stdout.fnmatch_lines_random(["XFAIL *expected: by design*", "*expected to fail (by design), but passed*"])


def test_marker_selects_the_checks(pytester):
    result = run(
        pytester,
        """
def test_other():
    pass

@lw.parametrize_with_checks([Declared], select=["LW301"])
def test_layer(case, check):
    check(case)
""",
        "-m",
        "layerwright",
        "--strict-markers",
    )
    result.assert_outcomes(passed=1, deselected=1)


def test_unknown_code_stops_collection(pytester):
    result = run(
        pytester, "@lw.parametrize_with_checks([Declared], select=['LW999'])\ndef test_layer(case, check): pass\n"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no check's code starts with 'LW999'*"])
