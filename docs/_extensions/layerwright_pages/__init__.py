"""Pages that nobody writes by hand: one a check, one a layer, the Python reference, the command line.

They are made anew before each build, from what the code says of itself, and git ignores them.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDERS = {"checks": ("checks",), "layers": ("layers",), "reference": ("reference",)}
"""Folders of the site, and the modules here that make their pages."""


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx call what is here."""
    from .accessible import amend
    from .autodoc import amend_signature, put_dashes, to_restructuredtext
    from .links import link_codes

    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-signature", amend_signature)
    app.connect("autodoc-process-docstring", to_restructuredtext, priority=400)  # before napoleon, which has 500
    app.connect("doctree-read", link_codes)
    app.connect("doctree-read", put_dashes)
    app.connect("html-page-context", amend, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Any) -> None:
    """Write the pages that are new or have changed, and take away those that are no more."""
    for folder, makers in FOLDERS.items():
        home = Path(app.srcdir, folder)
        home.mkdir(exist_ok=True)
        with silence():
            made = dict(page for maker in makers for page in importlib.import_module(f".{maker}", __package__).pages())
        for name, text in made.items():
            _write(home / name, text)
        for path in home.iterdir():
            if path.name not in made:
                path.unlink()


@contextmanager
def silence() -> Iterator[None]:
    """Send what is written to standard output and error nowhere: frameworks greet from their C++ as they like."""
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
