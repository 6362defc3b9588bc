"""`python docs/building/check_site.py FOLDER`: does every link of the built site lead somewhere?

Links to the site itself are followed, anchors too. Links to other sites are only looked at, since a build is offline.
No page may load anything from elsewhere. The inventory for other sites has every public class and function.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from public_names import names_of
from shown_modules import shown_modules
from sphinx.util.inventory import InventoryFile

# What a browser loads by itself, and where that stands.
_LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "object": "data"}
# Relations of a page to others, which load nothing.
_ONLY_TOLD = frozenset({"canonical", "prev", "next", "index", "search", "author"})


@dataclass
class Page(HTMLParser):
    """What a page has: anchors, links, and what a browser loads for it."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        source = given.get(_LOADED.get(tag, ""))
        if source:
            kinds = set(given.get("rel", "").split())
            (self.links if tag == "link" and kinds & _ONLY_TOLD else self.loaded).append(source)


def page_of(path: Path) -> Page:
    """Read a page."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def faults_of(path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Give what is wrong with the links of a page."""
    page = pages[path]
    for target in page.loaded:
        if _is_elsewhere(target):
            yield f"loads {target} from elsewhere"
    for target in (*page.links, *page.loaded):
        parts = urlsplit(target)
        if parts.scheme in ("http", "https"):
            if "." not in parts.netloc or " " in target:
                yield f"has an odd address: {target}"
        elif parts.scheme not in ("", "data", "mailto"):
            yield f"links to {target}"
        elif not parts.scheme:
            linked = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not linked.is_file():
                yield f"links to {target}, which is not there"
            elif parts.fragment and linked in pages and unquote(parts.fragment) not in pages[linked].ids:
                yield f"links to {target}, but there is no such anchor"


def _is_elsewhere(target: str) -> bool:
    return urlsplit(target).netloc != ""


def _public() -> Iterator[str]:
    """Give the full names of all public classes and functions; constants have no docstrings to show."""
    for module in ("cascade", *shown_modules()):
        yield from (f"{module}.{name}" for name, value in names_of(module) if hasattr(value, "__qualname__"))


def main(folder: Path) -> int:
    """Print what is wrong with a site, and return the exit code."""
    pages = {path.resolve(): page_of(path) for path in sorted(folder.rglob("*.html"))}
    faults = [f"{path.relative_to(folder)} {each}" for path in pages for each in faults_of(path, pages)]
    names = InventoryFile.loads((folder / "objects.inv").read_bytes(), uri="").data
    told = {name for kind, entries in names.items() if kind.startswith("py:") for name in entries}
    faults += [f"the inventory has no {name}" for name in _public() if name not in told]
    print(
        "\n".join([*faults, f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links"])
    )
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
