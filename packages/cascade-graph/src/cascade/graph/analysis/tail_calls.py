"""Tail calls: the calls that the source of a task shows it to return.

This is static analysis and serves drawings only. What is found may be called, and what is not found may be called too,
since a task can make its next call in ways that no source shows. Nothing is imported and no code of the user runs:
names and attributes are looked up where they are stored.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from cascade.graph.analysis.name_scope import Scope, function_of
from cascade.graph.analysis.shown_source import shown_by
from cascade.spec import compose
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies.declared import POLICIES
from cascade.spec.routing import Router
from cascade.spec.task import AnyTask, PartialTask, Task


def tail_calls(task: AnyTask) -> tuple[AnyTask, ...]:
    """Return the tasks that `task` may return calls of, as its source shows: each once, in the order of the text.

    Seen are `return other(...)` and `return other.map(...)`, with or without policies chained to them; both sides of a
    conditional expression; local variables; `partial`, `cs.map`, `cs.pipeline`, and the last member of a `cs.sequence`.
    Names are followed through globals, closures, imports and attributes; `self` counts as the class, if that stands in
    a module. A generator, or a source that can't be read, shows none.

    The source is read once per function. Names are looked up at each call, so a task that is defined later is found.
    """
    function, receiver = function_of(task.func)
    if function is None or function.__code__.co_flags & _GENERATES:
        return ()
    shown = shown_by(function)
    if shown is None:
        return ()
    return tuple(_Search(Scope(function, receiver, shown)).tasks(shown.returned))


class _Expression(NamedTuple):
    """An expression whose value is returned; if `called`, what calling its value gives is returned."""

    syntax: ast.expr
    called: bool


class _Search:
    """Follows expressions down to the tasks that they name.

    A list takes the place of recursion, since expressions may nest deeply.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._pending: list[_Expression] = []
        self._found: dict[AnyTask, None] = {}

    def tasks(self, returned: tuple[ast.expr, ...]) -> dict[AnyTask, None]:
        """Return the tasks that these expressions are calls of, as the keys of a dict, which keep their order."""
        self._follow(False, *returned)
        seen: set[tuple[int, bool]] = set()  # `x = x or y` would be followed for ever
        while self._pending:
            expression = self._pending.pop()
            key = (id(expression.syntax), expression.called)
            if key not in seen:
                seen.add(key)
                self._look_at(*expression)
        return self._found

    def _follow(self, called: bool, *syntax: ast.expr) -> None:
        """Look at these expressions next, in this order."""
        self._pending.extend(_Expression(each, called) for each in reversed(syntax))

    def _look_at(self, syntax: ast.expr, called: bool) -> None:
        """Note the task that an expression names, or follow the expressions that its value comes from."""
        match syntax:
            case ast.IfExp(body=body, orelse=orelse):
                self._follow(called, body, orelse)
            case ast.BoolOp(values=values):
                self._follow(called, *values)
            case ast.NamedExpr(value=value):
                self._follow(called, value)
            case ast.Name(id=name):
                self._follow(called, *self._scope.bound_to(name))
                self._note(self._scope.value(syntax), called)
            case ast.Attribute(attr=attribute, value=inner):
                if not self._note(self._scope.value(syntax), called) and called and attribute == "map":
                    self._follow(True, inner)
            case ast.Call(func=ast.Attribute(attr="partial", value=inner)) if called:
                self._follow(True, inner)
            case ast.Call() if not called:
                self._look_at_call(syntax)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Dict(values=elements) if not called:
                self._follow(False, *elements)
            case ast.Starred(value=inner) | ast.Subscript(value=inner) if not called:
                self._follow(False, inner)

    def _look_at_call(self, call: ast.Call) -> None:
        """Follow a call: of a router to its routes, of a function that composes to what it returns, of a task to it."""
        value = self._scope.value(call.func)
        if value is Router:
            self._follow(False, *call.args, *(each.value for each in call.keywords))
            return
        composed = _COMPOSED.get(_hashable(value))
        if composed is not None:
            expression = composed(call.args)
            if expression is not None:
                self._follow(expression.called, expression.syntax)
            return
        if isinstance(call.func, ast.Attribute) and call.func.attr in _CHAINED:
            self._follow(False, call.func.value)  # `other(x).with_retry()` is a call of `other`
        self._follow(True, call.func)

    def _note(self, value: object, called: bool) -> bool:
        """Note the task that stands behind a value, called or returned; tell whether there is one."""
        task = task_of(value) if called else _lazy_task_of(value)
        if task is None:
            return False
        self._found.setdefault(task)
        return True


def task_of(value: Any) -> AnyTask | None:
    """Return the task that calling `value` calls."""
    # By type alone: a proxy may run code, or fail, when it is asked for its class.
    if type(value) in (staticmethod, classmethod, MethodType):
        value = value.__func__
    if type(value) is PartialTask:
        value = value.task
    return value if issubclass(type(value), Task) else None


def _lazy_task_of(value: Any) -> AnyTask | None:
    """Return the task that a lazy result is a call of."""
    return value.task if issubclass(type(value), LazyResult) else None


def _hashable(value: object) -> object:
    """Return a plain function, and `None` for all else: other values may have no hash."""
    return value if type(value) is FunctionType else None


def _mapped(args: list[ast.expr]) -> _Expression | None:
    return _Expression(args[0], True) if args else None


def _piped(args: list[ast.expr]) -> _Expression | None:
    # Only a list that is written out shows its last member.
    match args:
        case [_, ast.List(elts=[*_, last]) | ast.Tuple(elts=[*_, last])]:
            return _Expression(last, True)
    return None


def _gathered(args: list[ast.expr]) -> _Expression | None:
    return _Expression(ast.List(args, ast.Load()), False)


def _unpacked(args: list[ast.expr]) -> _Expression | None:
    return _Expression(args[0], False) if args else None


def _sequenced(args: list[ast.expr]) -> _Expression | None:
    match args:
        case [ast.List(elts=[*_, last]) | ast.Tuple(elts=[*_, last])]:
            return _Expression(last, False)
    return None


_COMPOSED: dict[object, Callable[[list[ast.expr]], _Expression | None]] = {
    compose.map: _mapped,
    compose.pipeline: _piped,
    compose.sequence: _sequenced,
    compose.gather: _gathered,
    compose.unpack: _unpacked,
}
"""For functions that compose lazy results: which expression their result comes from, given their arguments."""

_CHAINED = frozenset(row.method for row in POLICIES if row.method is not None)
"""The methods of a lazy result that give another one of the same task."""

_GENERATES = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
