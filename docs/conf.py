"""How Sphinx builds the site of the documentation: `hatch run docs:build`, strict and without a network.

The pages are the Markdown files of this folder, as they can be read in the repository too. What the site adds to them
is in `building/`: the navigation, which is made from the links of `index.md`, and the links of docstrings and types.
"""

from __future__ import annotations

import asyncio
import builtins
import collections.abc
import enum
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "building"))

_ABOUT = tomllib.loads((HERE.parent / "packages/cascade-spec/pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

project = "Cascade"
author = _ABOUT["authors"][0]["name"]
project_copyright = f"{author}, {_ABOUT['license']}"
version = release = _ABOUT["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "navigation",
    "plain_docstrings",
    "public_names",
    "reference_links",
    "shown_modules",
]
root_doc = "index"
exclude_patterns = ["building", "pictures"]
nitpicky = True  # a name that leads nowhere is an error

# Markdown
myst_heading_anchors = 5  # as GitHub makes them
myst_links_external_new_tab = False
myst_url_schemes = ["https", "http", "mailto"]
suppress_warnings: list[str] = []

# The API
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
# What a class has from other classes of Cascade is shown, since these may be private; what it has from Python is not.
_OF_PYTHON = [
    *(name for name, value in vars(builtins).items() if isinstance(value, type)),
    *(cls.__name__ for base in (enum.StrEnum, asyncio.SelectorEventLoop) for cls in base.__mro__),
    *(*collections.abc.__all__, "Generic", "Protocol"),
]
autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "inherited-members": ",".join(dict.fromkeys(_OF_PYTHON)),
    "show-inheritance": True,
}
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

# The look
html_theme = "furo"
html_title = f"Cascade {release}"
html_static_path = ["building/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
