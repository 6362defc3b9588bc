"""Shown source: what the text of a function says about its returns and its local names.

Text that is missing or can't be parsed shows nothing; that is no error. What is kept is syntax, and neither functions
nor their values.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType
from weakref import WeakKeyDictionary

from cascade.spec.late_dataclasses import dataclass
from cascade.spec.source.syntax import FunctionSyntax, span_of, syntax_of


@dataclass(frozen=True, slots=True)
class Import:
    """What an import inside a function binds: a module, or the attribute `name` of it.

    `level` is the number of leading dots of a relative import.
    """

    module: str
    name: str | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """What the text of one function shows.

    Attributes:
        returned: The expressions that it returns, in the order of the text.
        bound: All that each local name is bound to.
        span: Where the body of a lambda stands: lines, then columns.
    """

    returned: tuple[ast.expr, ...]
    bound: dict[str, list[ast.expr | Import]]
    span: tuple[int | None, ...]


def shown_by(function: FunctionType) -> Shown | None:
    """Return what the source of a function shows; `None` if it can't be read. The file is read at the first call."""
    known = _known.get(function)
    if known is None:
        known = _known[function] = (_read(function),)
    return known[0]


# By function and not by code, since the code objects of different files may be equal. A tuple, since `None` is a value.
_known: WeakKeyDictionary[FunctionType, tuple[Shown | None]] = WeakKeyDictionary()


def _read(function: FunctionType) -> Shown | None:
    syntax = syntax_of(function)
    return None if syntax is None else _shown(syntax)


def _shown(function: FunctionSyntax) -> Shown:
    """Return what the syntax of a function shows."""
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
    return Shown(tuple(returned), bound, span_of(last))


def _own_nodes(function: FunctionSyntax) -> Iterator[ast.AST]:
    """Give the syntax of the body of a function, in the order of its text, without functions and classes inside it."""
    # `ast.walk` goes breadth first and into functions inside; their returns are none of this function's.
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


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
