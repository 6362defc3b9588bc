"""Claims about the names of modules over all wheels."""

from __future__ import annotations

import importlib
import pkgutil

import cascade as cs

ON_PURPOSE = {"cascade": {"cli"}, "cascade.spec": {"resource", "task"}}
"""`cascade.cli` is a module that can be called. `cascade.spec.task` and `.resource` are public as modules, and what
stands under these names is the decorator: both ways to import give what they say."""


def test_no_module_has_the_name_of_something_that_its_package_exports() -> None:
    """`from package import name` never depends on whether a module of that name was imported before."""
    packages = [
        "cascade",
        *(f"cascade.{each.name}" for each in pkgutil.iter_modules(cs.__path__) if each.ispkg),
    ]
    assert len(packages) == 7
    for name in packages:
        package = importlib.import_module(name)
        modules = {each.name for each in pkgutil.iter_modules(package.__path__)}
        assert modules & set(getattr(package, "__all__", ())) == ON_PURPOSE.get(name, set()), name
