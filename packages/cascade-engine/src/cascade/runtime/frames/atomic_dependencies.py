"""Atomic dependencies: which nodes of a frame depend on an atomic resource that is open for the whole run.

Such a call counts as done only when the resource has been released without an error: until then the release may undo
what the call did. A call depends on the resource if it takes it, if something that it waited for depends on it, or if
it belongs to a tree that stands in the place of a call which does. A resource of scope `task` does not matter here: it
is released before its call gives a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cascade.runtime.events import SkipReason
from cascade.runtime.flow import FlowManager
from cascade.runtime.programs.program import Program

_GATES = frozenset({SkipReason.CONDITION_FALSE, SkipReason.UPSTREAM_CONDITION, SkipReason.UPSTREAM_SEQUENCE})
"""Skips that were decided before any input was demanded."""


class AtomicDependencies:
    """The atomic dependencies of the nodes of one frame. A node is asked for when it settles, and remembered then.

    A resource is told by its name, and the empty text means none. `taken` gives the first open atomic resource of some
    names. The facts of `settled` nodes are final. All of the frame depends on the resource `whole`.
    """

    __slots__ = ("_flow", "_known", "_program", "_routed", "_taken", "whole")

    def __init__(
        self,
        taken: Callable[[Iterable[str]], str],
        program: Program,
        flow: FlowManager,
        settled: Iterable[int],
        whole: str,
    ) -> None:
        self._taken = taken
        self._program = program
        self._flow = flow
        self._known: dict[int, str] = dict.fromkeys(settled, "")
        self._routed: dict[int, str] = {}
        self.whole = whole

    def mark(self, node: int, resource: str) -> None:
        """Note the resource that a node depends on because the tree in its place does."""
        self._known[node] = resource

    def of(self, node: int) -> str:
        """Return the resource that a node depends on, whose call has been made."""
        if self.whole:
            return self.whole
        known = self._known
        pending = [] if node in known else [node]
        while pending:  # chains may be long
            each = pending[-1]
            atomic = known.get(each)
            if atomic is None:
                atomic = self._taken(self._program.resources[each])
                unknown = []
                for source in () if atomic else waited_for(self._program, each, self._flow.routes(each)):
                    other = known.get(source)
                    if other is None:
                        unknown.append(source)
                    elif other:
                        atomic = other
                        break
                if not atomic and unknown:
                    pending += unknown
                    continue
                known[each] = atomic
            pending.pop()
        return known[node]

    def of_skip(self, node: int, reason: str) -> str:
        """Return the resource that a skip depends on: the node's own resources were not taken."""
        if self.whole:
            return self.whole
        call = self._program.calls[node]
        sources = [*self._program.predecessors[node], *call.conditions]
        if reason not in _GATES:
            sources = [*waited_for(self._program, node, self._flow.routes(node))]
        self._known[node] = next((atomic for each in sources if (atomic := self.of(each))), "")
        return self._known[node]

    def of_routes(self, node: int, selector: int) -> str:
        """Return the resource that the routes of a node depend on, now that this selector has chosen."""
        self._routed[node] = self._routed.get(node, "") or self.of(selector)
        return self._routed[node]


def waited_for(program: Program, node: int, routes: Iterable[int]) -> Iterator[int]:
    """Give what a node has waited for, whose routers have taken these routes."""
    yield from program.predecessors[node]
    yield from program.calls[node].conditions
    yield from program.inputs[node]
    yield from routes
