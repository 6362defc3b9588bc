"""Atomic loops: refuses loops of a recorded run that depend on an atomic resource which is open for the whole run.

No round of such a loop would count as done before the run ends, so nothing of the loop would be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cascade.graph.analysis.tail_calls import tail_calls
from cascade.runtime.exceptions import AtomicLoopError
from cascade.runtime.frames.atomic_dependencies import waited_for
from cascade.runtime.programs.program import Program
from cascade.runtime.sharing.resource_registry import ResourceRegistry
from cascade.spec.internal_tasks import INTERNAL_TASKS
from cascade.spec.lazy_types import Lazy
from cascade.spec.resource import Inject
from cascade.spec.task import AnyTask

"""Cascade's own tasks, which may be handed over many times without a loop."""


class AtomicLoops:
    """Checks the trees of one run. What it finds out about a task's tail calls is remembered."""

    def __init__(self, registry: ResourceRegistry) -> None:
        self._registry = registry
        self._reached: dict[AnyTask, tuple[AnyTask, ...]] = {}
        self._loops: dict[AnyTask, AnyTask | None] = {}
        self._checked: set[AnyTask] = set()

    def check(self, program: Program, lazies: list[Lazy], atomic: str = "") -> None:
        """Check that no loop which the source of these tasks shows depends on an atomic resource.

        `atomic` is the resource that all of the tree depends on; empty for none.

        Raises:
            AtomicLoopError: If one does; it names the resource and a task that goes round.
        """
        known: list[str] = [""] * len(program)
        for node in program.order:
            call = program.calls[node]
            routes = (route for choice in call.choices() for route in choice.routes)
            known[node] = (
                atomic
                or self._registry.atomic_among(program.resources[node])
                or next((known[each] for each in waited_for(program, node, routes) if known[each]), "")
            )
            task = lazies[node].task
            if known[node]:
                self._refuse(task, known[node])
            elif task not in self._checked:
                for each in self._reachable(task):
                    if taken := self._registry.atomic_among(_injected(each)):
                        self._refuse(each, taken)
                self._checked.add(task)

    def _refuse(self, task: AnyTask, resource: str) -> None:
        """Refuse a call that depends on a resource if it leads to a loop by tail calls."""
        if task not in self._loops:
            self._loops[task] = next((each for each in self._reachable(task) if self._is_in_loop(each)), None)
        loop = self._loops[task]
        if loop is not None:
            raise AtomicLoopError(resource, loop.name)

    def _is_in_loop(self, task: AnyTask) -> bool:
        return any(task in self._reachable(each) for each in tail_calls(task))

    def _reachable(self, task: AnyTask) -> tuple[AnyTask, ...]:
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


def _injected(task: AnyTask) -> Iterator[str]:
    """Give the names of the resources that a task takes by default."""
    for parameter in task.signature.parameters.values():
        if isinstance(parameter.default, Inject):
            yield parameter.default.name


def goes_round(task: AnyTask, met: Iterable[AnyTask]) -> bool:
    """Tell whether a task that is handed over as the next target was there before."""
    return task not in INTERNAL_TASKS and task in met
