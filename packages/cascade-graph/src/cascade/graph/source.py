"""Source: what the text of a function says of its returns, found by where the function's code says it stands.

A file is parsed as a whole, so that lambdas are found like any other function. Text that is not there or can't be
parsed shows nothing and is no error. What is kept are pieces of syntax: neither functions nor their values.
"""

from __future__ import annotations

import ast
import linecache
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from weakref import WeakKeyDictionary

FunctionSyntax = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Import:
    """What an import inside a function binds: a module, or what is called `name` there.

    `level` counts the leading dots of a relative import.
    """

    module: str
    name: str | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """What one function shows: the expressions that it returns, and all that its local names are bound to.

    `span` is where the body of a lambda stands: lines, then columns.
    """

    returned: tuple[ast.expr, ...]
    bound: dict[str, list[ast.expr | Import]]
    span: tuple[int | None, ...]


def shown_by(function: FunctionType) -> Shown | None:
    """Return what the source of a function shows; `None` if it can't be read. Reads it at the first call."""
    known = _known.get(function)
    if known is None:
        known = _known[function] = (_read(function),)
    return known[0]


# By function, since code objects of different files may be equal.
_known: WeakKeyDictionary[FunctionType, tuple[Shown | None]] = WeakKeyDictionary()


def _read(function: FunctionType) -> Shown | None:
    code = function.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    found = _functions_in(text).get((code.co_firstlineno, code.co_name), [])
    if len(found) > 1:  # lambdas in one line
        spans = set(code.co_positions())
        found = [each for each in found if each.span in spans]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=8)
def _functions_in(text: str) -> dict[tuple[int, str], list[Shown]]:
    """Return what the functions of a file show, by first line, that of a decorator if there is one, and name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler has told them when the file was imported
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[tuple[int, str], list[Shown]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), []).append(_shown(node))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            line = min(part.lineno for part in (node, *node.decorator_list))
            found.setdefault((line, node.name), []).append(_shown(node))
    return found


def _shown(function: FunctionSyntax) -> Shown:
    returned: list[ast.expr] = []
    bound: dict[str, list[ast.expr | Import]] = {}
    last: ast.AST = function
    if isinstance(function, ast.Lambda):
        returned.append(function.body)
        last = function.body
    for node in _own_nodes(function):
        if isinstance(node, ast.Return) and node.value is not None:
            returned.append(node.value)
        for name, value in _bindings(node):
            bound.setdefault(name, []).append(value)
    return Shown(tuple(returned), bound, _span(last))


def _own_nodes(function: FunctionSyntax) -> Iterator[ast.AST]:
    """Give the syntax of a function's body in the order of its text, functions and classes inside it left out."""
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        if not isinstance(node, _SCOPES):
            yield node
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | Import]]:
    """Give the names that a piece of syntax binds to an expression or an import."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.Import(names=aliases):
            for alias in aliases:
                top = alias.name.partition(".")[0]  # `import a.b` binds `a`
                yield (alias.asname, Import(alias.name)) if alias.asname else (top, Import(top))
        case ast.ImportFrom(module=module, names=aliases, level=level):
            for alias in aliases:
                yield alias.asname or alias.name, Import(module or "", alias.name, level)


def _span(node: ast.AST) -> tuple[int | None, ...]:
    names = ("lineno", "end_lineno", "col_offset", "end_col_offset")
    return tuple(getattr(node, name) for name in names)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
