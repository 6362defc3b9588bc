"""Syntax: the text of a function as a tree, found by the function's code.

A file is parsed as a whole, so that lambdas are found like any other function. Text that is missing or can't be parsed
gives nothing and is no error. Trees are walked without recursion, as expressions may be deep.
"""

from __future__ import annotations

import ast
import inspect
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import NamedTuple

from cascade.spec.source.texts import Text, keep, texts_of

FunctionSyntax = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Place(NamedTuple):
    """A function or class in a file, and the functions and classes that it stands in, from the outside in."""

    node: FunctionSyntax | ast.ClassDef
    inside: tuple[FunctionSyntax | ast.ClassDef, ...]


class Parsed:
    """The text of a file as a tree, with an index of its functions and classes and of the code made from them."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.module = ast.Module([], [])
        self.is_readable = False
        self._functions: dict[tuple[int, str], list[Place]] = {}
        self._classes: dict[str, list[Place]] = {}
        self._codes: dict[str, list[CodeType]] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler gave them when the file was imported
                self.module = ast.parse(text.data)
                whole = compile(
                    text.data, text.file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
                )
        except _UNREADABLE:
            return
        self.is_readable = True
        self._index()
        for code in codes_below(whole):
            self._codes.setdefault(code.co_qualname, []).append(code)

    def _index(self) -> None:
        pending: list[tuple[ast.AST, tuple[FunctionSyntax | ast.ClassDef, ...], str]] = [
            (self.module, (), "")
        ]
        while pending:
            node, inside, name = pending.pop()
            if isinstance(node, ast.Lambda):
                self._functions.setdefault((node.lineno, "<lambda>"), []).append(Place(node, inside))
                inside, name = (*inside, node), f"{name}<lambda>.<locals>."
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                line = min(part.lineno for part in (node, *node.decorator_list))
                self._functions.setdefault((line, node.name), []).append(Place(node, inside))
                inside, name = (*inside, node), f"{name}{node.name}.<locals>."
            elif isinstance(node, ast.ClassDef):
                self._classes.setdefault(f"{name}{node.name}", []).append(Place(node, inside))
                inside, name = (*inside, node), f"{name}{node.name}."
            pending.extend((each, inside, name) for each in ast.iter_child_nodes(node))

    def made(self, function: FunctionType) -> list[CodeType]:
        """Return the code objects of this text that do what the function's code does, at any position."""
        code = function.__code__
        wanted = _fingerprint(code)
        return [each for each in self._codes.get(code.co_qualname, ()) if _fingerprint(each) == wanted]

    def function(self, function: FunctionType) -> Place | None:
        """Return the syntax of a function, if this is the text that it was made from, but for its position."""
        code = function.__code__
        codes = self.made(function)
        exact = [each for each in codes if each.co_firstlineno == code.co_firstlineno]
        spans = list(code.co_positions())
        exact = [each for each in exact if list(each.co_positions()) == spans] or exact
        found = [each for each in map(self.at, exact or codes) if each is not None]
        if not codes and _is_rewritten(function):
            place = self.at(code)
            found = [] if place is None else [place]
        same = len(found) < 2 or all(_outline(each.node) == _outline(found[0].node) for each in found[1:])
        return found[0] if found and same else None

    def at(self, code: CodeType) -> Place | None:
        """Return the function that stands where a piece of code says that it stands."""
        found = self._functions.get((code.co_firstlineno, code.co_name), [])
        if len(found) > 1:  # lambdas in one line
            spans = set(code.co_positions())
            found = [each for each in found if span_of(_last(each.node)) in spans]
        return found[0] if len(found) == 1 else None

    def classes(self, qualname: str) -> list[Place]:
        """Return the class statements of that name, in the order of the text."""
        return sorted(self._classes.get(qualname, ()), key=lambda each: span_of(each.node)[0] or 0)


_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@lru_cache(maxsize=16)
def parsed(text: Text) -> Parsed:
    """Return a text as a tree; the latest results are cached."""
    return Parsed(text)


def place_of(function: FunctionType) -> tuple[Parsed, Place] | None:
    """Return the syntax of a function and the file around it; `None` if the text that it was made from is not there."""
    for text in texts_of(function.__code__.co_filename, function.__globals__):
        file = parsed(text)
        place = file.function(function)
        if place is not None:
            return file, place
    return None


