"""Recorded calls: those of a recorded tree in which every call is plain, made one after another.

Each value is recorded when its call ends. What depends on it waits for the commit, as in any recorded run. A call that
returns a lazy result, fails, or is its tree's target is given to `Completion`.
"""

from __future__ import annotations

import time
from functools import partial
from heapq import heappop
from typing import NamedTuple

from cascade.graph.tree import NO_CALL
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.frames.watching import WatchedTree, made_calls
from cascade.runtime.programs.plain_values import GIVEN, LAZY_TYPES, given
from cascade.runtime.programs.timed_calls import Ends
from cascade.runtime.resolvers import resolve_arguments
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.spec.errors import CascadeError


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

    def go_on(self, frame: Frame) -> Called | None:
        """Make calls until none is ready, the slice is over, or one needs `Completion`; return the last."""
        # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
        calls, recording, time_slice = frame.recorded_calls, self._recording, self._time_slice
        if calls is None or recording is None:
            return None  # the frame was closed in the meantime
        calls.is_queued = False
        ranks, program, lazies, values = calls.ranks, frame.program, frame.lazies, calls.values
        keep, clock = recording.keep_plain, time.monotonic
        kept: list[int] = []
        ends: Ends = []
        node, began = -1, clock()
        now = began
        room = recording.commits.room
        while ranks:
            node = program.order[heappop(ranks)]
            lazy, call = lazies[node], program.calls[node]
            frame.note_started(node)
            failure: BaseException | None = None
            value: object = None
            try:
                args, kwargs = lazy.args, lazy.kwargs
                if call is not NO_CALL:
                    args, kwargs = resolve_arguments(lazy, call, values.__getitem__, {})
                value = lazy.task.func(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the user's own code
                failure = error
            now = clock()
            made = given(value) if GIVEN[type(value)] else value
            if failure is None and node != program.target and type(made) not in LAZY_TYPES:
                try:
                    keep(frame, node, made)
                except CascadeError as error:
                    failure = error
                else:
                    kept.append(node)
                    ends.append(now)
                    values[node] = made
                    if now > time_slice.ends or len(kept) >= room:
                        break
                    continue
            self._report(frame, kept, began, ends)
            self._hold(frame, kept)
            self._frames.queue_calls(frame)
            job = Job(frame, node)
            job.began = ends[-1] if ends else began
            try:
                return Called(job, now, True, value, failure)
            finally:
                failure = None  # its traceback has this frame: they would be a cycle
        self._report(frame, kept, began, ends)
        self._hold(frame, kept)
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

    def _hold(self, frame: Frame, kept: list[int]) -> None:
        if kept and self._recording is not None:
            self._recording.commits.hold(partial(self._frames.settle_all, frame, kept))
