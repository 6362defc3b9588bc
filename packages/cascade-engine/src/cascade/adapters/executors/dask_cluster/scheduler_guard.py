"""What keeps Dask's scheduler from making a call twice by itself. The scheduler imports this module.

Dask makes a task again whose worker died (up to `allowed-failures` times) or has left in good order, and computes a
value again that was lost with its worker. For calls with effects all of this is wrong: whether a call is made again is
for its retry policy to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

ANNOTATION = "cascade"
"""Tasks with this annotation are guarded. It is the topic of their connection."""


class CallGuard(SchedulerPlugin):
    """Guards the tasks of all connections to one scheduler."""

    name = "cascade-call-guard"
    idempotent = True

    def __init__(self) -> None:
        self._scheduler: Any = None
        self._topics: dict[object, str] = {}
        self._workers: dict[object, Any] = {}  # which worker has been given a task

    async def start(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def update_graph(self, scheduler: Any, *, annotations: Mapping[str, Mapping[Any, str]], **_: Any) -> None:
        """Let guarded tasks count as ones that have failed as often as they may: the first death is the last."""
        for key, topic in annotations.get(ANNOTATION, {}).items():
            task = scheduler.tasks.get(key)
            if task is not None:
                task.suspicious = scheduler.allowed_failures
                self._topics[key] = topic

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Take in a step of a task."""
        # Once for each step of each task.
        topic = self._topics.get(key)
        if topic is None:
            return
        task = self._scheduler.tasks.get(key)
        if finish == "processing":
            self._workers[key] = task.processing_on
        elif start == "processing" and finish == "released" and task.who_wants:
            self._give_up(key, task, topic)
        elif finish in _ENDS:
            del self._topics[key]
            self._workers.pop(key, None)
            if finish == "memory" and task is not None:
                # Forget how the value was made as soon as it is there: if it is lost, it is like data that was sent.
                task.run_spec = None

    def _give_up(self, key: Any, task: Any, topic: str) -> None:
        """Let a task be forgotten that is taken from its worker: that may have begun it, and goes on for a while."""
        task.has_lost_dependencies = True  # Dask's word for what can't be done any more
        worker = self._workers.get(key)
        left = [worker.host, worker.nanny] if worker is not None else ["", None]
        self._scheduler.log_event(topic, {"key": key, "left": left})


_ENDS = frozenset({"memory", "erred", "forgotten"})