def syntax_of(function: FunctionType) -> FunctionSyntax | None:
    """Return the syntax of a function; `None` if it can't be read. Reads the file, if that has not been done."""
    found = place_of(function)
    texts = texts_of(function.__code__.co_filename, function.__globals__) if found is None else []
    places = [parsed(text).at(function.__code__) for text in texts] if found is None else [found[1]]
    nodes = [each.node for each in places if each is not None]
    return nodes[0] if nodes and not isinstance(nodes[0], ast.ClassDef) else None


def file_of(file: str, names: dict[str, object]) -> Parsed | None:
    """Return the text of a module as a tree: of two texts, the one that more functions were made from."""
    found = [parsed(text) for text in texts_of(file, names)]
    if len(found) > 1:
        own = [each for each in _functions_of(names) if each.__code__.co_filename == file]
        counts = [sum(bool(each.made(function)) for function in own) for each in found]
        if counts[1] > counts[0]:
            keep(found[1].text)
            return found[1]
    return found[0] if found and found[0].is_readable else None


def _functions_of(names: dict[str, object]) -> Iterator[FunctionType]:
    """Yield the functions of a module and of the classes in it, without their wrappers."""
    pending = [*names.values()]
    for value in pending:
        inner = (
            getattr(value, "__func__", None)
            or vars_of(value).get("func")
            or vars_of(value).get("__wrapped__")
        )
        for each in (function_in(value), inner):
            if type(each) is FunctionType:
                yield each
            elif isinstance(each, type) and each.__module__ == names.get("__name__"):
                pending += vars(each).values()


def function_in(value: object) -> object:
    """Return what a static or a class method holds, and any other value as it is."""
    return value.__func__ if type(value) in (staticmethod, classmethod) else value  # type: ignore[attr-defined]


def vars_of(value: object) -> dict[str, object]:
    """Return the attributes of an object itself, without asking it."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}


def _is_rewritten(function: FunctionType) -> bool:
    """Return whether code may differ from its text: a loader rewrites it, as pytest does, or it is a notebook's."""
    if function.__code__.co_filename.startswith("<"):  # a text that nobody edits
        return True
    loader = function.__globals__.get("__loader__")
    return loader is not None and type(loader) is not SourceFileLoader


def _outline(tree: ast.AST) -> list[tuple[object, ...]]:
    """Return the content of a tree, without positions."""
    return [
        (
            type(node),
            *(repr(value) for _, value in ast.iter_fields(node) if not isinstance(value, ast.AST | list)),
        )
        for node in ast.walk(tree)
    ]


def codes_below(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all that it contains, in the order of the text."""
    pending = [code]
    while pending:
        each = pending.pop()
        yield each
        pending.extend(part for part in reversed(each.co_consts) if isinstance(part, CodeType))


def _fingerprint(code: CodeType) -> list[tuple[object, ...]]:
    """Return what a code object does, without its position."""
    return [
        (
            *(
                each.co_name,
                each.co_code,
                each.co_names,
                each.co_varnames,
                each.co_cellvars,
                each.co_freevars,
            ),
            *(each.co_flags, each.co_argcount, each.co_kwonlyargcount, each.co_posonlyargcount),
            [_shown(each, constant) for constant in each.co_consts],
        )
        for each in codes_below(code)
    ]


def _shown(code: CodeType, constant: object) -> str:
    if isinstance(constant, CodeType):
        return "code"
    if "__firstlineno__" in code.co_names and constant == code.co_firstlineno:
        return "line"  # of a class in a function, on Python 3.13 and later
    if isinstance(constant, frozenset):
        return f"frozenset {sorted(map(repr, constant))}"
    is_docstring = (
        isinstance(constant, str) and constant is code.co_consts[0] and code.co_flags & _WITH_DOCSTRING
    )
    return "docstring" if is_docstring else repr(constant)


_WITH_DOCSTRING = 0x4000000 if sys.version_info >= (3, 13) else inspect.CO_OPTIMIZED
"""Flag of code whose first constant is its docstring, if that is a string."""


def _last(function: ast.AST) -> ast.AST:
    return function.body if isinstance(function, ast.Lambda) else function


def span_of(node: ast.AST) -> tuple[int | None, ...]:
    """Return the position of a piece of syntax: lines, then columns."""
    names = ("lineno", "end_lineno", "col_offset", "end_col_offset")
    return tuple(getattr(node, name) for name in names)
