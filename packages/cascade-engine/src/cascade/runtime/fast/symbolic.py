"""Exploration: what a tree's demand would do, found out by letting it do so with symbols for values.

The order of calls, skips and routes comes from `Demand` itself: code that is written after an exploration has no order
of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.runtime.events import SkipReason
from cascade.runtime.frames.demand import Demand
from cascade.runtime.programs.program import Program
from cascade.spec.lazy_types import LazyResult


class Branch(NamedTuple):
    """Where the way forks: at the truth of a node's value or, if it selects a route, at which key it is."""

    node: int
    is_key: bool


Assumptions = Mapping[Branch, Hashable]
"""What is supposed at each branch: a truth, or a key."""


class Action(NamedTuple):
    """A node that is called, or skipped for a reason."""

    node: int
    skipped: SkipReason | None = None


class Explored(NamedTuple):
    """What happens as far as some assumptions go, in its order, and the branch that is not decided, if there is one.

    `left_out` are the nodes that nobody has asked for in the end; `None` if more would have to be assumed to know it.
    """

    actions: list[Action]
    branch: Branch | None = None
    left_out: list[Action] | None = None


def explore(program: Program, lazies: list[LazyResult[Any]], assumptions: Assumptions) -> Explored:
    """Return what happens as far as the assumptions go."""
    actions: list[Action] = []
    state = _Symbols(program, assumptions)
    key = FrameKey(None, None, FrameKind.ROUND, 0)
    frame = Demand(key, program, lazies, state)
    ready: list[tuple[int, int]] = []

    def take() -> None:
        actions.extend(Action(node, reason) for node, reason in frame.skipped)
        frame.skipped.clear()
        for node in frame.ready:
            heapq.heappush(ready, (program.rank[node], node))
        frame.ready.clear()

    try:
        frame.begin(())
        take()
        while not frame.finished:
            node = heapq.heappop(ready)[1]
            actions.append(Action(node))
            state.put_result(frame.node_key(node), None)
            frame.settle(node)
            take()
    except _UndecidedError as fork:
        take()
        return Explored(actions, fork.branch)
    try:
        left_out = [Action(node, reason) for node, reason in frame.left_out()]
    except _UndecidedError:
        return Explored(actions)
    return Explored(actions, None, left_out)


class _UndecidedError(BaseException):
    """A branch that no decision is there for. No `Exception`, so that no code takes it for the user's."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch


class _Symbols(InMemoryStateBackend):
    """Keeps a symbol in place of each value."""

    def __init__(self, program: Program, assumptions: Assumptions) -> None:
        super().__init__()
        self._nodes = {path: node for node, path in enumerate(program.paths)}
        self._assumptions = assumptions

    def put_result(self, key: NodeKey, value: object) -> None:
        super().put_result(key, _Symbol(self._nodes[key.path], self._assumptions))


class _Symbol:
    """Stands for a node's value: its truth, and the key that it is, are what was decided."""

    __slots__ = ("_assumptions", "_node")

    def __init__(self, node: int, assumptions: Assumptions) -> None:
        self._node = node
        self._assumptions = assumptions

    def _decided(self, is_key: bool) -> Hashable:
        branch = Branch(self._node, is_key)
        if branch not in self._assumptions:
            raise _UndecidedError(branch)
        return self._assumptions[branch]

    def __bool__(self) -> bool:
        return bool(self._decided(is_key=False))

    def __hash__(self) -> int:
        return hash(self._decided(is_key=True))

    def __eq__(self, other: object) -> bool:
        return self._decided(is_key=True) == other
