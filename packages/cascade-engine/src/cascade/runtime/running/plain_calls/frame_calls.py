"""Frame calls: the inline calls of frames that a run makes by itself, one after another in the plan's order.

What stands beside a call is a check in the loop. One that fails, that returns another tree or an awaitable, or that has
to wait for something, goes on by itself.
"""

from __future__ import annotations

import time
from heapq import heappop
from typing import Any, NamedTuple

from cascade.runtime.fast.stretches import arguments
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.programs.call_sites import makes_calls, plain_call
from cascade.runtime.programs.plain_values import GIVEN, LAZY_TYPES, PLAIN, Awaited, given
from cascade.runtime.resolvers import resolve_arguments
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.plain_calls.asked_calls import AskedCalls
from cascade.runtime.running.plain_calls.kept_calls import LargeValueError, RecordedValues, ValuesHere
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import MadeHere
from cascade.spec.errors import CascadeError
from cascade.spec.protocols import CacheKey, Hit


class Called(NamedTuple):
    """A call and when it ended. If `is_open`, what it returned or raised is still to be taken in."""

    job: Job
    ended: float
    is_open: bool = False
    value: object = None
    failure: BaseException | None = None


class FrameCalls:
    """Makes the ready calls of frames."""

    __slots__ = ("_asked", "_calling", "_frames", "_recording", "_resources", "_services", "_time_slice")

    def __init__(self, services: Services, calling: Calling, frames: OpenFrames) -> None:
        self._asked = AskedCalls(services)
        self._calling = calling
        self._frames = frames
        self._recording = services.recording
        self._resources = services.resources
        self._services = services
        self._time_slice = services.time_slice

    def go_on(self, frame: Frame) -> Called | None:
        """Make calls until none is ready, another entry comes first, the slice is over, or one goes on by itself.

        Returns the last of them.
        """
        calls = frame.ready_calls
        calls.queued_at = None
        if not calls.ranks or self._frames.by_serial.get(frame.serial) is not frame:
            self._calling.slot.give_back()
            return None  # these were made when another call let them go first, or the frame was closed
        kept: ValuesHere | RecordedValues
        if self._recording is None:
            kept = ValuesHere(self._services, self._frames, frame)
        else:
            kept = RecordedValues(self._services, self._frames, frame, self._recording)
        self._asked.begin()
        slot = self._calling.slot.take() if self._time_slice.bounded else None
        called: Called | None = None
        calls.queued_at = calls.MADE_NOW
        try:
            called = self._call_all(frame, kept)
            if called is not None and called.is_open:
                frame.note_started(called.job.position)
                if isinstance(called.value, Awaited):
                    called.value.lease, slot = slot or self._calling.hold(called.job), None
            kept.end()
            if called is not None:
                called.job.began = kept.began
            return called
        finally:
            if slot is not None:
                slot.release()
            del called  # the traceback of a failure leads back to this frame: they would be a cycle

    @makes_calls(lambda names: plain_call(names["lazy"]))
    def _call_all(  # noqa: C901 - a function per call would cost as much as the call
        self, frame: Frame, kept: ValuesHere | RecordedValues
    ) -> Called | None:
        # Once per plain call of every frame: watched by observatory/benchmarks/bench_scheduler.py.
        program, lazies, flow, ranks = frame.program, frame.lazies, frame.flow, frame.ready_calls.ranks
        order, links, unlinked, made_here = program.order, program.links, program.unlinked, frame.made_here
        values = flow.readable
        time_slice, clock, serial = self._time_slice, time.monotonic, frame.serial
        last = program.target if self._recording is not None else -1  # `Completion` ends a recorded frame
        node, now = -1, 0.0
        while ranks and (serial, ranks[0]) <= kept.limit:
            node = order[heappop(ranks)]
            lazy = lazies[node]
            key: CacheKey | None = None
            if made_here[node] == MadeHere.ASKED:
                found = self._asked.ask(frame, node)
                if found is None:
                    self._frames.queue_job(frame, node, clock())
                    return None
                if isinstance(found, Hit):
                    assert isinstance(kept, ValuesHere)
                    kept.keep_hit(node, found.value)
                    if kept.is_full or clock() > time_slice.ends:
                        return None
                    continue
                key = found if isinstance(found, CacheKey) else None
            failure: BaseException | None = None
            value: Any = None
            try:
                if unlinked[node]:
                    given_resources = self._resources.values
                    args, kwargs = resolve_arguments(lazy, program.call(node), flow.value, given_resources)
                    value = lazy.task.func(*args, **kwargs)
                elif links[node] is None:
                    value = lazy.task.func(*lazy.args, **lazy.kwargs)
                else:
                    filled, named = arguments(links[node], lazy, values)
                    value = lazy.task.func(*filled, **named)
            except BaseException as error:  # noqa: BLE001 - the user's own code
                failure = error
            now = clock()
            if type(value) not in PLAIN and GIVEN[type(value)]:
                value = given(value)
            if failure is None and type(value) not in LAZY_TYPES and node != last:
                if key is not None:
                    self._asked.keep(frame, node, key, value)
                try:
                    kept.keep(node, value, now)
                except LargeValueError:
                    pass
                except CascadeError as error:
                    failure = error
                else:
                    if kept.is_full or now > time_slice.ends:
                        return Called(Job(frame, node), now)
                    continue
            job = Job(frame, node)
            if key is not None and failure is None:
                job.computation = self._asked.computation(job, key)
            try:
                return Called(job, now, True, value, failure)
            finally:
                failure = None  # its traceback has this frame: they would be a cycle
        return None if node < 0 else Called(Job(frame, node), now)
