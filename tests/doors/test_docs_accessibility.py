"""Pages of the site in a real browser: axe-core finds nothing serious, light and dark, and they look as they are meant to."""

import pytest
from browser import needs_browser, opened
from built_site import ROOT, built

AXE = ROOT / ".venv" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="no axe-core here: `make axe` fetches it with npm")
PAGES = (
    *("index", "getting-started", "guides/masks", "guides/watching", "checks/index", "checks/LW301"),
    *("layers/masked_average", "reference/watching", "reference/command-line", "comparison", "performance", "search"),
)
RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => done(found.violations.filter((each) => ["serious", "critical"].includes(each.impact)).map(
    (each) => `${each.id}: ${each.help}: ` + each.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join(" | "))),
  (error) => done([String(error)]));
"""


@needs_browser
@needs_axe
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_serious_is_wrong_for_those_who_cannot_see_or_point(dark):
    wrong = {}
    with opened("about:blank", dark=dark) as browser:
        for width, names in ((1400, PAGES), (420, PAGES[:5:2])):
            browser.set_window_size(width, 1000)
            for name in names:
                browser.get((built() / f"{name}.html").as_uri())
                browser.execute_script(AXE.read_text("utf-8"))
                found = browser.execute_async_script(RUN)
                if found:
                    wrong[name, width] = found
    assert wrong == {}


@needs_browser
@pytest.mark.parametrize("width", [1400, 420])
def test_no_page_is_wider_than_its_window(width):
    with opened("about:blank", width=width) as browser:
        for name in PAGES:
            browser.get((built() / f"{name}.html").as_uri())
            wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert browser.execute_script(wide) <= 0, name
            problems = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
            assert problems == []


@needs_browser
def test_the_search_finds_a_check_from_a_file():
    from selenium.webdriver.support.ui import WebDriverWait

    with opened(f"{(built() / 'search.html').as_uri()}?q=independence") as browser:
        found = WebDriverWait(browser, 20).until(
            lambda browser: browser.find_elements("css selector", "ul.search li a")
        )
        assert any("LW301" in each.text for each in found)
