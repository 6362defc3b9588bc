"""Opening: the resources that a tree's plain calls take are opened in an asyncio task, while the calls wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from cascade.adapters.spawning import spawn
from cascade.runtime.frames.frame import Loop
from cascade.runtime.resource_manager import ResourceRegistry, ResourceStack
from cascade.runtime.running.services import Services
from cascade.spec.common import IDEMPOTENCY_KEY, INPUTS
from cascade.spec.resource import Scope


def may_be_shared(names: Iterable[str], registry: ResourceRegistry) -> bool:
    """Tell whether all calls of a run share these, so that they can be opened before the calls.

    What depends on an atomic one is noted call by call.
    """
    return all(name == INPUTS or _is_shared(name, registry) for name in names)


def _is_shared(name: str, registry: ResourceRegistry) -> bool:
    if name == IDEMPOTENCY_KEY or registry.atomic_among((name,)):
        return False
    return registry.provider(name, "a task").scope is Scope.RUN


class Opening:
    """Opens resources of scope `run` for loops whose calls wait for them; `resume` is called with each one afterwards.

    `under_way` has the asyncio tasks.
    """

    __slots__ = ("_context", "_errors", "_reports", "_resources", "_resume", "under_way")

    def __init__(self, services: Services, resume: Callable[[Loop], None]) -> None:
        self._context = services.context
        self._reports = services.reports
        self._resources = services.resources
        self._resume = resume
        self._errors: dict[Loop, BaseException] = {}
        self.under_way: dict[asyncio.Task[None], Loop] = {}

    def begin(self, loop: Loop, names: Iterable[str]) -> None:
        """Open what the next calls of a loop take."""
        task = spawn(self._open(names), self._context)
        self.under_way[task] = loop
        task.add_done_callback(self._end)

    def take_error(self, loop: Loop) -> BaseException | None:
        """Return what opening has raised for a loop: its next call fails with it."""
        return self._errors.pop(loop, None)

    async def _open(self, names: Iterable[str]) -> None:
        stack = ResourceStack({INPUTS: self._resources.values[INPUTS]}, self._reports.resource)
        await self._resources.provide(names, stack, self._context)

    def _end(self, task: asyncio.Task[None]) -> None:
        loop = self.under_way.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._errors[loop] = error
        self._resume(loop)
        del error  # its traceback may lead here: they would be a cycle
