"""Links that nobody types: a check's code leads to its page, an arXiv number to the paper."""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes

from layerwright.checks.discovery import all_checks

LINK = re.compile(r"\b(LW\d{3,4})\b|\b(arXiv:\d{4}\.\d{4,5})")


def link_codes(app: Any, doctree: nodes.document) -> None:
    """Make links of the codes and arXiv numbers in a page's text; headings, code blocks and links stay as they are."""
    here, known = app.env.docname, {check.code for check in all_checks()}
    for text in list(doctree.findall(nodes.Text)):
        if not LINK.search(text) or _is_bound(text):
            continue
        whole = text.parent if isinstance(text.parent, nodes.literal) else text
        if whole is text:
            text.parent.replace(text, list(_parts(text.astext(), known, here)))
        elif text.astext() in known and text.astext() != here.rpartition("/")[2]:
            whole.parent.replace(whole, _to_check(text.astext(), here, whole.deepcopy()))


def _is_bound(text: nodes.Text) -> bool:
    """Whether the text stands in a heading, a code block or a link."""
    node, stop = text.parent, (nodes.title, nodes.literal_block, nodes.reference, addnodes.pending_xref)
    while node is not None and not isinstance(node, stop):
        node = node.parent
    return node is not None or (isinstance(text.parent, nodes.literal) and text.astext().startswith("arXiv"))


def _parts(text: str, known: set[str], here: str) -> Iterator[nodes.Node]:
    end = 0
    for found in LINK.finditer(text):
        code, paper = found.groups()
        if code and (code not in known or code == here.rpartition("/")[2]):
            continue
        yield nodes.Text(text[end : found.start()])
        end = found.end()
        if code:
            yield _to_check(code, here, nodes.Text(code))
        else:
            address = f"https://arxiv.org/abs/{paper.removeprefix('arXiv:')}"
            yield nodes.reference("", paper, refuri=address, internal=False)
    yield nodes.Text(text[end:])


def _to_check(code: str, here: str, shown: nodes.Node) -> nodes.Node:
    inner = nodes.inline("", "", shown)
    return addnodes.pending_xref(
        "",
        inner,
        refdomain="std",
        reftype="doc",
        reftarget=f"/checks/{code}",
        refdoc=here,
        refexplicit=True,
        refwarn=True,
    )
