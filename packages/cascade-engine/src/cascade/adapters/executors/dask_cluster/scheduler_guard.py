"""What keeps Dask's scheduler from making a call twice by itself. The scheduler imports this module.

Dask makes a task again whose worker died (up to `allowed-failures` times), and computes a value again that was lost
with its worker. For calls with effects both are wrong: whether a call is made again is for its retry policy to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

ANNOTATION = "cascade"
"""Tasks with this annotation are guarded."""


class CallGuard(SchedulerPlugin):
    """Guards the tasks of all connections to one scheduler."""

    name = "cascade-call-guard"
    idempotent = True

    def __init__(self) -> None:
        self._scheduler: Any = None
        self._guarded: set[object] = set()

    async def start(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def update_graph(
        self, scheduler: Any, *, annotations: Mapping[str, Mapping[Any, object]], **_: Any
    ) -> None:
        """Let guarded tasks count as ones that have failed as often as they may: the first death is the last."""
        for key in annotations.get(ANNOTATION, ()):
            task = scheduler.tasks.get(key)
            if task is not None:
                task.suspicious = scheduler.allowed_failures
                self._guarded.add(key)

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Forget how a value was made as soon as it is there: if it is lost, it is like data that was sent."""
        # Once for each step of each task: nearly all of them end here.
        if finish in _ENDS and key in self._guarded:
            self._guarded.discard(key)
            task = self._scheduler.tasks.get(key)
            if finish == "memory" and task is not None:
                task.run_spec = None


_ENDS = frozenset({"memory", "erred", "forgotten"})
