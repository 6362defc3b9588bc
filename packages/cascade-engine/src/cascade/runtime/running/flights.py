"""Flights: a plain tree with coroutines in it, run by position and without a frame.

Its calls are inline or coroutines and have no policies; a coroutine is an asyncio task from the moment its inputs are
there. What a flight does not know how to do (a failure, a tree in the place of a call, the end of the run) it leaves
to a frame, which goes on where the flight stood. If somebody watches, it notes what happens and tells it soon after.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from cascade.adapters.call_facts import CallFacts, asking, facts_in_context
from cascade.runtime.fast.dependents import Course
from cascade.runtime.fast.stretches import arguments
from cascade.runtime.frames.frame import Job, Loop
from cascade.runtime.frames.outcomes import Failed, Outcome, Returned
from cascade.runtime.frames.reporting.flight_log import FlightLog
from cascade.runtime.frames.reporting.watching import WatchedTree
from cascade.runtime.programs.call_sites import makes_calls, plain_call
from cascade.runtime.programs.plain_values import (
    AWAITABLE,
    GIVEN,
    LAZY_TYPES,
    Awaited,
    Lazies,
    given,
    value_of,
)
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.runtime.strategies import BoundPlan
from cascade.spec.task import Task

STARTS_A_LOOK = 32
"""After so many coroutines are made the clock is looked at; after an inline call it always is."""

_NOTHING: Any = object()
_NONE = -1


class Arrived(NamedTuple):
    """A flight has the value of its target, which is what the round of its loop gives."""

    loop: Loop
    value: object


class HandedOver(NamedTuple):
    """A frame has taken the place of a flight, and an inline call that has ended is still to be taken in."""

    job: Job
    value: object
    failure: BaseException | None


Landing = Arrived | HandedOver | None
"""What is to be done after a flight has gone on: nothing, where it goes on by itself."""


class Flights:
    """The flights of one run that have not ended, by the number of their tree.

    `landed` are those of which coroutines have ended since they were last looked at.
    """

    __slots__ = (
        "calling",
        "ends",
        "frames",
        "heard_types",
        "inbox",
        "landed",
        "open",
        "ready",
        "reports",
        "run_id",
        "time_slice",
    )

    def __init__(self, services: Services, calling: Calling, frames: OpenFrames) -> None:
        self.calling = calling
        self.ends = calling.ends
        self.frames = frames
        self.heard_types = services.reports.bus.heard_types
        self.inbox = services.inbox
        self.ready = services.ready
        self.reports = services.reports
        self.run_id = services.run_id
        self.time_slice = services.time_slice
        self.open: dict[int, Flight] = {}
        self.landed: deque[Flight] = deque()

    def begin(self, loop: Loop, prepared: BoundPlan) -> None:
        """Let a tree start its first calls in its turn."""
        assert prepared.course is not None
        flight = Flight(self, loop, prepared.course, prepared.lazies)
        self.open[flight.serial] = flight
        self.ready.push(flight.serial, 0, flight)

    def note_landing(self, flight: Flight) -> None:
        """Note that coroutines of a flight have ended; told once until it has looked at them."""
        self.landed.append(flight)
        self.inbox.wake_up()

    def names(self) -> list[str]:
        """Return the names of the coroutines that have not ended."""
        return [name for flight in self.open.values() for name in flight.under_way()]

    def hand_over_all(self) -> None:
        """Let frames go on in the place of all flights: the run ends, and tells what became of each call."""
        for flight in [*self.open.values()]:
            flight.hand_over()


class Flight:
    """The calls of one tree that are under way: an asyncio task for each coroutine, its value filed by position."""

    # For each coroutine the asyncio task, one coroutine around the user's, and a few stores.
    # Watched by observatory/benchmarks/bench_scheduler.py.

    __slots__ = (
        "_began",
        "_course",
        "_errors",
        "_flights",
        "_jobs",
        "_landed",
        "_lazies",
        "_log",
        "_loop",
        "_missing",
        "_passed",
        "_ready",
        "_tasks",
        "_unbegun",
        "_users",
        "_values",
        "serial",
    )

    def __init__(self, flights: Flights, loop: Loop, course: Course, lazies: Lazies) -> None:
        size = len(lazies)
        self.serial = flights.frames.next_serial()
        self._flights = flights
        self._loop = loop
        self._course = course
        self._lazies = lazies
        self._missing = course.missing.copy()
        self._users = course.users.copy()
        self._passed = 0  # how many of the course's first calls have been started
        self._ready: list[int] = []  # the ranks of other calls that may start, as a heap
        self._values = [_NOTHING] * size
        self._tasks: list[asyncio.Task[Outcome | None] | None] = [None] * size
        self._began = [0.0] * size  # when a call began; 0.0 if it has not
        self._landed: list[int] = []  # the coroutines that have ended since the last look
        self._errors: dict[int, BaseException] = {}
        self._unbegun = 0  # asyncio tasks that have not had their first turn
        self._jobs: dict[int, Job] | None = None  # once a frame has taken over
        self._log: FlightLog | None = None  # if somebody watches
        if flights.time_slice.watched:
            self._begin_log(flights.reports.tree_begun(loop, self.serial, course.program, lazies))

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return self._flights.run_id

    def go_on(self) -> Landing:
        """Start the calls that are ready, as many as the slice has time for."""
        course, lazies, tasks = self._course, self._lazies, self._tasks
        time_slice = self._flights.time_slice
        if self._jobs is not None:
            return None
        if time_slice.bounded or not time_slice.direct:
            self.hand_over()
            return None
        if time_slice.watched and self._log is None:  # since now
            self._watch_from_now()
        came: Landing = None
        event_loop, asyncio_task, fly = asyncio.get_running_loop(), asyncio.Task, self._fly
        if asking.is_expected:
            fly = self._fly_known
        started = 0
        for rank in iter(self._next_rank, _NONE):
            node, filling = course.calls[rank]
            if course.is_async[node]:
                task = lazies[node].task
                args, kwargs = arguments(filling, lazies[node], self._values)
                work = fly(node, task, args, kwargs)
                tasks[node] = asyncio_task(work, loop=event_loop, name=task.name)
                started += 1
                if started % STARTS_A_LOOK:
                    continue
            elif (came := self._call(node, filling)) is not None:
                break
            if time_slice.is_over():
                self._flights.ready.push(self.serial, 0, self)
                break
        if started:
            self._unbegun += started
            event_loop.call_soon(self._after_first_turns)
        if self._log is not None:
            self._tell(self._log)
        try:
            return came
        finally:
            del came  # the traceback of a failure leads back to this frame: they would be a cycle

    def land(self) -> Landing:
        """Take in what coroutines have given since the last time, and let start what has waited for it."""
        if self._jobs is not None or not self._landed:
            return None
        values = self._values
        made = {node: given(values[node]) for node in self._landed if GIVEN[type(values[node])]}
        if self._errors or self._are_trees(made):
            self.hand_over()
            return None
        for node, value in made.items():
            values[node] = value
        landed, self._landed = self._landed, []
        if self._log is not None:
            self._tell(self._log)
        for node in landed:
            self._settle(node)
        if self._values[self._course.program.target] is not _NOTHING:
            return self._end()
        if self._ready:
            self._flights.ready.push(self.serial, 0, self)
        return None

    def under_way(self) -> list[str]:
        """Return the names of the coroutines that have not ended."""
        tasks = zip(self._tasks, self._lazies, strict=True)
        return [lazy.task.name for task, lazy in tasks if task is not None]

    def hand_over(self, called: int | None = None) -> None:
        """Let a frame go on from here; `called` is an inline call that has ended and is still to be taken in."""
        flights, landed = self._flights, self._landed
        flying = {node: task for node, task in enumerate(self._tasks) if task is not None}
        errors, self._errors = self._errors, {}
        outcomes: dict[int, Outcome] = {
            node: Failed(errors[node]) if node in errors else Returned(self._values[node]) for node in landed
        }
        under_way = [*landed, *flying, *(() if called is None else (called,))]
        settled = {
            node: value
            for node, value in enumerate(self._values)
            if value is not _NOTHING and node not in outcomes
        }
        log, self._log = self._log, None
        if log is not None:
            self._flights.reports.flight_went_on(log, self._values, {*under_way})
            self._flights.reports.flight_ended(log)
        del flights.open[self.serial]
        tree = BoundPlan(self._course.program, self._lazies, serial=self.serial)
        frame = flights.frames.open(self._loop, tree, settled, under_way)
        self._jobs = {node: Job(frame, node) for node in under_way}
        for node, job in self._jobs.items():
            if self._began[node]:
                job.note_started()
                job.began = self._began[node]
                if log is not None:
                    job.ended = log.ended[node]
                    flights.reports.note_running(job)
        for node, task in flying.items():
            flights.calling.adopt(self._jobs[node], task)
        self._tasks = []  # each has what its coroutine raises, whose traceback leads here
        self._values = []  # the frame has them, and coroutines under way have this flight
        for node, outcome in outcomes.items():
            flights.inbox.complete(self._jobs[node], outcome)

    def _next_rank(self) -> int:
        """Return the rank of the call that is to start next, in the plan's order; `_NONE` if none is ready."""
        first, passed, ready = self._course.first, self._passed, self._ready
        if passed == len(first):
            return heapq.heappop(ready) if ready else _NONE
        if ready and ready[0] < first[passed]:
            return heapq.heappop(ready)
        self._passed = passed + 1
        return first[passed]

    async def _fly_known(
        self, node: int, task: Task[Any], args: Iterable[Any], kwargs: dict[str, Any]
    ) -> Outcome | None:
        """Do the same with the call's facts in its context, where asyncio tasks that it starts find them."""
        facts_in_context.set((self.run_id, task.name))
        return await self._fly(node, task, args, kwargs)

    @makes_calls(lambda names: CallFacts(names["self"].run_id, names["task"].name))
    async def _fly(
        self, node: int, task: Task[Any], args: Iterable[Any], kwargs: dict[str, Any]
    ) -> Outcome | None:
        """Await a coroutine of the user's and file what it gives; return that if a frame has taken over."""
        self._unbegun -= 1
        self._began[node] = time.monotonic()
        if self._jobs is not None:
            self._flights.reports.started(self._jobs[node])
        elif self._log is not None:
            self._log.note_began(node)
        value, failure = _NOTHING, None
        try:
            value = await task.func(*args, **kwargs)
            if AWAITABLE[type(value)]:
                value = await value_of(value)
        except BaseException as error:  # noqa: BLE001 - the run decides what a failure means
            failure = error
        if self._jobs is not None:
            job = self._jobs[node]
            job.ended = time.monotonic()
            outcome = Returned(value) if failure is None else Failed(failure)
            try:
                return self._flights.ends.end(job, outcome)
            finally:
                del outcome, failure  # the traceback of an error has this frame: they would be a cycle
        # Asked for each coroutine, as one may subscribe. While nobody has, that costs a sixth of asking the bus.
        if self._log is None and self._flights.heard_types and self._flights.reports.hears_ends:
            self._watch_from_now()
        if self._log is not None:
            self._log.note_ended(node, time.monotonic())
        if failure is not None:
            self._errors[node] = failure
            failure = None
        self._file(node, value)
        return None

    def _file(self, node: int, value: Any) -> None:
        """Note that a coroutine has ended; its error, if it has one, is there already."""
        self._values[node] = value
        self._tasks[node] = None
        if not self._landed:
            self._flights.note_landing(self)
        self._landed.append(node)

    def _watch_from_now(self) -> None:
        """Note what happens for somebody who has come while calls are under way."""
        self._begin_log(WatchedTree(self.serial, self._course.program.names(self._lazies)))

    def _begin_log(self, tree: WatchedTree) -> None:
        self._log = FlightLog(tree, self._began)
        self._flights.reports.flight_begun(self._log)

    def _tell(self, log: FlightLog) -> None:
        if not self._landed:  # one of those may have failed, or returned a tree
            self._flights.reports.flight_went_on(log, self._values)

    def _after_first_turns(self) -> None:
        """Tell which coroutines have begun; file those that were cancelled before, which so never got to run."""
        if self._log is not None:
            self._tell(self._log)
        if not self._unbegun or self._jobs is not None:
            return
        self._unbegun = 0
        for node, task in enumerate(self._tasks):
            if task is not None and task.cancelled():
                self._errors[node] = asyncio.CancelledError()
                self._file(node, _NOTHING)

    @makes_calls(lambda names: plain_call(names["lazy"]))
    def _call(self, node: int, filling: Any) -> Landing:
        """Make an inline call; return `None` if the flight goes on."""
        time_slice, lazy = self._flights.time_slice, self._lazies[node]
        value, failure = None, None
        log = self._log
        self._began[node] = time.monotonic()
        if log is not None:
            log.note_began(node)
        try:
            args, kwargs = arguments(filling, lazy, self._values)
            value = lazy.task.func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
            failure = error
        now = time.monotonic()
        if log is not None:
            log.note_ended(node, now)
        if now > time_slice.ends:
            time_slice.note_overrun(lazy.task, now)
        is_target = node == self._course.program.target
        made = given(value) if GIVEN[type(value)] else value
        if failure is None and (type(made) not in LAZY_TYPES or (is_target and type(made) is not Awaited)):
            self._values[node] = made
            if log is not None and self._flights.reports.shows:
                self._tell(log)  # before a value is forgotten
            self._settle(node)
            return self._end() if is_target else None
        self.hand_over(node)
        assert self._jobs is not None
        try:
            return HandedOver(self._jobs[node], value, failure)
        finally:
            del failure  # its traceback has this frame: they would be a cycle

    def _settle(self, node: int) -> None:
        missing, rank = self._missing, self._course.program.rank
        users = self._users
        for source in self._course.program.inputs[node]:
            users[source] -= 1
            if not users[source]:
                self._values[source] = None  # nobody needs it any more
        for dependent in self._course.dependents.get(node, ()):
            left = missing[dependent] - 1
            missing[dependent] = left
            if not left:
                heapq.heappush(self._ready, rank[dependent])

    def _are_trees(self, made: dict[int, Any]) -> bool:
        """Tell whether one of these values has another tree in its place; the target's is the next round."""
        target = self._course.program.target
        return any(type(value) in LAZY_TYPES and node != target for node, value in made.items())

    def _end(self) -> Arrived:
        log, self._log = self._log, None
        if log is not None:
            self._tell(log)
            self._flights.reports.flight_ended(log)
        del self._flights.open[self.serial]
        return Arrived(self._loop, self._values[self._course.program.target])
