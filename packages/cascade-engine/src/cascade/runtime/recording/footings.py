"""Footings: what the calls of a recorded run rest on, of the atomic resources that are open.

Made only for a recorded run whose engine has an atomic resource of scope `run`; one of scope `task` is released before
its call gives a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cascade.graph.analysis.static_analysis import tail_calls
from cascade.runtime.exceptions import AtomicLoopError
from cascade.runtime.flow import FlowManager
from cascade.runtime.frames.footing import Footing, waited_for
from cascade.runtime.programs.program import Program
from cascade.runtime.resource_manager import ResourceRegistry
from cascade.spec.internal_tasks import INTERNAL
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Inject
from cascade.spec.task import Task

_OWN = frozenset(INTERNAL.values())
"""Cascade's own tasks, which may be handed over many times without a loop."""


class Footings:
    """What the calls of one run rest on. A resource stands for itself by its name, for none the empty text does."""

    def __init__(self, registry: ResourceRegistry) -> None:
        self._registry = registry
        self._reached: dict[Task[Any], tuple[Task[Any], ...]] = {}
        self._loops: dict[Task[Any], Task[Any] | None] = {}
        self._checked: set[Task[Any]] = set()

    def of_frame(self, program: Program, flow: FlowManager, settled: Iterable[int], rests: str) -> Footing:
        """Return the footing of a frame, some of whose nodes have final facts; `rests` is what all of it rests on."""
        return Footing(self.taken, program, flow, settled, rests)

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
                or next((known[each] for each in waited_for(program, node, routes) if known[each]), "")
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


def _injected(task: Task[Any]) -> Iterator[str]:
    """Give the names of the resources that a task takes by default."""
    for parameter in task.signature.parameters.values():
        if isinstance(parameter.default, Inject):
            yield parameter.default.name


def goes_round(task: Task[Any], met: Iterable[Task[Any]]) -> bool:
    """Tell whether a task that is handed over as the next target was there before."""
    return task not in _OWN and task in met
