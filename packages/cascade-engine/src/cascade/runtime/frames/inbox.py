"""The inbox of a run: what has come about beside its own asyncio task, to be taken in there in its turn."""

from __future__ import annotations

import asyncio
from collections import deque

from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.frames.outcomes import Outcome


class Inbox:
    """What waits to be taken in by the run's own asyncio task, and the sleep of that, which it ends.

    `finished` has frames whose target has settled, `filed` calls whose value a cache has by now, and `completed` calls
    that have ended in asyncio tasks of their own, with how.
    """

    __slots__ = ("_wake", "completed", "filed", "finished")

    def __init__(self) -> None:
        self.finished: deque[Frame] = deque()
        self.filed: deque[Job] = deque()
        self.completed: deque[tuple[Job, Outcome]] = deque()
        self._wake: asyncio.Future[None] | None = None

    def complete(self, job: Job, outcome: Outcome) -> None:
        """Note how a call has ended, to be looked at in its turn."""
        self.completed.append((job, outcome))
        self.wake_up()

    def file(self, job: Job) -> None:
        """Note that a cache has the value of a call, which may now be used."""
        self.filed.append(job)
        self.wake_up()

    def wake_up(self) -> None:
        """Wake the run if it sleeps."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def sleep(self) -> None:
        """Wait until the run is woken."""
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def let_go(self) -> None:
        """Let go of what nobody takes in any more."""
        self.finished.clear()
        self.filed.clear()
        self.completed.clear()
