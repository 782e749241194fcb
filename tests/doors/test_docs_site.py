"""The built site: its links lead somewhere, it needs nothing from afar, and every check, layer and name has its place."""

from functools import cache
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from built_site import built

import layerwright as lw
from layerwright.checks.discovery import all_checks
from layerwright.core.check import HEADINGS


class Page(HTMLParser):
    """What a page links to and what can be linked to on it."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.text = set(), [], [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.update(filter(None, (found.get("id"), found.get("name") if tag == "a" else None)))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") != "canonical" and found.get("href"):
            self.loaded.append(found["href"])

    def handle_data(self, data):
        self.text.append(data)


@cache
def page(path):
    return Page(path)


@pytest.fixture(scope="module")
def pages():
    return sorted(built().rglob("*.html"))


def test_links_lead_somewhere(pages):
    dead = []
    for path in pages:
        for link in (*page(path).links, *page(path).loaded):
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            target = path.parent / unquote(to.path) if to.path else path
            if not target.exists():
                dead.append(f"{path.name} -> {link}")
            elif (
                to.fragment and target.suffix == ".html" and unquote(to.fragment) not in page(target.resolve()).anchors
            ):
                dead.append(f"{path.name} -> {link}: no such place")
    assert dead == []
    assert len(pages) > 100


def test_nothing_is_loaded_from_afar(pages):
    assert [(path.name, each) for path in pages for each in page(path).loaded if urlsplit(each).netloc] == []
    for style in built().rglob("*.css"):
        assert "url(http" not in style.read_text("utf-8").replace("url(//", "url(http"), style
    assert "@import" not in (built() / "_static" / "site.css").read_text("utf-8")


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
def test_a_check_has_a_page(check):
    text = "".join(page(built() / "checks" / f"{check.code}.html").text)
    for said in (check.slug, *HEADINGS):
        assert said in text
    assert "def bad()" in text
    assert "def good()" in text
    if not check.across_backends:
        assert "Layerwright reports, on" in text


def test_a_layer_has_a_page_under_each_of_its_names():
    listed = "".join(page(built() / "layers" / "index.html").text)
    for name in ("SampleMap", "BatchAwareSquare", "CustomAttention", "ThreePointDependency", "CustomInitLayer"):
        assert name in listed
    text = "".join(page(built() / "layers" / "self_attention.html").text)
    for said in ("get_initial_state", "NumPy reference", "CustomAttention", "Call arguments", "Output", "key_dim: int"):
        assert said in text
    assert "*args" not in text


def test_a_public_name_is_in_the_reference():
    anchors = {anchor for path in (built() / "reference").glob("*.html") for anchor in page(path).anchors}
    lazy = {f"layerwright.{name}" for name in lw._LAZY}
    own = {"layerwright.Case", "layerwright.Traits", "layerwright.Report.raise_if_failed", "layerwright.layers.tap"}
    assert (lazy | own | {"layerwright.watch.records.Sink.write", "layerwright.Watch.attached"}) <= anchors


def test_the_command_line_is_what_its_help_says():
    text = "".join(page(built() / "reference" / "command-line.html").text)
    for said in ("--select", "Backend to check on", "layerwright explain", "Exit status"):
        assert said in text
