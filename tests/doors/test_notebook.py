"""What a notebook shows of a report, of a watched run and of an influence map."""

from html.parser import HTMLParser

import numpy as np
import pytest

from layerwright.core.finding import Outcome, failed, note, passed, with_identity
from layerwright.report import svg
from layerwright.report.grouping import MARKS
from layerwright.report.report import Report, Run
from layerwright.trial.influence import InfluenceMap
from layerwright.watch.history import History
from layerwright.watch.records import Alert, Kind, TensorRecord
from layerwright.watch.show.notebook import history_html

EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(1)">'
LEAK = failed(f"moved {EVIL}", EVIL, influence_map=[[1.0, 1e-6], ["nan", "inf"]])


class Markup(HTMLParser):
    """The elements of a piece of HTML; whatever is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        assert not any(name.startswith("on") for name, _ in attributes)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def report_of(*findings, case="Mixer() on (None, 5)", backend="jax"):
    stamped = tuple(with_identity(finding, code, slug, 0.1) for code, slug, finding in findings)
    return Report((Run(f"layers.py:{case}", case, backend, 0.5, stamped, id=case),), "3.15.1")


def is_harmless(text):
    tags = set(Markup(text).tags)
    assert not tags & {"script", "style", "img", "link", "iframe"}
    return tags


def test_a_report_says_how_it_stands():
    text = report_of(("LW301", "batch-independence", LEAK))._repr_html_()
    assert {"table", "details", "svg"} <= is_harmless(text)
    for said in (
        "✗ 1 of 1 case failed",
        "✗ 1 failed, 0 passed",
        "LW301 batch-independence",
        "<b>fix:</b>",
        "logarithmic",
        "∞",
    ):
        assert said in text
    sound = report_of(("LW301", "batch-independence", passed()))._repr_html_()
    assert "✓ no failures" in sound
    assert "details" not in is_harmless(sound)
    assert "no checks ran" in Report(())._repr_html_()


def test_a_large_report_stays_short():
    runs = tuple(report_of(("LW301", "a-b", LEAK), case=f"Mixer({number})").runs[0] for number in range(100))
    text = Report(runs)._repr_html_()
    assert "… and 60 more cases" in text
    assert "Mixer(99)" not in text


def test_what_names_and_messages_hold_is_inert():
    is_harmless(report_of(("LW301", "batch-independence", LEAK), case=EVIL)._repr_html_())
    is_harmless(InfluenceMap(EVIL, 0, np.eye(2))._repr_html_())
    history = History()
    history.write([TensorRecord(0, EVIL, Kind.WEIGHT, {EVIL: 1.0}), alert(EVIL)])
    is_harmless(history_html(history))


def alert(message):
    return Alert(2, "NonFinite", "dense", Kind.ACTIVATION, "nonfinite", 1.0, 0.0, message)


def test_a_watched_run_is_a_table_with_sparklines():
    history = History()
    assert "nothing was recorded yet" in history_html(history)
    for step in (0, 2, 4):
        history.write([TensorRecord(step, "dense", Kind.ACTIVATION, {"n": 8.0, "std": step / 2, "nonfinite": step})])
    history.write([alert("dense: not finite"), alert("dense: not finite")])
    text = history_html(history)
    assert {"table", "svg", "path"} <= is_harmless(text)
    for said in ("recorded at 3 steps, 0 to 4", "dense", "std", "at 2 steps", "! NonFinite", "not finite", "! 2"):
        assert said in text
    history.alerts.clear()
    assert "✓ no alerts" in history_html(history)


@pytest.mark.parametrize(
    ("values", "says"),
    [([1.0, None, 3.0], "from 1 to 3, least 1, most 3"), ([0.0, 5.0], "from 0 to 5"), ([None, float("nan")], "")],
)
def test_sparklines_say_what_they_show(values, says):
    drawn = svg.sparkline(values)
    assert says in drawn
    assert drawn.count("M") == (0 if not says else 2 if None in values else 1)


def test_a_small_leak_shows_and_a_blank_does_not():
    drawn = svg.influence_map([[1.0, 1e-9], [0.0, float("nan")]])
    assert drawn.count("<g>") == 2
    assert 'fill-opacity="0.20"' in drawn
    assert "output sample 0 moved by 1e-09 with input sample 1" in drawn
    for said in ("moved by 1e-09 to 1, logarithmic", "dots: not tried"):
        assert said in drawn
    assert "∞" not in drawn


def test_an_influence_map_says_what_it_holds():
    text = InfluenceMap("dense", 1, np.eye(3))._repr_html_()
    assert "<b>dense</b>, axis 1: each output moved only with its own input" in text
    assert "input slice along axis 1 replaced" in text


def test_every_outcome_has_a_sign():
    assert set(MARKS) == set(Outcome)


def test_advice_has_no_picture():
    advice = note("looks coupled", "read on", influence_map=[[1.0]])
    text = report_of(("LW301", "batch-independence", advice))._repr_html_()
    assert "looks coupled" in text
    assert "svg" not in is_harmless(text)
