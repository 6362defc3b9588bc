"""The modules whose docstrings the site shows: those that headings of the reference name.

A page of `reference/api` is made for each package: a section for each module that `reference/<package>.md` has a
heading for, after what the page itself asks for. So nobody has to list a module twice.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

REFERENCE = Path(__file__).parents[1] / "reference"

_HEADING = re.compile(r"^#+ +`(?P<module>cascade\.[\w.]+)`$", re.MULTILINE)
_ASKED_FOR = re.compile(r"^\.\. automodule:: (?P<module>[\w.]+)$", re.MULTILINE)
_SECTION = "\n## `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n"


def modules_of(page: str) -> list[str]:
    """Return the modules of a page of `reference/api`, in the order in which it shows them."""
    asked_for = [each["module"] for each in _ASKED_FOR.finditer(_text(REFERENCE / "api" / page))]
    return [*asked_for, *(module for module in _named(page) if module not in asked_for)]


@cache
def shown_modules() -> tuple[str, ...]:
    """Return the modules of all pages."""
    pages = sorted(path.name for path in (REFERENCE / "api").glob("*.md") if path.name != "README.md")
    return tuple(module for page in pages for module in modules_of(page))


def add_sections(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the sections of modules to a page of `reference/api`."""
    folder, _, name = docname.rpartition("/")
    if folder == "reference/api" and name != "README":
        asked_for = {each["module"] for each in _ASKED_FOR.finditer(source[0])}
        source[0] += "".join(
            _SECTION.format(module=module) for module in modules_of(f"{name}.md") if module not in asked_for
        )


def _named(page: str) -> list[str]:
    return [each["module"] for each in _HEADING.finditer(_text(REFERENCE / page))]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", add_sections)
    return {"parallel_read_safe": True}
