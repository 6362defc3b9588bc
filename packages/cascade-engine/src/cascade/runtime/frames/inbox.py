"""The inbox of a run: what has happened outside of its drive loop, which takes it in, one thing after the other."""

from __future__ import annotations

import asyncio
from collections import deque

from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.frames.map_runs import MapRun
from cascade.runtime.frames.outcomes import Outcome


class Inbox:
    """What the drive loop has to take in. It sleeps here, and is woken when something comes.

    `finished` has frames whose target has settled. `filed` has calls whose value is in the cache now. `completed` has
    calls that have ended in asyncio tasks of their own, with their outcomes. `made` has items of maps that have given
    values, by their index, of which nothing is to be told or recorded.
    """

    __slots__ = ("_wake", "completed", "filed", "finished", "made")

    def __init__(self) -> None:
        self.finished: deque[Frame] = deque()
        self.filed: deque[Job] = deque()
        self.completed: deque[tuple[Job, Outcome]] = deque()
        self.made: deque[tuple[MapRun, list[tuple[int, object]]]] = deque()
        self._wake: asyncio.Future[None] | None = None

    def make(self, mapping: MapRun, values: list[tuple[int, object]]) -> None:
        """Put in what items of a map have given."""
        self.made.append((mapping, values))
        self.wake_up()

    def complete(self, job: Job, outcome: Outcome) -> None:
        """Put in how a call has ended."""
        self.completed.append((job, outcome))
        self.wake_up()

    def file(self, job: Job) -> None:
        """Put in a call whose value is in the cache now, so that others may use the value."""
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
        """Drop everything: the run has ended, and nobody takes it in any more."""
        self.finished.clear()
        self.filed.clear()
        self.completed.clear()
        self.made.clear()
