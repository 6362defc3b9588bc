"""Recorded calls: those of a recorded tree in which every call is plain, made one after another.

Each value is recorded when its call ends. What depends on it waits for the commit, as in any recorded run. A call that
returns a lazy result, fails, or is its tree's target is given to `Completion`.
"""

from __future__ import annotations

import time
from functools import partial
from heapq import heappop
from typing import Any, NamedTuple

from cascade.graph.plain_structure import Arguments, Inputs, Link, PlainStructure, sources_of
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.frames.ready_calls import KnownValues
from cascade.runtime.frames.watching import WatchedTree, made_calls
from cascade.runtime.programs.call_sites import makes_calls, plain_call
from cascade.runtime.programs.plain_values import GIVEN, LAZY_TYPES, PLAIN, given
from cascade.runtime.programs.timed_calls import Ends
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.spec.errors import CascadeError
from cascade.spec.internal_tasks import PASS_THROUGH
from cascade.spec.lazy_types import LazyResult


class Called(NamedTuple):
    """A plain call and when it ended. If `is_open`, what it returned or raised is still to be taken in."""

    job: Job
    ended: float
    is_open: bool = False
    value: object = None
    failure: BaseException | None = None


class RecordedCalls:
    """Makes the ready calls of frames whose calls are all plain."""

    __slots__ = ("_frames", "_recording", "_reports", "_time_slice")

    def __init__(self, services: Services, frames: OpenFrames) -> None:
        self._frames = frames
        self._recording = services.recording
        self._reports = services.reports
        self._time_slice = services.time_slice

    @makes_calls(lambda names: plain_call(names["lazy"]))
    def go_on(self, frame: Frame) -> Called | None:
        """Make calls until none is ready, the slice is over, or one needs `Completion`; return the last."""
        # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
        calls, recording, time_slice = frame.recorded_calls, self._recording, self._time_slice
        if calls is None or recording is None:
            return None  # the frame was closed in the meantime
        calls.is_queued = False
        ranks, program, lazies, values = calls.ranks, frame.program, frame.lazies, calls.values
        structure, order, target = program.structure, program.order, program.target
        assert isinstance(structure, PlainStructure)
        links = structure.links
        keeps_many, clock = recording.keeps_many(frame), time.monotonic
        kept: list[int] = []
        later: list[int] = []
        ends: Ends = []
        node, began = -1, clock()
        now = began
        room = recording.commits.room
        while ranks:
            node = order[heappop(ranks)]
            lazy, link = lazies[node], links[node]
            failure: BaseException | None = None
            value: object = None
            try:
                if link is None:
                    value = lazy.task.func(*lazy.args, **lazy.kwargs)
                else:
                    args, kwargs = _filled(lazy, link, values)
                    value = lazy.task.func(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the user's own code
                failure = error
            now = clock()
            if (
                type(value) in PLAIN
                and keeps_many
                and failure is None
                and node != target
                and lazy.task not in PASS_THROUGH
            ):  # nobody can change it before it is kept with all others
                later.append(node)
                kept.append(node)
                ends.append(now)
                values[node] = value
                if now > time_slice.ends or len(kept) >= room:
                    break
                continue
            made = given(value) if GIVEN[type(value)] else value
            if failure is None and node != target and type(made) not in LAZY_TYPES:
                try:
                    recording.keep_plain(frame, node, made)
                except CascadeError as error:
                    failure = error
                else:
                    kept.append(node)
                    ends.append(now)
                    values[node] = made
                    if now > time_slice.ends or len(kept) >= room:
                        break
                    continue
            frame.note_started(node)
            self._take_in(frame, kept, later)
            self._report(frame, kept, began, ends)
            self._frames.queue_calls(frame)
            job = Job(frame, node)
            job.began = ends[-1] if ends else began
            try:
                return Called(job, now, True, value, failure)
            finally:
                failure = None  # its traceback has this frame: they would be a cycle
        self._take_in(frame, kept, later)
        self._report(frame, kept, began, ends)
        self._frames.queue_calls(frame)
        return None if node < 0 else Called(Job(frame, node), now)

    def _report(self, frame: Frame, nodes: list[int], began: float, ends: Ends) -> None:
        """Report calls that were made one after another."""
        calls = frame.recorded_calls
        if nodes and self._time_slice.watched and calls is not None:
            known = calls.values
            tree = WatchedTree(frame.serial, frame.program.names(frame.lazies))
            made = made_calls([known[node] for node in nodes], began, ends, self._reports.shows)
            self._reports.calls_made(tree, nodes, made)

    def _take_in(self, frame: Frame, kept: list[int], later: list[int]) -> None:
        """Note that these calls were made, and keep the values that were left for later."""
        frame.note_all_started(kept)
        if kept and self._recording is not None and frame.recorded_calls is not None:
            if later:
                self._recording.keep_many(frame, later, frame.recorded_calls.values)
            self._recording.commits.hold(partial(self._frames.settle_all, frame, kept))


def _filled(lazy: LazyResult[Any], link: Link, values: KnownValues) -> Arguments:
    """Return the arguments of a call that values of other nodes fill."""
    if isinstance(link, int):
        return (values[link],), {}
    if isinstance(link, Inputs):
        return link.fill(lazy, values)
    return [values[source] for source in sources_of(link)], {}
