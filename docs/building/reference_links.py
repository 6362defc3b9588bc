"""Docstrings as they are written here: what stands between backticks is code, and a link where it names something."""

from __future__ import annotations

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    return {"parallel_read_safe": True}
