"""Footing: what the nodes of a frame rest on, of the atomic resources that are open.

A call rests on such a resource if it takes it, if something that it waited for does, or if it stands in the place of a
call that does. It counts as done only after the release of the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cascade.runtime.events import SkipReason
from cascade.runtime.flow import FlowManager
from cascade.runtime.programs.program import Program

_GATES = frozenset({SkipReason.CONDITION_FALSE, SkipReason.UPSTREAM_CONDITION, SkipReason.UPSTREAM_SEQUENCE})
"""Skips that were decided before any input was demanded."""


class Footing:
    """What the nodes of one frame rest on, as far as it has been asked for. Asked of a node when it settles."""

    __slots__ = ("_flow", "_known", "_program", "_routed", "_taken", "whole")

    def __init__(
        self,
        taken: Callable[[Iterable[str]], str],
        program: Program,
        flow: FlowManager,
        settled: Iterable[int],
        whole: str,
    ) -> None:
        self._taken = taken  # gives the first open atomic resource of some names
        self._program = program
        self._flow = flow
        self._known: dict[int, str] = dict.fromkeys(settled, "")
        self._routed: dict[int, str] = {}
        self.whole = whole

    def mark(self, node: int, resource: str) -> None:
        """Note what the value of a node rests on, as what stands in its place does."""
        self._known[node] = resource

    def of(self, node: int) -> str:
        """Return the resource that a node rests on, whose call has been made; empty if there is none."""
        if self.whole:
            return self.whole
        known = self._known
        pending = [] if node in known else [node]
        while pending:  # chains may be long
            each = pending[-1]
            rests = known.get(each)
            if rests is None:
                rests = self._taken(self._program.resources[each])
                unknown = []
                for source in () if rests else waited_for(self._program, each, self._flow.routes(each)):
                    other = known.get(source)
                    if other is None:
                        unknown.append(source)
                    elif other:
                        rests = other
                        break
                if not rests and unknown:
                    pending += unknown
                    continue
                known[each] = rests
            pending.pop()
        return known[node]

    def of_skip(self, node: int, reason: str) -> str:
        """Return the resource that a skip rests on: of the node's own resources none was taken."""
        if self.whole:
            return self.whole
        call = self._program.calls[node]
        sources = [*self._program.predecessors[node], *call.conditions]
        if reason not in _GATES:
            sources = [*waited_for(self._program, node, self._flow.routes(node))]
        self._known[node] = next((rests for each in sources if (rests := self.of(each))), "")
        return self._known[node]

    def of_routes(self, node: int, selector: int) -> str:
        """Return the resource that the routes of a node rest on, now that this selector has chosen."""
        self._routed[node] = self._routed.get(node, "") or self.of(selector)
        return self._routed[node]


def waited_for(program: Program, node: int, routes: Iterable[int]) -> Iterator[int]:
    """Give what a node has waited for, whose routers have taken these routes."""
    yield from program.predecessors[node]
    yield from program.calls[node].conditions
    yield from program.inputs[node]
    yield from routes
