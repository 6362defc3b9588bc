"""Footing: what rests on an atomic resource that is open, and so counts as done only after the resource's release.

A call rests on such a resource if it takes it, if something that it waited for does, or if it stands in the place of a
call that does. Made only for a recorded run whose engine has an atomic resource of scope `run`; one of scope `task`
is released before its call gives a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cascade.graph.analysis.static_analysis import tail_calls
from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import AtomicLoopError
from cascade.spec.internal_tasks import INTERNAL
from cascade.spec.resource import Inject
from cascade.spec.task import Task

if TYPE_CHECKING:
    from cascade.runtime.flow import FlowManager
    from cascade.runtime.programs.program import Program
    from cascade.runtime.resource_manager import ResourceRegistry
    from cascade.spec.lazy_types import LazyResult

_OWN = frozenset(INTERNAL.values())
"""Cascade's own tasks, which may be handed over many times without a loop."""

_GATES = frozenset({SkipReason.CONDITION_FALSE, SkipReason.UPSTREAM_CONDITION, SkipReason.UPSTREAM_SEQUENCE})
"""Skips that were decided before any input was demanded."""


class Footings:
    """What the calls of one run rest on. A resource stands for itself by its name, for none the empty text does."""

    def __init__(self, registry: ResourceRegistry) -> None:
        self._registry = registry
        self._reached: dict[Task[Any], tuple[Task[Any], ...]] = {}
        self._loops: dict[Task[Any], Task[Any] | None] = {}
        self._checked: set[Task[Any]] = set()

    def of_frame(self, program: Program, flow: FlowManager, settled: Iterable[int], rests: str) -> Footing:
        """Return the footing of a frame, some of whose nodes have final facts; `rests` is what all of it rests on."""
        return Footing(self, program, flow, settled, rests)

    def taken(self, names: Iterable[str]) -> str:
        """Return the first atomic resource that is open for one of these names, if any is."""
        return self._registry.atomic_among(names)

    # Loops: one that rests on a resource of the whole run would never come to count as done

    def check(self, program: Program, lazies: list[LazyResult[Any]], rests: str = "") -> None:
        """Check that no loop which the source of these tasks shows rests on an atomic resource.

        Raises:
            AtomicLoopError: If one does; it names the resource and a task that goes round.
        """
        known: list[str] = [""] * len(program)
        for node in program.order:
            call = program.calls[node]
            routes = (route for choice in call.choices() for route in choice.routes)
            known[node] = (
                rests
                or self.taken(program.resources[node])
                or next((known[each] for each in _waited_for(program, node, routes) if known[each]), "")
            )
            task = lazies[node].task
            if known[node]:
                self._refuse(task, known[node])
            elif task not in self._checked:
                for each in self._reachable(task):
                    if taken := self.taken(_injected(each)):
                        self._refuse(each, taken)
                self._checked.add(task)

    def _refuse(self, task: Task[Any], resource: str) -> None:
        """Refuse a call that rests on a resource if it leads to a loop."""
        if task not in self._loops:
            self._loops[task] = next((each for each in self._reachable(task) if self._is_in_loop(each)), None)
        loop = self._loops[task]
        if loop is not None:
            raise AtomicLoopError(resource, loop.name)

    def _is_in_loop(self, task: Task[Any]) -> bool:
        return any(task in self._reachable(each) for each in tail_calls(task))

    def _reachable(self, task: Task[Any]) -> tuple[Task[Any], ...]:
        """Return the task and all that it leads to by tail calls."""
        known = self._reached.get(task)
        if known is None:
            met = {task: None}
            pending = [task]
            while pending:
                for each in tail_calls(pending.pop()):
                    if each not in met:
                        met[each] = None
                        pending.append(each)
            known = self._reached[task] = tuple(met)
        return known


class Footing:
    """What the nodes of one frame rest on, as far as it has been asked for. Asked of a node when it settles."""

    __slots__ = ("_flow", "_footings", "_known", "_program", "_routed", "whole")

    def __init__(
        self, footings: Footings, program: Program, flow: FlowManager, settled: Iterable[int], whole: str
    ) -> None:
        self._footings = footings
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
                rests = self._footings.taken(self._program.resources[each])
                unknown = []
                for source in () if rests else _waited_for(self._program, each, self._flow.routes(each)):
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
            sources = [*_waited_for(self._program, node, self._flow.routes(node))]
        self._known[node] = next((rests for each in sources if (rests := self.of(each))), "")
        return self._known[node]

    def of_routes(self, node: int, selector: int) -> str:
        """Return the resource that the routes of a node rest on, now that this selector has chosen."""
        self._routed[node] = self._routed.get(node, "") or self.of(selector)
        return self._routed[node]


def _waited_for(program: Program, node: int, routes: Iterable[int]) -> Iterator[int]:
    yield from program.predecessors[node]
    yield from program.calls[node].conditions
    yield from program.inputs[node]
    yield from routes


def _injected(task: Task[Any]) -> Iterator[str]:
    """Give the names of the resources that a task takes by default."""
    for parameter in task.signature.parameters.values():
        if isinstance(parameter.default, Inject):
            yield parameter.default.name


def goes_round(task: Task[Any], met: Iterable[Task[Any]]) -> bool:
    """Tell whether a task that is handed over as the next target was there before."""
    return task not in _OWN and task in met
