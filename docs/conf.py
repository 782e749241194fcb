"""How the site is built: Sphinx, Markdown through MyST, the Furo theme; nothing is loaded from afar."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

from layerwright.backends import installed  # noqa: E402
from layerwright.runner.environment import checking_environment  # noqa: E402

if "KERAS_BACKEND" not in os.environ and installed():
    os.environ.update(
        checking_environment(installed()[0])
    )  # before anything imports Keras: quiet, one backend, the CPU

from layerwright import __version__  # noqa: E402

project = "Layerwright"
author = "The Layerwright authors"
copyright = "the Layerwright authors, Apache-2.0"  # noqa: A001 - Sphinx's name
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.typer",
    "layerwright_pages",
]
exclude_patterns = ["_extensions", "_static"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
smartquotes = False  # messages on the pages name options such as --backend
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # annotations name what NumPy, Keras and Python define
suppress_warnings = [
    "ref.python",  # a run of checks and a watched run are both a `Run`
    "myst.header",  # the tables of performance.md begin at the third level
]
python_maximum_signature_line_length = 88
highlight_language = "text"
toc_object_entries = False
autodoc_inherit_docstrings = False  # Keras's are Markdown of another kind
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = False  # its tables lead to pages that layerwright_pages makes
napoleon_attr_annotations = False
napoleon_custom_sections = [("Call arguments", "params_style"), ("Output", "returns_style")]
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "Layerwright"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["scrollable.js"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "light_logo": "logo.svg",
    "dark_logo": "logo.svg",
    "light_css_variables": {
        "color-brand-primary": "#0b5d6b",
        "color-brand-content": "#0b5d6b",
        "color-brand-visited": "#5b3a86",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6fd3e3",
        "color-brand-content": "#6fd3e3",
        "color-brand-visited": "#c3a6ee",
    },
}
