"""Findings and reports: counting, quoting, JSON there and back."""

import json

import jsonschema
import numpy as np
import pytest

from layerwright.core.errors import CheckFailed, LayerError, quote
from layerwright.core.finding import Finding, Outcome, failed, jsonable, passed, with_identity
from layerwright.report.formats.json import schema
from layerwright.report.report import Report, Run


def report_of(*findings):
    stamped = tuple(with_identity(finding, "LW301", "batch-independence", 0.1) for finding in findings)
    return Report(
        (Run("layers.py:Mixer", "Mixer() on (None, 5)", "jax", 0.5, stamped, ("inferred input shape (None, 5)",)),),
        "3.15.1",
        "0.1.0",
    )


BAD = failed("rows moved", "keep axis 0 out", influence_map=np.array([[1.0, np.inf], [0.0, np.nan]]))


def test_ok_means_nothing_bad():
    assert report_of(passed()).ok
    assert report_of(Finding(Outcome.WARNED), Finding(Outcome.XFAILED), Finding(Outcome.BLOCKED)).ok
    for outcome in (Outcome.FAILED, Outcome.ERRORED, Outcome.XPASSED):
        assert not report_of(Finding(outcome)).ok


def test_raise_if_failed_quotes_message_and_fix():
    report_of(passed()).raise_if_failed()
    with pytest.raises(CheckFailed, match=r"LW301 batch-independence failed: rows moved\n    fix: keep axis 0 out"):
        report_of(BAD).raise_if_failed()


def test_json_there_and_back():
    report = report_of(BAD, passed("fine"))
    document = json.loads(report.to_json())
    jsonschema.validate(document, schema())
    again = Report.from_json(report.to_json())
    assert again.to_dict() == report.to_dict()
    assert document["runs"][0]["findings"][0]["evidence"]["influence_map"] == [[1.0, "inf"], [0.0, "nan"]]
    assert document["summary"]["failed"] == document["summary"]["passed"] == 1


def test_jsonable():
    assert jsonable({"a": (1, 2.5), 3: {None}, "f": np.float32(1.5), "o": object}) == {
        "a": [1, 2.5],
        "3": [None],
        "f": 1.5,
        "o": "<class 'object'>",
    }


def test_quote_keeps_what_went_wrong():
    wrapped = ValueError(
        "Exception encountered when calling Mean.call().\n\n\x1b[1mIncompatible shapes: (4, 5)\x1b[0m\n\n"
        "Arguments received by Mean.call():\n  • inputs=…"
    )
    assert quote(wrapped) == "ValueError: Incompatible shapes: (4, 5)"
    assert quote(KeyError()) == "KeyError"
    assert len(quote(ValueError("x" * 1000))) < 320
    assert str(LayerError("constructing it", TypeError("no"))) == "constructing it raised TypeError: no"
