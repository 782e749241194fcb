"""The report as a page: what it holds, that nothing in it can break out, and how it behaves in a real browser."""

import json
import math
import re
import subprocess
import sys
from importlib.resources import files
from urllib.parse import quote

import numpy as np
import pytest
from browser import needs_browser, opened
from typer.testing import CliRunner

from layerwright.checks.discovery import all_checks, check_by_code
from layerwright.cli.commands.audit import _write
from layerwright.cli.main import app
from layerwright.core.defect import Defect
from layerwright.core.finding import Finding, Outcome, failed, inconclusive, note, passed, skipped, with_identity
from layerwright.report.formats import RenderOptions, html
from layerwright.report.report import Report, Run

EVIL = "</script><script>window.hurt = 1</script><!--<script><img src=x onerror='window.hurt = 1'>"
TIME_MAP = np.tril(np.ones((20, 20)))
TIME_MAP[3, 4], TIME_MAP[:, 9], TIME_MAP[5, 5] = 1e-7, math.nan, math.inf
LEAK = ("LW301", failed("moved by 0.3", "keep axis 0 out", influence_map=[[1.0, 2e-6], [0.0, 0.6]]))
LEAK_TOO = ("LW301", failed("moved by 0.4", "keep axis 0 out", influence_map=[[1.0, 3e-6], [0.0, 0.6]]))
FUTURE = ("LW306", failed("saw the future", "pad", influence_map=TIME_MAP, influence_axis="time"))
SLOPES = [
    {"name": "kernel", "slope": 1.0, "gradient": 1.0, "allowed": 0.01},
    {"name": "inputs", "slope": 2.0, "gradient": -0.5, "allowed": 0.01},
]
GRADIENT = ("LW502", failed("is wrong", "correct it", wrong=["inputs"], slopes=SLOPES))
ERRORS = [{"name": "float16, ordinary inputs", "error": math.inf, "allowed": 0.1, "rounding": 0.01, "scale": 2.0}]
PRECISION = ("LW505", failed("is infinite", "accumulate in float32", errors=ERRORS))
PARITY = ("LW1001", passed("agrees", differences=[{"name": "output 0", "difference": 1e-7, "allowed": 1e-4}]))
HOLDS = ("LW302", passed(influence_map=[[1.0, 0.0], [0.0, 1.0]]))
OTHERS = [("LW304", skipped("no order")), ("LW901", inconclusive("not now")), ("LW706", note("loads", "register it"))]
TABLES = ("LW103", passed(late=["a", "b"], ranks={"kernel": 3}, config={"deep": {"er": [1]}}, draws=2))


def run(backend, *findings, layer="Mixer", case="", notes=("inferred input shape (None, 5)",), case_id=""):
    stamped = tuple(with_identity(each, code, check_by_code(code).slug, 0.1) for code, each in findings)
    return Run(
        f"layers.py:{layer}", case or f"{layer}() on (None, 5)", backend, 0.5, stamped, notes, id=case_id or layer
    )


def report():
    mixer = [run("jax", LEAK, HOLDS, *OTHERS, TABLES), run("torch", LEAK_TOO, HOLDS, *OTHERS, TABLES)]
    causal = [run("jax", FUTURE, GRADIENT, layer="Conv"), run("torch", PRECISION, PARITY, layer="Conv")]
    return Report((*mixer, *causal, run("jax", HOLDS, layer="Sound")), "3.15.1", "0.1.0")


def options(title="Layerwright report", defects=()):
    return RenderOptions(title, checks=all_checks(), defects=defects)


def render(shown, **told):
    return html.render(shown, options(**told))


def page_data(shown, **told):
    return html.page_data(shown, options(**told))


def data_of(page):
    return json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])


def test_each_text_is_said_once():
    page = render(report())
    data = data_of(page)
    assert data["backends"] == ["jax", "torch"]
    assert [case["slug"] for case in data["cases"]] == ["mixer-on-none-5", "conv-on-none-5", "sound-on-none-5"]
    (check,) = (each for each in data["checks"] if each["code"] == "LW301")
    assert check["slug"] == "batch-independence"
    assert check["why"].startswith("A layer that mixes samples trains")
    assert check["family"] == "axes"
    for once in (check["why"], "keep axis 0 out", '"late":["a","b"]'):
        assert page.count(once) == 1
    assert len({json.dumps(each) for each in data["evidence"]}) == len(data["evidence"])


