"""Holding: for how long a frame keeps its values. A value is freed when no node that may still run needs it.

A value is needed by what takes it as an argument, an amount, a condition, a selector or a route, until that has
settled: retries included. A node that nobody has demanded and nobody will needs nothing. Sequences need no values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cascade.graph.tree import Choice
from cascade.runtime.programs.program import Program
from cascade.spec.calls.missing import MISSING

IDLE, SETTLED = 0, 4
"""The stages of a node that matter here."""


class Holding:
    """How many of a program's nodes still need the value of each other. Takes O(1) for each edge, in all."""

    __slots__ = ("_chosen", "_done", "_let_go", "_needed", "_program", "_stages", "_wanted")

    def __init__(self, program: Program, stages: bytearray, let_go: Callable[[int], None]) -> None:
        self._program = program
        self._stages = stages
        self._let_go = let_go
        self._needed = program.needed.copy()
        self._wanted = program.wanted.copy()
        self._done = bytearray(len(program))  # the nodes that need nothing any more
        self._chosen: dict[int, list[tuple[Choice, int | None]]] = {}

    def begin_with(self, node: int) -> None:
        """Note a node that has settled elsewhere; what decided about it may be looked at here once more."""
        if self._done[node]:
            return
        self._done[node] = True
        pending: list[int] = []
        selectors = [choice.selector for choice in self._program.choices.get(node, ())]
        for source in self._program.inputs[node]:
            if source not in selectors:
                self._drop(source, pending)
        for choice in self._program.choices.get(node, ()):
            for route in choice.routes:
                self._drop(route, pending)
        self._release(pending)

    def chose(self, node: int, choice: Choice, route: int | None) -> None:
        """Note which route a router takes; the others are not needed for it."""
        self._chosen.setdefault(node, []).append((choice, route))
        pending: list[int] = []
        for each in choice.routes:
            if each == route:
                route = None  # kept once, as it may be there for several keys
            else:
                self._drop(each, pending)
        self._release(pending)

    def settled(self, node: int) -> None:
        """Note that a node has settled, with a value or without."""
        if not self._needed[node]:
            self._forget(node)
        self.made(node)

    def made(self, node: int) -> None:
        """Note that the call of a node needs nothing any more; another tree may have come in its place."""
        if not self._done[node]:
            self._done[node] = True
            self._release([node])

    def _release(self, pending: list[int]) -> None:
        program = self._program
        while pending:
            node = pending.pop()
            for source in program.inputs[node]:
                self._drop(source, pending)
            for source in program.calls[node].conditions:
                self._drop(source, pending)
            for choice in program.choices.get(node, ()):
                for route in self._routes(node, choice):
                    self._drop(route, pending)
            for source in program.predecessors[node]:
                self._leave(source, pending)

    def _routes(self, node: int, choice: Choice) -> tuple[int, ...]:
        """Return the routes of a router that are still needed for it."""
        chosen = self._chosen.get(node, ())
        for index, (each, route) in enumerate(chosen):
            if each is choice:
                del self._chosen[node][index]
                return () if route is None else (route,)
        return choice.routes

    def _drop(self, source: int, pending: list[int]) -> None:
        left = self._needed[source] - 1
        self._needed[source] = left
        if not left and self._stages[source] == SETTLED:
            self._forget(source)
        self._leave(source, pending)

    def _leave(self, source: int, pending: list[int]) -> None:
        left = self._wanted[source] - 1
        self._wanted[source] = left
        if not left and self._stages[source] == IDLE and source != self._program.target:
            self._done[source] = True
            pending.append(source)

    def _forget(self, node: int) -> None:
        if node != self._program.target:
            self._let_go(node)


class InputHolding:
    """The same for a tree all of whose nodes are demanded: values are needed as inputs alone, until each has ended."""

    __slots__ = ("_done", "_inputs", "_needed", "_values")

    def __init__(self, program: Program, values: list[Any]) -> None:
        self._values = values
        self._inputs = program.inputs
        needed = self._needed = program.needed.copy()
        needed[program.target] += 1  # by whoever wants the tree
        self._done = bytearray(len(program))

    def settled(self, node: int) -> None:
        """Note that a node has settled, with a value or without."""
        # Once per node of every tree that gets a frame: watched by observatory/benchmarks/bench_scheduler.py.
        if not self._needed[node]:
            self._let_go(node)
        if not self._done[node]:
            self.made(node)

    def made(self, node: int) -> None:
        """Note that the call of a node needs nothing any more; another tree may have come in its place."""
        if self._done[node]:
            return
        self._done[node] = True
        needed = self._needed
        for source in self._inputs[node]:
            left = needed[source] - 1
            needed[source] = left
            if not left:
                self._let_go(source)

    begin_with = made

    def chose(self, node: int, choice: Choice, route: int | None) -> None:
        """Note which route a router takes; there are none."""

    def _let_go(self, node: int) -> None:
        if self._values[node] is not MISSING:
            self._values[node] = None
