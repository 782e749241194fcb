"""Layers after public reports and files, with no configuration: what must be said of each, and what must not."""

import keras
import pytest

import layerwright as lw
from layerwright.cases.listed import find_cases
from layerwright.cases.targets import Overrides, parse_target
from layerwright.core.finding import BAD_OUTCOMES, Outcome

FOLDER = "tests/strangers"

CLEAN = [
    "abstract.py:Good",
    "disjoint_graphs.py:DisjointAttentionPool",
    "even_channels.py:SplitChannels",
    "graph_attention.py:GraphAttention",
    "graph_attention.py:MultiHeadGraphAttention",
    "inputs_of_many_kinds.py:OneFeature",
    "inputs_of_many_kinds.py:FixedLength",
    "inputs_of_many_kinds.py:TwoRanks",
    "inputs_of_many_kinds.py:TwoRanksDict",
    "moved_centres.py:CenterDistance",
    "two_flags.py:TwoFlags",
]

FOUND = {
    "cells.py:StickyCell": {"LW901", "LW804"},
    "cells.py:TwoStateCell": {"LW210"},
    "claims_masking.py:ClaimsMasking": {"LW401"},
    "drop_path.py:SwinBlock": {"LW209"},
    "drop_path.py:SwinDropPath": {"LW209"},
    "inverted_mask.py:InvertedPool": {"LW411"},
    "metric_in_call.py:MeanProbe": {"LW901"},
    "minus_infinity.py:MaskedAttention": {"LW505"},
    "no_grad.py:Scale": {"LW110"},
    "padding_mask.py:Encoder": {"LW403"},
    "partly_used.py:PartlyUsed": {"LW111"},
    "stale_bias.py:RelativeAttention": {"LW501", "LW805"},
    "training_only.py:TrainOnlyDtype": {"LW209"},
    "training_only.py:TrainOnlyShape": {"LW209"},
}

ACCUSED_OF_TOO_MUCH = {"cells.py:TwoStateCell": {"LW205", "LW301"}, "empty_cell.py:L": set()}


def report_on(target):
    (case,) = find_cases(parse_target(f"{FOLDER}/{target}"), Overrides())
    return lw.check(case)


def accused(report):
    return {one.code: one.message for one in report.findings if one.outcome in BAD_OUTCOMES | {Outcome.WARNED}}


@pytest.mark.parametrize("target", CLEAN)
def test_sound_layers_are_clean(target):
    report = report_on(target)
    assert accused(report) == {}
    assert report.undetermined == 0


@pytest.mark.parametrize("target", FOUND)
def test_defects_are_found_by_a_check_that_fits(target):
    if target == "no_grad.py:Scale" and keras.backend.backend() != "torch":
        pytest.skip("switches torch's autograd off, which other backends do not notice")
    codes = set(accused(report_on(target)))
    assert codes & FOUND[target], codes
    assert not codes & ACCUSED_OF_TOO_MUCH.get(target, set())


def test_no_check_breaks_on_an_odd_layer():
    report = report_on("empty_cell.py:L")
    assert not [one for one in report.findings if one.outcome is Outcome.ERRORED]


def test_an_abstract_layer_is_skipped_with_a_note():
    report = report_on("abstract.py:Base")
    assert {one.outcome for one in report.findings if one.code != "LW1001"} <= {Outcome.SKIPPED, Outcome.INCONCLUSIVE}
    assert any("abstract" in note for note in report.runs[0].notes)