def test_numbers_are_kept_to_six_digits_and_what_is_not_finite_is_told():
    data = data_of(render(Report((run("jax", FUTURE, ("LW304", passed(difference=1 / 3))),))))
    rows = data["evidence"][0]["influence_map"]
    assert (rows[3][4], rows[0][9], rows[5][5]) == (1e-7, "nan", "inf")
    assert {"difference": 0.333333} in data["evidence"]


def test_too_many_numbers_are_left_to_the_json_report():
    data = data_of(render(Report((run("jax", ("LW304", passed(values=list(range(30_000)), kept=1))),))))
    assert data["evidence"] == [{"kept": 1}]


def test_cases_of_the_same_name_are_told_apart():
    twice = Report(
        (
            run("jax", HOLDS),
            run("jax", HOLDS, case_id="second"),
            run("jax", HOLDS, layer="Other", case="Mixer() on (None, 5)"),
        )
    )
    slugs = [case["slug"] for case in page_data(twice)["cases"]]
    assert slugs == ["mixer-on-none-5", "mixer-on-none-5.2", "other-mixer-on-none-5"]
    assert page_data(Report((run("jax", HOLDS, case="§" * 200),)))["cases"][0]["slug"] == "mixer"


def test_known_defects_are_told_with_their_findings():
    defect = Defect.parse("# Rows mix\n- LW301 Mixer on jax\n\nThey do.\n\n```python\nprint(1)\n```\n")
    data = page_data(report(), defects=[defect])
    explained = [row[-1] for case in data["cases"] for each in case["runs"].values() for row in each["findings"]]
    assert explained.count(0) == 1
    assert data["defects"][0]["title"] == "Rows mix"


def test_nothing_in_a_report_can_end_the_script_it_lies_in():
    page = render(Report((run("jax", ("LW301", failed(EVIL, EVIL)), layer=EVIL),)), title=EVIL)
    assert page.count("</script>") == 2
    assert EVIL not in page
    assert data_of(page)["texts"][0] == EVIL


def test_the_page_needs_no_network_and_a_title_is_no_place_to_put_something():
    page = render(report(), title="{{ data }} {% include 'page.css' %}")
    assert "<h1>{{ data }} {% include &#39;page.css&#39; %}</h1>" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").partition('type="application/json"')[0]


def test_a_check_that_is_not_known_here_is_shown_all_the_same():
    data = page_data(Report((Run("a:B", "B()", "jax", 0.0, (Finding(Outcome.FAILED, code="LW9999"),)),)))
    assert data["checks"][0]["code"] == "LW9999"


def test_from_the_command_line(layerwright, layers_file, tmp_path):
    name = layers_file("class Mixer(keras.layers.Layer):\n    def call(self, x):\n        return x - ops.mean(x)\n")
    arguments = ("check", name, "--backend", "torch", "--select", "LW301", "--format", "html")
    done = layerwright(*arguments, "--output", "page.html")
    assert (done.returncode, done.stdout) == (1, "")
    page = tmp_path.joinpath("page.html").read_text("utf-8")
    assert "<title>Layerwright check of my_layers.py</title>" in page
    assert data_of(page)["cases"][0]["layer"] == "Mixer"
    assert CliRunner().invoke(app, [*arguments, "--output", "nowhere/page.html"]).exit_code


def test_an_audit_writes_the_page_beside_its_report(tmp_path):
    from layerwright.runner.audit import Audit

    assert _write(Audit("keras", report(), ()), tmp_path) == tmp_path / "report.md"
    assert "Layerwright audit of keras" in tmp_path.joinpath("report.html").read_text("utf-8")


def test_the_page_knows_every_outcome():
    script = files("layerwright.report").joinpath("templates", "filters.js").read_text("utf-8")
    kinds, worst_first = (re.search(rf"const {name} = [{{[](.*?)[}}\]];", script)[1] for name in ("KINDS", "WORST"))
    outcomes = {outcome.value for outcome in Outcome}
    assert set(re.findall(r"(\w+):", kinds)) == outcomes
    assert set(re.findall(r'"(\w+)"', worst_first)) == outcomes


def test_templates_are_loaded_only_when_html_is_made():
    code = "import sys, layerwright, layerwright.trial.influence, layerwright.report.formats.html; "
    code += "assert 'jinja2' not in sys.modules; layerwright.Report(())._repr_html_(); assert 'jinja2' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render(report(), title="Layerwright check of layers.py"), "utf-8")
    return path.as_uri()


def text_of(browser):
    return browser.execute_script("return document.body.innerText")


def cases_of(browser):
    shown = browser.find_elements("css selector", "details.case:not([hidden]) .name b")
    return [each.text for each in shown]


