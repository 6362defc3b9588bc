"""The public names of Cascade, and where a name in a docstring or a signature leads.

A class is written in a module of its own and shown by its package: `cascade.spec.task.Task` is `cascade.spec.Task`. A
name of Python's own library leads to its documentation, by its address alone: nothing is looked up in the network.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from typing import get_type_hints

from docutils import nodes
from shown_modules import shown_modules
from sphinx.addnodes import pending_xref, pending_xref_condition
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry, PythonDomain
from sphinx.environment import BuildEnvironment

from cascade.spec import Policies

_PYTHON = "https://docs.python.org/3/library/"
# Modules of Python whose names stand on the page of the module.
_PAGES_OF_PYTHON = (
    "collections.abc",
    "contextvars",
    "datetime",
    "enum",
    "os",
    "pathlib",
    "threading",
    "typing",
)


@cache
def public_names() -> dict[int, str]:
    """Return the public name of each class and function that the API shows, by the object's identity."""
    return {
        id(value): f"{shown}.{name}"
        for shown in shown_modules()
        for name, value in names_of(shown)
        if hasattr(value, "__qualname__")
    }


def names_of(module_name: str) -> Iterator[tuple[str, object]]:
    """Give the names of a module's `__all__`, or without one its own, with what they stand for."""
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        for name in module.__all__:
            yield name, getattr(module, name)
        return
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module_name:
            yield name, value


def public_name_of(words: str, places: list[object]) -> str | None:
    """Return the public name that `words`, such as `Engine.run`, has where a docstring stands; `None` if it has none.

    `places` are the class and the module that the docstring belongs to: `words` is an attribute of one of them.
    """
    first, *rest = words.split(".")
    for place in places:
        value = vars(place).get(first)
        if isinstance(place, type) and value is not None and not rest and not first.startswith("_"):
            owner = public_names().get(id(place))
            if owner is not None:
                return f"{owner}.{first}"
        name = public_names().get(id(value))
        if name is None:
            continue
        if not rest:
            return name
        if len(rest) == 1 and rest[0] in vars(value) and not rest[0].startswith("_"):
            return f"{name}.{rest[0]}"
    return None


def found(full_name: str) -> object | None:
    """Return the object of a full name, such as `cascade.spec.task.Task`.

    A name without a module was imported for type checkers only: any module of Cascade that has it may give it, or
    asyncio.
    """
    module_name, _, name = full_name.rpartition(".")
    if module_name:
        return getattr(sys.modules.get(module_name), name, None)
    modules = (module for key, module in list(sys.modules.items()) if key.startswith("cascade."))
    return next(
        (vars(module)[name] for module in modules if name in vars(module)), getattr(asyncio, name, None)
    )


def address_in_python(full_name: str) -> str | None:
    """Return the address of a name in the documentation of Python."""
    module = full_name.rpartition(".")[0]
    if module in _PAGES_OF_PYTHON:
        return f"{_PYTHON}{module}.html#{full_name}"
    value = getattr(builtins, full_name, None)
    if isinstance(value, type):
        page = "exceptions" if issubclass(value, BaseException) else "functions"
        return f"{_PYTHON}{page}.html#{full_name}"
    return None


def say_what_is_meant(app: Sphinx, tree: nodes.document) -> None:
    """Lead the names of Python to its documentation, and look for a name where it stands and not in all classes."""
    for node in list(tree.findall(pending_xref)):
        if node.get("refdomain") != "py":
            continue
        node.attributes.pop("refspecific", None)
        address = address_in_python(node["reftarget"])
        if address is not None:
            # In a signature the full name stands beside the short one, of which one is to be chosen.
            short = next(node.findall(pending_xref_condition), node)
            node.replace_self(nodes.reference("", "", *short.children, refuri=address, internal=False))


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Resolve a name of Python's domain that has no page under this very name; `None` says that it leads nowhere."""
    if node.get("refdomain") != "py":
        return None
    value = found(node["reftarget"])
    public = public_names().get(id(value))
    if public is not None:
        entry = env.domains.python_domain.objects.get(public)
        if entry is not None:
            uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
            return nodes.reference("", "", content, refuri=f"{uri}#{entry.node_id}", internal=True)
    # What is not public, and what other packages have, which may not be installed, is shown and leads nowhere.
    is_others = "." in node["reftarget"] and not node["reftarget"].startswith("cascade.")
    return content if value is not None or is_others else None


def add_facade(app: Sphinx, env: BuildEnvironment) -> None:
    """Let `cascade.run` lead where `cascade.runtime.run` does, in the inventory for other sites too."""
    domain: PythonDomain = env.domains.python_domain
    for name, value in names_of("cascade"):
        entry = domain.objects.get(public_names().get(id(value), ""))
        if entry is not None:
            domain.objects[f"cascade.{name}"] = ObjectEntry(
                entry.docname, entry.node_id, entry.objtype, aliased=True
            )


def setup(app: Sphinx) -> dict[str, bool]:
    for shown in shown_modules():
        # What a module imports at its first use, autodoc finds only once it is there.
        vars(importlib.import_module(shown)).update(names_of(shown))
    # What a policy is to the engine stands in its annotation, and is nothing for readers.
    Policies.__annotations__ = get_type_hints(Policies)
    app.connect("doctree-read", say_what_is_meant)
    app.connect("missing-reference", resolve)
    app.connect("env-check-consistency", add_facade)
    return {"parallel_read_safe": True}
