"""Links from the reference, which is ordered by subject, to the docstrings: one below each heading that is a name."""

from __future__ import annotations

import importlib
import re

from docutils import nodes
from public_names import public_names
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

_PACKAGE = re.compile(r"cascade\.\w+")
_NAME = re.compile(r"(?P<name>[\w.]+)(?:\(.*\))?")


def add_links(app: Sphinx, tree: nodes.document) -> None:
    """Add the links to a page whose title is the name of a package."""
    titles = list(tree.findall(nodes.title))
    package = titles[0].astext() if titles else ""
    if not _PACKAGE.fullmatch(package):
        return
    for title in titles[1:]:
        found = _NAME.fullmatch(title.astext())
        if isinstance(title.next_node(), nodes.literal) and found is not None:
            target = _documented(package, found["name"])
            if target is not None:
                title.parent.insert(1, _link(app, target))


def _documented(package: str, name: str) -> str | None:
    """Return the name under which the API shows what a heading names, such as `Engine.run` of `cascade.runtime`."""
    value: object = importlib.import_module(package)
    owner = value
    for part in name.split("."):
        owner, value = value, getattr(value, part, None)
    found = public_names().get(id(value)) or public_names().get(id(owner))
    if found is None or id(value) in public_names():
        return found
    return f"{found}.{name.rpartition('.')[2]}"


def _link(app: Sphinx, target: str) -> nodes.paragraph:
    text = nodes.inline("", "docstring and types")
    place = {"refdomain": "py", "reftype": "obj", "reftarget": target, "refwarn": True}
    return nodes.paragraph(
        "",
        "",
        pending_xref("", text, refdoc=app.env.current_document.docname, refexplicit=True, **place),
        classes=["docstring"],
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", add_links)
    return {"parallel_read_safe": True}
