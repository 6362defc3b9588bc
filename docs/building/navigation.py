"""The navigation of the site: the pages that a map links to, below its headings.

So the list of the pages stands once, where readers of the repository find it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tests read the maps without Sphinx
    from sphinx.application import Sphinx

# The pages that are maps of other pages.
MAPS = ("index", "benchmarks/README", "reference/api/README")

_HEADING = re.compile(r"^##? +(?P<text>.+?) *$", re.MULTILINE)
_PAGE = re.compile(r"\]\((?!\.\./)(?P<page>[^)#:]+)\.md\)")
_TREE = "\n```{{toctree}}\n:hidden:\n{caption}\n{pages}\n```\n"


def parts_of(page: str) -> Iterator[tuple[str, list[str]]]:
    """Give each heading of a map that has pages below it, with those that no heading before it has."""
    headings = list(_HEADING.finditer(page))
    ends = [*(each.start() for each in headings[1:]), len(page)]
    seen: set[str] = set()
    for heading, end in zip(headings, ends, strict=True):
        found = dict.fromkeys(each["page"] for each in _PAGE.finditer(page, heading.end(), end))
        new = [name for name in found if name not in seen]
        seen.update(new)
        if new:
            yield heading["text"], new


def add_trees(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add to a map the trees of pages that Sphinx makes its navigation of."""
    if docname not in MAPS:
        return
    for heading, pages in parts_of(source[0]):
        # Only the parts of the whole site have captions; those of the first heading are the way in.
        titled = docname == app.config.root_doc and not source[0].startswith(f"# {heading}")
        caption = f":caption: {heading}\n" if titled else ""
        source[0] += _TREE.format(caption=caption, pages="\n".join(pages))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", add_trees)
    return {"parallel_read_safe": True}
