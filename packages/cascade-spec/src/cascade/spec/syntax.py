"""Syntax: the text of a function as a tree, found by where the function's code says it stands.

A file is parsed as a whole, so that lambdas are found like any other function. Text that is not there or can't be
parsed shows nothing and is no error. Trees are walked iteratively, however deep an expression is.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import warnings
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType

FunctionSyntax = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def syntax_of(function: FunctionType) -> FunctionSyntax | None:
    """Return the syntax of a function; `None` if it can't be read. Reads the file, if that has not been done."""
    code = function.__code__
    found = _functions_in(_text_of(function)).get((code.co_firstlineno, code.co_name), [])
    if len(found) > 1:  # lambdas in one line
        spans = set(code.co_positions())
        found = [each for each in found if span_of(_last(each)) in spans]
    return found[0] if len(found) == 1 else None


def is_current(function: FunctionType) -> bool:
    """Tell whether the file's text is what the function was made from, and has not been edited since."""
    return function.__code__ in _codes_in(_text_of(function), function.__code__.co_filename)


def _text_of(function: FunctionType) -> str:
    file = function.__code__.co_filename
    linecache.checkcache(file)
    return "".join(linecache.getlines(file, function.__globals__))


@lru_cache(maxsize=8)
def _functions_in(text: str) -> dict[tuple[int, str], list[FunctionSyntax]]:
    """Return the functions of a file by first line, that of a decorator if there is one, and name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler has told them when the file was imported
            tree = ast.parse(text)
    except _UNREADABLE:
        return {}
    found: dict[tuple[int, str], list[FunctionSyntax]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            line = min(part.lineno for part in (node, *node.decorator_list))
            found.setdefault((line, node.name), []).append(node)
    return found


@lru_cache(maxsize=8)
def _codes_in(text: str, file: str) -> frozenset[CodeType]:
    """Return the code of all functions of a file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = compile(text, file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except _UNREADABLE:
        return frozenset()
    return frozenset(codes_below(whole))


_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def codes_below(code: CodeType) -> Iterator[CodeType]:
    """Give a piece of code and all that it contains, in the order of the text."""
    pending = [code]
    while pending:
        each = pending.pop()
        yield each
        pending.extend(part for part in reversed(each.co_consts) if isinstance(part, CodeType))


def _last(function: FunctionSyntax) -> ast.AST:
    return function.body if isinstance(function, ast.Lambda) else function


def span_of(node: ast.AST) -> tuple[int | None, ...]:
    """Return where a piece of syntax stands: lines, then columns."""
    names = ("lineno", "end_lineno", "col_offset", "end_col_offset")
    return tuple(getattr(node, name) for name in names)


def syntax_digest(function: FunctionSyntax) -> bytes:
    """Return the sha256 of what a function does, by its text.

    Left out are what does not change a value (positions, comments, docstrings, decorators of the function itself) and
    what differs between versions of Python for the same text.
    """
    hashed = hashlib.sha256()
    pending: list[object] = [function]
    while pending:
        part = pending.pop()
        if isinstance(part, _Mark):
            hashed.update(part)
        elif isinstance(part, list):
            hashed.update(b"[%d:" % len(part))
            pending.extend(reversed(part))
        elif isinstance(part, ast.AST):
            name = type(part).__name__
            hashed.update(b"(%d:%b" % (len(name), name.encode()))
            pending.append(_Mark(b")"))
            for field, value in reversed(_fields(part, outermost=part is function)):
                pending += (value, _Mark(b"%d:%b=" % (len(field), field.encode())))
        else:
            hashed.update(_constant(part))
    return hashed.digest()


class _Mark(bytes):
    """What stands between the parts of a tree; a plain `bytes` is a constant of the user's."""


def _fields(node: ast.AST, outermost: bool) -> list[tuple[str, object]]:
    """Return the fields of a node that say something, by name."""
    fields = []
    for name in sorted(node._fields):
        value = getattr(node, name, None)
        if name in _IGNORED or (outermost and name == "decorator_list"):
            continue
        if (
            name == "body"
            and isinstance(node, _WITH_DOCSTRING)
            and ast.get_docstring(node, clean=False) is not None
        ):
            value = node.body[1:]
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _merged(node.values)
        if isinstance(node, ast.Constant) or (value is not None and value != []):
            fields.append((name, value))
    return fields


_IGNORED = {"ctx", "kind", "type_comment", "type_ignores"}
_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _merged(parts: list[ast.expr]) -> list[object]:
    """Return the parts of an f-string, its literal text in as few pieces as can be: parsers differ in that."""
    merged: list[object] = []
    for part in parts:
        text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else None
        if text is None:
            merged.append(part)
        elif merged and isinstance(merged[-1], str):
            merged[-1] += text
        elif text:
            merged.append(text)
    return merged


def _constant(value: object) -> bytes:
    if isinstance(value, str):
        content = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        content = value
    elif isinstance(value, int):
        content = hex(value).encode()
    else:  # a float, a complex number, `None` or `...`
        content = repr(value).encode()
    return b"<%b %d:%b>" % (type(value).__name__.encode(), len(content), content)


Name = tuple[str, ...]
"""A name and attributes of it, as they are written: `("math", "pi")`."""


def names_read(function: FunctionSyntax) -> list[Name]:
    """Return the names that a function reads, with the attributes taken of them, sorted.

    Those in the functions and classes inside it and in its annotations count too; those in its decorators don't.
    """
    found: set[Name] = set()
    decorators = {id(each) for each in getattr(function, "decorator_list", ())}
    pending: list[ast.AST] = [function]
    while pending:
        node = pending.pop()
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            found.add((node.id, *reversed(attributes)))
        else:
            pending.extend(each for each in ast.iter_child_nodes(node) if id(each) not in decorators)
    return sorted(found)


def declared_global(function: FunctionSyntax) -> set[str]:
    """Return the names that a function, or one inside it, declares to be those of the module."""
    return {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
