"""Settings of the documentation site: `just docs` builds it into docs/_build.

The source folder is that of the repository, so that a link between two documents leads to the same place on
GitHub, in an editor and on the site.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import styletransfer  # noqa: E402  the package of this checkout, which need not be installed

project = "styletransfer"
author = "styletransfer contributors"
project_copyright = "MIT license"
release = version = styletransfer.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
root_doc = "docs/index"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "weights/*.md", "examples/README.md"),
]
# Folders without documents. Sphinx would walk through all of them.
exclude_patterns = ["**/.*", "**/_build", "styletransfer", "tests", "benchmarks", "runs", "build", "dist"]
templates_path = ["_templates"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
source_suffix = {".md": "markdown"}
pygments_style, pygments_dark_style = "xcode", "github-dark"  # whose colors have enough contrast
highlight_language = "none"  # blocks that name no language are command lines, tables and formulas

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # attributes of dataclasses are documented once

nitpicky = True
# Types of other libraries, and private ones: the site is built offline, without the indexes of other sites.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|numpy|np|PIL|nn|os|pathlib|collections|threading|typing|contextlib|functools)\..*"),
    ("py:.*", r"Tensor|Autoencoder|Network|RegionMaps"),
    ("py:.*", r"styletransfer\.(model\.(autoencoder|coupling_network)|transfer\.patch_matching)\..*"),
    ("py:.*", r"styletransfer\.(region_maps|style_measurer|tensor_stylizer)\..*"),
    ("py:.*", r"styletransfer\.(media\.picture\.PhotoMetadata|spectrum\.conv_operator\.Axis)"),
]

html_title = f"styletransfer {version}"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "../styletransfer/page/static/icon.svg"
html_additional_pages = {"index": "redirect.html"}  # the first page is that of docs/
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#8a4b08", "color-brand-content": "#8a4b08"},
    "dark_css_variables": {"color-brand-primary": "#e8a75a", "color-brand-content": "#e8a75a"},
}


def describe_options(_app: Any, _what: str, name: str, target: Any, _options: Any, lines: list[str]) -> None:
    """Add the help text of every field to the docstring of an options dataclass."""
    if inspect.isclass(target) and dataclasses.is_dataclass(target):
        helps = {field.name: field.metadata.get("help") for field in dataclasses.fields(target)}
        lines += ["", *(f":param {field}: {text}" for field, text in helps.items() if text)]


def mark_code(_app: Any, _what: str, _name: str, _target: Any, _options: Any, lines: list[str]) -> None:
    """Show `names` in docstrings as code: they are Markdown there, and not roles of reStructuredText."""
    lines[:] = [re.sub(r"(?<![:`\\])`([^`]+)`(?!`)", r"``\1``", line) for line in lines]


def mark_help(_app: Any, _context: Any, lines: list[str]) -> None:
    """Show help texts as they are meant: `names` as code, and asterisks as asterisks."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line.replace("*", r"\*")) for line in lines]


def setup(app: Any) -> None:
    """Connect the functions above."""
    for part in ("description", "epilog"):
        app.connect(f"sphinx-click-process-{part}", mark_help)
    app.connect("autodoc-process-docstring", describe_options)
    app.connect("autodoc-process-docstring", mark_code, priority=900)
