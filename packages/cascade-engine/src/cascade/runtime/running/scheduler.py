"""The scheduler of a run: the parts that run what is not made of plain inline calls, and the loop that drives them.

Each part gets what it needs when it is made, and knows none that stands after it. A run that its plain calls bring to
its end needs none of them.
"""

from __future__ import annotations

import asyncio

from cascade.runtime.running.completion import Completion
from cascade.runtime.running.dispatch import Dispatcher
from cascade.runtime.running.flights import Flights
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.map_ways.item_ways import ItemWays
from cascade.runtime.running.node_ends import NodeEnds
from cascade.runtime.running.services import Services


class Scheduler:
    """Starts what is ready and takes in what has ended, for one run. All its decisions are made in one asyncio task.

    Calls that are ready are started one after another. Before each one, everything that has happened since is taken in.
    """

    __slots__ = (
        "_ending",
        "_inbox",
        "_loops",
        "_recording",
        "_slice",
        "calling",
        "completion",
        "dispatcher",
        "flights",
        "items",
        "maps",
        "node_ends",
    )

    def __init__(self, services: Services, loops: Loops) -> None:
        self._ending = services.ending
        self._inbox = services.inbox
        self._recording = services.recording
        self._loops = loops
        self._slice = services.time_slice
        self.calling = Calling(services)
        self.flights = Flights(services, self.calling, loops.frames)
        self.maps = MapItems(services, loops.frames)
        self.node_ends = NodeEnds(services, loops.frames, self.maps)
        self.completion = Completion(services, self.calling, self.flights, self.node_ends, loops)
        self.items = ItemWays(services, self.calling, self.maps, loops, self.completion)
        self.dispatcher = Dispatcher(services, self.calling, loops, self.completion, self.items)

    async def work(self) -> None:
        """Start what is ready and take in what has ended, until the run has its end; this is its drive loop."""
        calling, completion, dispatcher = self.calling, self.completion, self.dispatcher
        finished = self._inbox.finished
        while True:
            while finished:
                completion.end_frame(finished.popleft())
            if self._ending.ended:
                return
            if self._take_in():
                if self._slice.is_over():
                    await self._yield()
                continue
            # Once so many calls have ended that are not committed, no other begins before a commit has returned.
            has_room = self._recording is None or self._recording.commits.room > 0
            entry = dispatcher.next_ready() if has_room else None
            if entry is None:
                await self._wait()
                continue
            job = dispatcher.start(entry)
            if calling.began_inline and self._recording is None:
                # It is made before the next one is begun: what then needs its value may come first.
                calling.began_inline = False
                await self._yield()
            elif self._slice.is_over():
                if job is not None:
                    self._slice.note_overrun(job.task, dispatcher.called_at)
                if self._recording is not None and not finished:  # the end commits what is left
                    self._recording.commits.begin_commit()
                await self._yield()

    def _take_in(self) -> bool:
        """Take in one thing that has happened: a commit, a value put into a cache, a call that ended or may be made.

        Returns False if there was nothing.
        """
        inbox, landed = self._inbox, self.flights.landed
        released = None if self._recording is None else self._recording.commits.take_released()
        if released is not None:
            released()
        elif inbox.filed:
            self.node_ends.settle(inbox.filed.popleft())
        elif inbox.completed:
            self.completion.take(*inbox.completed.popleft())
        elif inbox.made:
            self.node_ends.take_made(*inbox.made.popleft())
        elif self._loops.resumed:
            self.completion.advance(self._loops.resumed.popleft())
        elif landed:
            self.dispatcher.take_landing(landed.popleft().land())
        else:
            return False
        return True

    async def _yield(self) -> None:
        """Give the event loop its turn."""
        await asyncio.sleep(0)
        await self._confirm()
        self._slice.begin()

    async def _wait(self) -> None:
        """Sleep until something has happened."""
        commits = None if self._recording is None else self._recording.commits
        if commits is not None and commits.begin_commit():
            return
        is_committing = commits is not None and commits.under_way is not None
        assert is_committing or self._is_busy(), "a run has nothing to do and no end"
        await self._inbox.sleep()
        await self._confirm()
        self._slice.begin()

    def _is_busy(self) -> bool:
        """Tell whether something is under way that will wake the run."""
        return bool(
            self.calling.steps
            or self.flights.open
            or self.items.coroutines.open
            or self.node_ends.filing.under_way
            or self.calling.slot.is_awaited
            or self.maps.readiness.is_awaited
            or self._loops.is_busy
        )

    async def _confirm(self) -> None:
        if self._recording is not None:
            await self._recording.confirm()

    def under_way(self) -> list[str]:
        """Return the names of the calls that are under way in asyncio tasks."""
        return self.calling.names() + self.flights.names() + self.items.coroutines.names()

    def let_go(self) -> None:
        """Let go of everything: the traceback of an error has frames that know parts, and these know the error."""
        for part in (
            self.calling,
            self.completion,
            self.dispatcher,
            self.flights,
            self.items,
            self.maps,
            self.node_ends,
            self,
        ):
            let_go_of(part)


def let_go_of(part: object) -> None:
    """Empty a part of a run that has ended, whose class lists all its attributes as slots."""
    for name in type(part).__slots__:  # type: ignore[attr-defined]  # each part has them
        delattr(part, name)
