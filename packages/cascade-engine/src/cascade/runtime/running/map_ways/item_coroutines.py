"""Item coroutines: the items of a map that are awaited and need nothing else, each one asyncio task, by their index.

As in a flight, a value is filed by its place. Only an item that failed, or gave what stands for another value, gets an
object of its own, and so do those that are under way when the run ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from cascade.adapters.call_facts import CallFacts, asking, facts_in_context
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.outcomes import Failed, Outcome, Returned
from cascade.runtime.frames.reporting.flight_log import ItemLog
from cascade.runtime.programs.call_sites import makes_calls
from cascade.runtime.programs.plain_values import AWAITABLE, GIVEN, PLAIN, value_of
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.services import Services
from cascade.spec.calls.error_text import is_error
from cascade.spec.calls.missing import MISSING

STARTS_A_LOOK = 32
"""After so many coroutines are made the clock is looked at."""


class ItemCoroutines:
    """The maps of one run whose items are under way as coroutines."""

    __slots__ = (
        "calling",
        "ending",
        "ends",
        "heard_types",
        "inbox",
        "maps",
        "open",
        "reports",
        "run_id",
        "time_slice",
    )

    def __init__(self, services: Services, calling: Calling, maps: MapItems) -> None:
        self.calling = calling
        self.ending = services.ending
        self.ends = calling.ends
        self.heard_types = services.reports.bus.heard_types
        self.inbox = services.inbox
        self.maps = maps
        self.reports = services.reports
        self.run_id = services.run_id
        self.time_slice = services.time_slice
        self.open: dict[MapRun, ItemFlight] = {}

    def go_on(self, mapping: MapRun) -> None:
        """Begin the items of a map, as many as may be under way and as the slice has time for."""
        mapping.queued = False
        if mapping.can_begin and not self.ending.ended:
            flight = self.open.get(mapping)
            if flight is None:
                flight = self.open[mapping] = ItemFlight(self, mapping)
            flight.begin_items()

    def names(self) -> list[str]:
        """Return the names of the coroutines that have not ended."""
        return [mapping.job.name for mapping, flight in self.open.items() for _ in flight.tasks]

    def hand_over_all(self) -> None:
        """Let each coroutine under way be a call of its own: the run ends, and tells what became of them."""
        for flight in [*self.open.values()]:
            flight.hand_over()
        self.open.clear()


class ItemFlight:
    """The items of one map that are under way: `tasks` are the asyncio tasks by index."""

    # For each item the asyncio task, one coroutine around the user's, and a few stores.
    # Watched by observatory/benchmarks/bench_scheduler.py.

    __slots__ = ("_all", "_jobs", "_mapping", "_telling", "_unbegun", "tasks")

    def __init__(self, all_items: ItemCoroutines, mapping: MapRun) -> None:
        self._all = all_items
        self._mapping = mapping
        self._jobs: dict[int, ItemJob] | None = None  # once the run ends
        self._telling = False  # whether the event loop has been asked to tell what has happened
        self._unbegun = 0  # asyncio tasks that have not had their first turn
        self.tasks: dict[int, asyncio.Task[Outcome | None]] = {}

    def begin_items(self) -> None:
        """Begin items, the next ones in order."""
        mapping, tasks, values, fly = self._mapping, self.tasks, self._mapping.values, self._fly
        assert values is not None
        if mapping.log is None and self._all.time_slice.watched:
            mapping.log = ItemLog()
            self._all.reports.items_begun(mapping.job, mapping.log)
        name, event_loop, asyncio_task = mapping.job.name, asyncio.get_running_loop(), asyncio.Task
        call, columns = mapping.calls.plain_call()
        if asking.is_expected:
            fly = self._fly_known
        first = len(values)
        # The time that a coroutine takes is its own; what is looked at is that of making so many.
        while mapping.can_begin:
            count = min(STARTS_A_LOOK, mapping.room)
            some = slice(len(values), len(values) + count)
            for index, given in enumerate(zip(*[each[some] for each in columns], strict=True), len(values)):
                tasks[index] = asyncio_task(fly(index, call, given), loop=event_loop, name=name)
            values.extend([MISSING] * count)
            mapping.note_started(count)
            if self._all.time_slice.is_over():
                break
        self._unbegun += len(values) - first
        event_loop.call_soon(self._find_unbegun)

    async def _fly_known(
        self, index: int, call: Callable[..., Any], given: tuple[Any, ...]
    ) -> Outcome | None:
        """Do the same with the item's facts in its context, where asyncio tasks that it starts find them."""
        facts_in_context.set(self.facts(index))
        return await self._fly(index, call, given)

    def facts(self, index: int) -> CallFacts:
        """Return what an item's own code may know of its first attempt."""
        return CallFacts(self._all.run_id, self._mapping.job.name, index)

    @makes_calls(lambda names: names["self"].facts(names["index"]))
    async def _fly(self, index: int, call: Callable[..., Any], given: tuple[Any, ...]) -> Outcome | None:
        """Await a coroutine of the user's and file what it gives; return that if the run has ended meanwhile."""
        self._unbegun -= 1
        began = time.monotonic()
        if self._jobs is not None:
            if not self._jobs[index].started:
                self._all.reports.started(self._jobs[index])
        elif (log := self._mapping.log) is not None:
            log.note_began(index, began)
            if not self._telling:
                self._tell_soon()
        value, failure, outcome = MISSING, None, None
        try:
            value = await call(*given)
            if AWAITABLE[type(value)]:
                value = await value_of(value)
        except BaseException as error:  # noqa: BLE001 - the run decides what a failure means
            failure = error
        try:
            if self._jobs is not None:
                outcome = Returned(value) if failure is None else Failed(failure)
                self._jobs[index].ended = time.monotonic()
                return self._all.ends.end(self._jobs[index], outcome)
            self._file(index, value, failure, began)
            return None
        finally:
            # The traceback of an error has this frame: they would be a cycle.
            failure = outcome = None

    def _file(self, index: int, value: Any, failure: BaseException | None, began: float) -> None:
        """Take in what an item has given or raised."""
        mapping, tasks = self._mapping, self.tasks
        del tasks[index]
        if not tasks:
            self._all.open.pop(mapping, None)
        if failure is not None or (type(value) not in PLAIN and GIVEN[type(value)]):
            self._take_out(index, value, failure)
            return
        assert mapping.values is not None
        mapping.values[index] = value
        if (log := mapping.log) is not None and log.note_ended(index, time.monotonic()):
            if not self._telling:
                self._tell_soon()
        elif self._all.heard_types and self._all.reports.hears_ends:  # since it has begun
            job = ItemJob(mapping, index)
            job.started, job.began, job.ended = True, began, time.monotonic()
            self._all.ends.end(job, Returned(value))
        mapping.settle_items(1)
        if not mapping.queued and (mapping.finished or mapping.can_begin):
            self._all.maps.resume(mapping)

    def _take_out(self, index: int, value: Any, failure: BaseException | None) -> None:
        """Let an item go on as a call of its own; after a failure with its next attempt, if it has one."""
        job, every = self._job_of(index), self._all
        job.ended = time.monotonic()
        retry = job.policies.retry
        if failure is None:
            every.inbox.complete(job, every.ends.end(job, Returned(value)))
        elif retry is not None and is_error(failure, retry.on) and not every.ending.ended:
            every.calling.begin(job, failure)
        else:
            every.inbox.complete(job, every.ends.end(job, Failed(failure)))

    def _job_of(self, index: int) -> ItemJob:
        """Return what an item goes on as, by itself; what has happened so far is told."""
        job, log = ItemJob(self._mapping, index), self._mapping.log
        job.started = True
        if log is not None:
            self._tell()
            began = log.began.pop(index, None)
            job.started = began is not None
            if began is not None:
                job.began = began
                self._all.reports.note_running(job)
        return job

    def _tell_soon(self) -> None:
        """Let what has happened in this turn of the event loop be told at its end."""
        self._telling = True
        asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = False
        mapping = self._mapping
        if mapping.log is not None:
            self._all.reports.items_went_on(mapping.job, mapping.log, mapping.values)

    def _find_unbegun(self) -> None:
        """File the coroutines that somebody has cancelled before their first turn, which so never got to run."""
        if not self._unbegun or self._jobs is not None:
            return
        self._unbegun = 0
        for index, task in [*self.tasks.items()]:
            if task.cancelled():
                self._file(index, MISSING, asyncio.CancelledError(), 0.0)

    def hand_over(self) -> None:
        """Let each coroutine that is under way be a call of its own."""
        self._jobs = {index: self._job_of(index) for index in self.tasks}
        for index, task in self.tasks.items():
            self._all.calling.adopt(self._jobs[index], task)
        self.tasks = {}  # each has what its coroutine raises, whose traceback leads here
