"""Scopes: which names a piece of syntax takes from around it.

Follows Python's scoping rules on the text: a name that is bound in a function, a lambda, a comprehension or a class
body is not the module's name. The answer is the same in every version of Python.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

Name = tuple[str, ...]
"""A name and the attributes that are taken of it, as they are written: `("math", "pi")`."""

_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_Position = tuple[int, int]


class _Scope:
    """The names that a function, a comprehension or a class body binds; `since` says from which line on, in a class."""

    def __init__(self, node: ast.AST, outer: _Scope | None) -> None:
        self.outer = outer
        self.is_class = isinstance(node, ast.ClassDef)
        self.bound = set(bound_in(node))
        self.globals: set[str] = set()
        for each in _own_nodes(node):
            if isinstance(each, ast.Global):
                self.globals.update(each.names)
            elif isinstance(each, ast.Nonlocal):
                self.bound.difference_update(each.names)
        self.since = _since(node) if isinstance(node, ast.ClassDef) else {}

    def binds(self, name: str, at: _Position) -> bool:
        """Return whether a name that is read here is bound inside the piece of syntax that is looked at."""
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.globals:
                return False
            if name in scope.bound and (
                not scope.is_class or (scope is self and scope.since.get(name, (0, 0)) <= at)
            ):
                return True
            scope = scope.outer
        return False


@lru_cache(maxsize=1024)
def free_names(root: ast.AST, *, with_defaults: bool = True) -> frozenset[Name]:
    """Return the names that a piece of syntax reads and does not bind, with the attributes taken of them.

    The decorators of a function are left out, and without `with_defaults` the defaults of its parameters.
    """
    found: set[Name] = set()
    pending: list[tuple[ast.AST, _Scope | None]] = []
    if isinstance(root, _Function):
        pending += [(each, _Scope(root, None)) for each in _body(root)]
        pending += [(each, None) for each in _annotations(root)]
        pending += [(each, None) for each in _defaults(root) if with_defaults]
    else:
        pending.append((root, None))
    while pending:
        node, scope = pending.pop()
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            is_read = attributes or isinstance(node.ctx, ast.Load)
            if is_read and not (scope and scope.binds(node.id, (node.lineno, node.col_offset))):
                found.add((node.id, *reversed(attributes)))
        else:
            if isinstance(node, ast.AugAssign) and isinstance(
                node.target, ast.Name
            ):  # it reads what it stores
                pending.append((ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target), scope))
            pending += _inside(node, scope)
    return frozenset(found)


def _inside(node: ast.AST, scope: _Scope | None) -> Iterator[tuple[ast.AST, _Scope | None]]:
    """Yield the parts of a node, each with the scope that its names are looked up in."""
    if isinstance(node, _Function):
        inner = _Scope(node, scope)
        yield from ((each, inner) for each in _body(node))
        around = [*_annotations(node), *_defaults(node), *getattr(node, "decorator_list", ())]
        yield from ((each, scope) for each in around)
    elif isinstance(node, ast.ClassDef):
        inner = _Scope(node, scope)
        yield from ((each, inner) for each in node.body)
        keywords = [each.value for each in node.keywords]
        yield from ((each, scope) for each in (*node.bases, *keywords, *node.decorator_list))
    elif isinstance(node, _Comprehension):
        inner = _Scope(node, scope)
        yield node.generators[0].iter, scope
        for number, each in enumerate(node.generators):
            yield each.target, inner
            yield from ((test, inner) for test in each.ifs)
            if number:
                yield each.iter, inner
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        yield from ((each, inner) for each in parts)
    else:
        yield from ((each, scope) for each in ast.iter_child_nodes(node))


def _body(node: ast.AST) -> list[ast.AST]:
    body: list[ast.AST] | ast.AST = getattr(node, "body", [])
    return list(body) if isinstance(body, list) else [body]


def _defaults(node: ast.AST) -> list[ast.expr]:
    arguments: ast.arguments = getattr(node, "args")  # noqa: B009 - of a function or a lambda
    return [*arguments.defaults, *(each for each in arguments.kw_defaults if each is not None)]


def _annotations(node: ast.AST) -> list[ast.AST]:
    returns = getattr(node, "returns", None)
    found = [each.annotation for each in _parameters(node) if each.annotation is not None]
    return [*found, *([] if returns is None else [returns])]


def _parameters(node: ast.AST) -> list[ast.arg]:
    arguments = getattr(node, "args", None)
    if not isinstance(arguments, ast.arguments):
        return []
    starred = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the syntax that belongs to a scope itself: of the scopes inside it only the head."""
    pending = _body(scope)
    if isinstance(scope, _Comprehension):
        pending = [each.target for each in scope.generators]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (*_Function, ast.ClassDef, *_Comprehension)):
            pending.extend(ast.iter_child_nodes(node))


def bound_in(scope: ast.AST) -> Iterator[str]:
    """Yield the names that a scope binds."""
    yield from (each.arg for each in _parameters(scope))
    yield from (each.name for each in getattr(scope, "type_params", ()))
    for node in _own_nodes(scope):
        if isinstance(node, _BINDING):
            yield from bindings(node)
        elif isinstance(node, _Comprehension) and not isinstance(scope, _Comprehension):
            yield from _walruses(node)


_BINDING = (
    *(ast.Name, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
    *(ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping),
)


def bindings(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node itself binds in the scope around it."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from (each.asname or each.name.partition(".")[0] for each in aliases)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


def _walruses(comprehension: ast.AST) -> Iterator[str]:
    """Yield the names that `:=` inside a comprehension binds in the function around it."""
    pending = [comprehension]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.NamedExpr):
            yield node.target.id
        if not isinstance(node, (*_Function, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))


def _since(scope: ast.ClassDef) -> dict[str, _Position]:
    """Return from where on each name of a class body is bound; read before that, it is a name from outside."""
    found: dict[str, _Position] = {}
    for statement in scope.body:
        end = (statement.end_lineno or 0, statement.end_col_offset or 0)
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            end = (0, 0)
        for node in (statement, *_own_nodes_of(statement)):
            for name in bindings(node):
                found.setdefault(name, end)
    return found


def _own_nodes_of(statement: ast.stmt) -> Iterator[ast.AST]:
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        if not isinstance(node, (*_Function, ast.ClassDef, *_Comprehension)):
            children = list(ast.iter_child_nodes(node))
            yield from children
            pending.extend(children)
