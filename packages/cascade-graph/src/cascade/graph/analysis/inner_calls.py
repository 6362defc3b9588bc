"""Inner calls: the calls of tasks that the source of a function shows it to make, and which takes the value of which.

This serves drawings only, as tail calls do: it shows what the factory of a `cs.map` builds for each item. Nothing is
called.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NamedTuple

from cascade.graph.analysis.name_scope import Scope, function_of
from cascade.graph.analysis.shown_source import shown_by
from cascade.graph.analysis.tail_calls import task_of
from cascade.spec.task import AnyTask


class InnerCalls(NamedTuple):
    """The tasks that are called, one for each call in the text, and the arrows between these calls by position."""

    tasks: tuple[AnyTask, ...]
    arrows: tuple[tuple[int, int], ...]


NO_CALLS = InnerCalls((), ())


def inner_calls(function: Callable[..., Any]) -> InnerCalls:
    """Return the calls of tasks that a function makes on the way to what it returns, as its source shows.

    Local variables are followed. A source that can't be read shows none. The last call is the one that is returned.
    """
    plain, receiver = function_of(function)
    shown = None if plain is None else shown_by(plain)
    if plain is None or shown is None:
        return NO_CALLS
    search = _Search(Scope(plain, receiver, shown))
    for returned in shown.returned:
        search.follow(returned, None)
    search.run()
    count = len(search.tasks) - 1
    # Found from the returned call on, shown from the first call on.
    arrows = dict.fromkeys((count - source, count - target) for source, target in search.arrows)
    return InnerCalls(tuple(reversed(search.tasks)), tuple(arrows))


class _Search:
    """Follows expressions to the calls in them; `taker` is the call whose argument an expression is."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._pending: list[tuple[ast.expr, int | None]] = []
        self._calls: dict[int, int] = {}  # by the id of the syntax, which the source keeps
        self._seen: set[tuple[int, int | None]] = set()
        self.tasks: list[AnyTask] = []
        self.arrows: list[tuple[int, int]] = []

    def follow(self, syntax: ast.expr, taker: int | None) -> None:
        self._pending.append((syntax, taker))

    def run(self) -> None:
        while self._pending:
            syntax, taker = self._pending.pop()
            if (id(syntax), taker) in self._seen:
                continue
            self._seen.add((id(syntax), taker))
            if isinstance(syntax, ast.Call):
                self._look_at_call(syntax, taker)
            elif isinstance(syntax, ast.Name):
                for bound in self._scope.bound_to(syntax.id):
                    self.follow(bound, taker)
            elif not isinstance(syntax, ast.Lambda):
                for inner in ast.iter_child_nodes(syntax):
                    if isinstance(inner, ast.expr):
                        self.follow(inner, taker)

    def _look_at_call(self, call: ast.Call, taker: int | None) -> None:
        task = self._called(call.func)
        made = taker if task is None else self._calls.get(id(call))
        if task is not None and made is None:
            made = self._calls[id(call)] = len(self.tasks)
            self.tasks.append(task)
        if task is not None and taker is not None and made is not None:
            self.arrows.append((made, taker))
        if isinstance(
            call.func, ast.Attribute
        ):  # a policy that is chained to a call, or a method of something
            self.follow(call.func.value, taker if task is None else made)
        for argument in (*call.args, *(each.value for each in call.keywords)):
            self.follow(argument, made)

    def _called(self, function: ast.expr) -> AnyTask | None:
        """Return the task that a call of this expression calls, or maps."""
        found = task_of(self._scope.value(function))
        if found is None and isinstance(function, ast.Attribute) and function.attr == "map":
            found = task_of(self._scope.value(function.value))
        return found
