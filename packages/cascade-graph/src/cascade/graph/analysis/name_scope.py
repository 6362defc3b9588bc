"""Scopes: the names that a function sees, looked up where they are stored. Nothing runs and nothing is imported.

A name that is not there gives `None`, as one that holds `None` does: neither is a task.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import sys
from types import FunctionType, MethodType
from typing import Any

from cascade.graph.analysis.shown_source import Import, Shown
from cascade.spec import compose
from cascade.spec.task import PartialTask

_FACADE = __name__.partition(".")[0]
"""The package whose names users write as `cs.map`.

It is looked up among the loaded modules: an import of it would tie this layer to those above.
"""


def function_of(found: Any) -> tuple[FunctionType | None, object]:
    """Return the function behind decorators, methods and partials, and the object that it is a method of, if known."""
    receiver: object = None
    for _ in range(_LAYERS):
        kind = type(found)  # by type alone: `isinstance` asks for `__class__`, which may be code of the user
        if kind is MethodType:
            receiver, found = found.__self__, found.__func__
        elif kind is PartialTask:  # of a task in a class body, the object comes first
            receiver, found = next(iter(found.args), None), found.task
        elif issubclass(kind, functools.partial):
            found = found.func
        elif (wrapped := inspect.getattr_static(found, "__wrapped__", None)) is not None:
            found = wrapped
        elif kind is FunctionType:
            return found, receiver
        else:
            receiver, found = found, inspect.getattr_static(kind, "__call__", None)
    return None, None


class Scope:
    """The names that one function sees.

    `receiver` is the object that the function is a method of, or `None` if that is not known.
    """

    def __init__(self, function: FunctionType, receiver: object, shown: Shown) -> None:
        self._function = function
        self._receiver = receiver
        self._bound = shown.bound
        code = function.__code__
        self._locals = frozenset((*code.co_varnames, *code.co_cellvars))

    def bound_to(self, name: str) -> list[ast.expr]:
        """Return the expressions that a local name is bound to anywhere in the function."""
        if name not in self._locals:
            return []
        return [each for each in self._bound.get(name, ()) if isinstance(each, ast.expr)]

    def value(self, syntax: ast.expr) -> object:
        """Return the value of `name`, or of `name.attribute...`; `None` for all other expressions."""
        attributes = []
        while isinstance(syntax, ast.Attribute):
            attributes.append(syntax.attr)
            syntax = syntax.value
        if not isinstance(syntax, ast.Name):
            return None
        value = self._named(syntax.id)
        for attribute in reversed(attributes):
            value = _member(value, attribute)
        return value

    def _named(self, name: str) -> object:
        """Return what a name is bound to, looked up as Python does: closure, locals, then globals."""
        function = self._function
        code = function.__code__
        if name in code.co_freevars:
            return _content(function, name)
        if name not in self._locals:
            return function.__globals__.get(name)
        # Of the locals only two have a value before the function runs: `self`, and what an import inside it binds.
        if code.co_argcount and name == code.co_varnames[0]:
            return self._class() if self._receiver is None else self._receiver
        for binding in self._bound.get(name, ()):
            if isinstance(binding, Import):
                return self._imported(binding)
        return None

    def _class(self) -> object:
        """Return the class in whose body the function was defined, found by the qualified name of the function."""
        first, *others = self._function.__qualname__.split(".")
        return (
            functools.reduce(_member, others[:-1], self._function.__globals__.get(first)) if others else None
        )

    def _imported(self, wanted: Import) -> object:
        """Return what an import would bind, if its module is loaded."""
        module = wanted.module
        if wanted.level:
            package = self._function.__globals__.get("__package__")
            try:
                module = importlib.util.resolve_name("." * wanted.level + module, package)
            except (ImportError, TypeError):
                return None
        found = sys.modules.get(module)
        if wanted.name is None:
            return found
        member = _member(found, wanted.name)
        return sys.modules.get(f"{module}.{wanted.name}") if member is None else member


def _member(owner: object, name: str) -> object:
    """Return an attribute as it is stored: no property, `__getattr__` or other code of the user runs."""
    if owner is sys.modules[_FACADE]:  # the facade holds a name only once it has been used
        owner = compose
    return inspect.getattr_static(owner, name, None)


def _content(function: FunctionType, name: str) -> object:
    """Return what a variable of an enclosing function holds."""
    cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


_LAYERS = 100
"""The most wrappers that are looked through: some wrap each other in a circle."""
