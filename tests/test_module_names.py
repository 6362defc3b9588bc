"""Claims about the names of modules over all wheels."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

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


def test_no_module_imports_a_package_that_it_is_in() -> None:
    """A module imports a name from the module that has it, not from the `__init__` of a package around itself."""
    files = {
        ("cascade", *file.relative_to(path).with_suffix("").parts): file
        for path in cs.__path__
        for file in Path(path).rglob("*.py")
    }
    modules = {".".join(parts) for parts in files}
    reaching = []
    for parts, file in files.items():
        around = {".".join(parts[:length]) for length in range(1, len(parts))}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                reaching += [(file, each.name) for each in node.names if each.name in around]
            elif isinstance(node, ast.ImportFrom) and node.module in around:
                names = [f"{node.module}.{each.name}" for each in node.names]
                reaching += [(file, name) for name in names if name not in modules]
    assert len(files) > 200
    assert reaching == []