def press(browser, text):
    button = next(each for each in browser.find_elements("css selector", "button") if each.text.startswith(text))
    button.click()
    return button


def is_clean(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_in_a_browser(page, dark, tmp_path):
    with opened(page, dark=dark) as browser:
        for said in ("2 of 3 cases failed", "✗ 1 failed", "✓ 1 passed", "not checked", "3 of 3 cases"):
            assert said in text_of(browser)
        assert cases_of(browser) == ["Mixer", "Conv", "Sound"]
        assert browser.find_elements("css selector", "article, svg") == []  # nothing is drawn before it is wanted
        press(browser, "Open all")
        assert len(browser.find_elements("css selector", "svg.map")) == 2
        text = text_of(browser)
        for said in (
            "moved by 0.3",
            "moved by 0.4",
            "A layer that mixes samples trains",
            "keep axis 0 out",
            "Here 1 cell off the diagonal moved; the largest is output sample 0 with input sample 1",
            "(logarithmic)",
            "not tried",
            "∞: became NaN",
            "slope 2, gradient -0.5",
            "✗ NaN or infinite, allowed 0.1",
            "i note",
        ):
            assert said in text
        cell = browser.find_element("css selector", "svg.map .moved[style*='--share: 0']")
        assert "moved by 2.00e-6 when input sample 1 was replaced" in cell.get_attribute("textContent")
        background = "return getComputedStyle(document.body).backgroundColor"
        before = browser.execute_script(background)
        browser.find_element("id", "theme").click()
        assert browser.execute_script(background) != before
        assert browser.save_screenshot(str(tmp_path / "page.png"))
        assert is_clean(browser)


@needs_browser
def test_filters_are_in_the_address(page):
    with opened(page) as browser:
        assert press(browser, "✗ failed").get_attribute("aria-pressed") == "true"
        assert cases_of(browser) == ["Mixer", "Conv"]
        press(browser, "LW5 numerics")
        assert cases_of(browser) == ["Conv"]
        assert browser.current_url.endswith("#outcome=failed&family=LW5")
        press(browser, "torch")
        press(browser, "Open all")
        assert [each.text for each in browser.find_elements("css selector", "h3")] == ["LW505 low-precision-tracks"]
        address = browser.current_url
        press(browser, "Clear filters")
        assert len(cases_of(browser)) == 3
        browser.find_element("id", "text").send_keys("SEES another")
        assert cases_of(browser) == []
        assert "0 of 3 cases, 0 findings shown" in text_of(browser)
        browser.get(address)
        assert cases_of(browser) == ["Conv"]
        assert "1 of 3 cases, 1 finding shown" in text_of(browser)
        browser.get(page + "#text=" + quote("Sound() on"))
        assert cases_of(browser) == ["Sound"]
        assert browser.find_element("id", "text").get_attribute("value") == "sound() on"
        browser.get(page + "#outcome=%E0%A4%A&family=&nonsense=1&x")
        assert is_clean(browser)


@needs_browser
def test_a_link_opens_its_finding_whatever_is_filtered(page):
    with opened(page + "#LW302-torch-mixer-on-none-5&outcome=failed") as browser:
        linked = browser.switch_to.active_element
        assert linked.get_attribute("id") == "LW302-torch-mixer-on-none-5"
        assert linked.is_displayed()
        assert linked.find_elements("css selector", "svg.map")
        assert "LW304" not in text_of(browser)
        press(browser, "LW5 numerics")
        assert browser.find_element("id", "LW302-torch-mixer-on-none-5").is_displayed()
        assert "#LW302-torch-mixer-on-none-5&outcome=failed&family=LW5" in browser.current_url
        browser.find_element("link text", "torch").click()
        assert browser.current_url.endswith("#LW302-torch-mixer-on-none-5")
        copy = next(
            each for each in browser.find_elements("css selector", "article button") if each.text == "copy link"
        )
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", copy)
        copy.click()
        assert browser.current_url.endswith("#LW301-jax-mixer-on-none-5")
        browser.get(page + "#LW301-jax-nothing")
        assert len(cases_of(browser)) == 3
        assert is_clean(browser)


@needs_browser
def test_what_no_known_defect_explains_is_linked(tmp_path):
    path = tmp_path / "page.html"
    defect = Defect.parse("# Rows mix\n- LW301 Mixer on jax\n\nThey do.\n\n```python\nprint(1)\n```\n")
    path.write_text(render(report(), defects=[defect]), "utf-8")
    with opened(path.as_uri()) as browser:
        assert "no known defect explains 4 findings: LW301 Mixer on torch, LW306 Conv on jax" in text_of(browser)
        assert "✗ 1 failed (known)" in text_of(browser)
        browser.find_element("link text", "LW306 Conv on jax").click()
        browser.implicitly_wait(5)
        assert browser.find_element("id", "LW306-jax-conv-on-none-5").is_displayed()
        assert is_clean(browser)


@needs_browser
def test_keys_suffice_and_evidence_of_every_kind_is_shown(page):
    from selenium.webdriver.common.keys import Keys

    with opened(page) as browser:
        browser.implicitly_wait(5)  # what is opened is drawn a moment later
        summary = browser.find_element("css selector", "details.case > summary")
        summary.send_keys(Keys.ENTER)
        rest = browser.find_elements("css selector", "details.rest > summary")
        assert [each.text.lstrip("▸ ") for each in rest] == [
            "? 1 check inconclusive",
            "✓ 2 checks passed",
            "- 1 check skipped",
        ]
        rest[1].send_keys(Keys.ENTER)
        browser.find_element("css selector", "details.brief > summary").send_keys(Keys.ENTER)
        assert browser.find_element("css selector", "details.brief table").is_displayed()
        text = text_of(browser)
        for said in ("a, b", "kernel", "draws", "config"):
            assert said in text
        assert all(each.accessible_name for each in browser.find_elements("css selector", "button, input, svg"))
        assert is_clean(browser)


@needs_browser
def test_paper_holds_what_is_filtered_in(page):
    with opened(page + "#outcome=failed") as browser:
        browser.execute_script("dispatchEvent(new Event('beforeprint'))")
        assert len(browser.find_elements("css selector", "article")) == 4
        browser.execute_script("dispatchEvent(new Event('afterprint'))")
        assert browser.find_elements("css selector", "details.case[open]") == []
        assert browser.print_page()


@needs_browser
def test_what_layers_say_is_inert(tmp_path):
    path = tmp_path / "page.html"
    evidence = {EVIL: EVIL, "influence_map": [[1.0]], "rows": [{EVIL: EVIL}], "deep": {EVIL: {EVIL: [EVIL]}}}
    finding = ("LW301", failed(EVIL, EVIL, **evidence))
    path.write_text(render(Report((run("jax", finding, layer=EVIL, notes=(EVIL,)),)), title=EVIL), "utf-8")
    with opened(path.as_uri()) as browser:
        assert "window.hurt" in text_of(browser)
        assert browser.find_elements("css selector", "img") == []
        assert browser.execute_script("return window.hurt") is None
        assert is_clean(browser)


CONTRAST = """
const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const rgb = (text) => { const c = document.createElement("canvas").getContext("2d"); c.fillStyle = text; c.fillRect(0, 0, 1, 1); return c.getImageData(0, 0, 1, 1).data; };
const ground = (each) => { for (; each; each = each.parentElement) { const c = getComputedStyle(each).backgroundColor; if (rgb(c)[3] > 200) return rgb(c); } return [255, 255, 255]; };
const low = [];
for (const each of document.querySelectorAll("body *")) {
  const own = [...each.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !each.checkVisibility() || each.closest("svg, script")) continue;
  const [a, b] = [light(rgb(getComputedStyle(each).color)), light(ground(each))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) low.push(`${each.tagName} ${each.className} ${each.textContent.slice(0, 40)} ${ratio}`);
}
return low;
"""


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(page, dark):
    with opened(page + "#outcome=failed", dark=dark) as browser:
        press(browser, "Open all")
        assert browser.execute_script(CONTRAST) == []


@needs_browser
def test_a_large_audit_stays_fast(tmp_path):
    codes = ("LW301", "LW302", "LW304", "LW306", "LW502", "LW505", "LW706", "LW901", "LW103", "LW104") * 9
    runs = []
    for number in range(248):
        findings = [
            with_identity(passed(influence_map=np.eye(4) * number), code, check_by_code(code).slug, 0.1)
            for code in codes
        ]
        runs += [
            Run(f"a:L{number}", f"L{number}()", name, 1.0, tuple(findings), id=f"c{number}")
            for name in ("tensorflow", "jax", "torch")
        ]
    path = tmp_path / "page.html"
    path.write_text(render(Report(tuple(runs))), "utf-8")
    assert path.stat().st_size < 8e6
    with opened(path.as_uri()) as browser:
        assert len(cases_of(browser)) == 248
        timed = "const from = performance.now(); arguments[0].click(); return performance.now() - from"
        button = browser.find_element("css selector", "[data-entry=LW5]")
        assert browser.execute_script(timed, button) < 1000
        assert is_clean(browser)
