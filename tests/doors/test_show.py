"""`layerwright show`: a run in the terminal, and as a page in a real browser."""

import json

import pytest
from browser import needs_browser, opened
from test_sinks import records_at
from typer.testing import CliRunner

from layerwright.cli.main import app
from layerwright.watch.records import TrainingRun
from layerwright.watch.show.html import render_run_html
from layerwright.watch.show.run import read_run
from layerwright.watch.show.terminal import sparkline
from layerwright.watch.sinks import sinks_for


@pytest.fixture
def folder(tmp_path):
    for sink in sinks_for(tmp_path / "run1"):
        sink.open(TrainingRun("digits", "jax", settings={"every": 5}))
        for step in (0, 5, 10, 15):
            sink.write(records_at(step))
        sink.close()
    return tmp_path / "run1"


def show(*arguments):
    return CliRunner().invoke(app, ["show", *map(str, arguments)], env={"COLUMNS": "160"})


def test_the_terminal_says_what_matters(folder):
    done = show(folder)
    assert done.exit_code == 0
    for said in (
        "run1  digits on jax, recorded at 4 steps, 0 to 15",
        "NonFinite",
        "not finite",
        "encoder/dense",
        "▁▃▆█ 7.5",
        "least confident first",
        "dog",
    ):
        assert said in done.output


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nothing", "is not a folder; name the folder that was passed to Watch"),
        (lambda path: path, "contains no recorded run; name the folder that was passed to Watch"),
    ],
)
def test_a_folder_without_a_run_is_one_line(tmp_path, make, message):
    done = show(make(tmp_path))
    assert isinstance(done.exception, Exception)
    assert message in str(done.exception)


def test_a_run_is_read_back_as_it_was_written(folder):
    run = read_run(folder)
    assert run.steps == [0, 5, 10, 15]
    (activation,) = (series for series in run.series if series.kind == "activation")
    assert activation.values["mean"] == [0.0, 2.5, 5.0, 7.5]
    assert activation.histograms[0] == (-1.0, 2.0, [1, 0, 4, 3])
    assert run.probe["encoder/dense"][10] == [1.0, 0.0]
    assert run.ids == ["cat", "dog"]
    assert [(sample.id, sample.correctness, sample.forgetting_events) for sample in run.samples] == [
        ("dog", 0.0, 0),
        ("cat", 1.0, 0),
    ]
    assert len(run.alerts) == 4


def test_sparklines():
    assert sparkline([0.0, None, 1.0]) == "▁·█"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([None]) == "·"
    assert len(sparkline(list(map(float, range(1000))))) <= 8


def test_the_page_needs_nothing_beside_it(folder):
    page = render_run_html(read_run(folder))
    assert "http" not in page.replace("http-equiv", "")
    data = page.partition('type="application/json">')[2].partition("</script>")[0]
    assert json.loads(data)["ids"] == ["cat", "dog"]


def test_a_name_cannot_break_out_of_the_page(tmp_path):
    from layerwright.watch.records import Kind, TensorRecord

    for sink in sinks_for(tmp_path):
        sink.open(TrainingRun("</script><script>alert(1)</script>", "jax"))
        sink.write([TensorRecord(0, "</script><b>", Kind.ACTIVATION, {"n": 1.0, "mean": 0.0})])
        sink.close()
    assert render_run_html(read_run(tmp_path)).count("</script>") == 2


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_in_a_browser(folder, tmp_path, dark):
    page = tmp_path / "run.html"
    assert show(folder, "--html", page).exit_code == 0
    with opened(page.as_uri(), dark=dark) as browser:
        text = browser.execute_script("return document.body.innerText")
        for said in (
            "digits on jax, recorded at 4 steps",
            "it is not finite",
            "Activations",
            "which samples still change",
            "cat",
        ):
            assert said in text
        assert len(browser.find_elements("css selector", "canvas")) == 4  # two kinds, a histogram, the probe set
        std = next(each for each in browser.find_elements("css selector", "button") if each.text == "std")
        std.click()
        assert std.get_attribute("aria-pressed") == "true"
        assert "standard deviation of the elements" in browser.execute_script("return document.body.innerText")
        canvas = browser.find_element("css selector", "canvas")
        from selenium.webdriver import ActionChains

        ActionChains(browser).move_to_element(canvas).perform()
        assert "encoder/dense, step" in browser.find_element("id", "tip").text
        before = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        browser.find_element("id", "theme").click()
        assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != before
        problems = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert problems == []
