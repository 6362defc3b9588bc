"""Kept calls: what becomes of the values of calls that a run makes by itself, one after another of one frame.

A run that is not recorded gives each value to what waits for it, so that the next call of the plan may need it. In a
recorded run each is recorded, and all that wait go on after the commit. The calls are reported together.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from cascade.runtime.events import SkipReason
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.frames.reporting.watching import MadeCalls, WatchedTree
from cascade.runtime.programs.plain_values import PLAIN
from cascade.runtime.programs.timed_calls import Ends
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.spec.internal_tasks import PASS_THROUGH

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


class LargeValueError(Exception):
    """A value is to be put into the value store before it is recorded: its call goes on by itself."""


class KeptCalls:
    """The calls of one frame since the last report. `limit` is the place of the entry whose turn comes after them."""

    __slots__ = (
        "_ends",
        "_frame",
        "_frames",
        "_nodes",
        "_ready",
        "_reports",
        "_shown",
        "_watched",
        "began",
        "limit",
    )

    def __init__(self, services: Services, frames: OpenFrames, frame: Frame) -> None:
        self._frame = frame
        self._frames = frames
        self._ready = services.ready
        self._reports = services.reports
        self._watched = services.time_slice.watched
        self._nodes: list[int] = []
        self._ends: Ends = []
        self._shown: list[object] | None = [] if self._watched and services.reports.shows else None
        self.began = time.monotonic()
        self.limit = services.ready.first_place()

    def report(self) -> None:
        """Report the calls so far; the next one begins when the last of them has ended."""
        nodes, ends = self._nodes, self._ends
        if not nodes:
            return
        if self._watched:
            frame = self._frame
            tree = WatchedTree(frame.serial, frame.program.names(frame.lazies))
            self._reports.calls_made(tree, nodes, MadeCalls(len(nodes), self.began, ends, self._shown))
            self._shown = None if self._shown is None else []
        self.began = ends[-1]
        self._nodes, self._ends = [], []

    def _note(self, node: int, value: object, ended: float) -> None:
        self._nodes.append(node)
        self._ends.append(ended)
        if self._shown is not None:
            self._shown.append(value)


class ValuesHere(KeptCalls):
    """Values that a run which is not recorded has at once."""

    __slots__ = ("is_full",)

    def __init__(self, services: Services, frames: OpenFrames, frame: Frame) -> None:
        super().__init__(services, frames, frame)
        self.is_full = False  # once the frame's target has settled, no other call is to follow

    def keep(self, node: int, value: object, ended: float) -> None:
        """Give a value to what waits for it."""
        # Once per plain call of every frame: watched by observatory/benchmarks/bench_scheduler.py.
        self._note(node, value, ended)
        self._settle(node, value)

    def _settle(self, node: int, value: object) -> None:
        frame = self._frame
        frame.flow.put(node, value)
        frame.settle_made(node)
        if frame.ready or frame.skipped or node == frame.program.target:
            self._pass_on()

    def keep_hit(self, node: int, value: object) -> None:
        """Give a value that was in the cache to what waits for it."""
        frame = self._frame
        if self._watched:
            self.report()
            self._reports.skipped(Job(frame, node), SkipReason.CACHE_HIT)
            self.began = time.monotonic()
        self._settle(node, value)

    def _pass_on(self) -> None:
        if self._frame.skipped:
            self.report()  # events come in order
        self._frames.absorb(self._frame)
        self.is_full = self._frame.finished
        self.limit = self._ready.first_place()

    def end(self) -> None:
        """Report the calls, and let the others have their turn."""
        self.report()
        self._frames.requeue_calls(self._frame)


class RecordedValues(KeptCalls):
    """Values that are recorded, and that others have after the commit."""

    __slots__ = ("_has_store", "_keeps_many", "_kept", "_later", "_recording", "_room")

    def __init__(self, services: Services, frames: OpenFrames, frame: Frame, recording: Recorder) -> None:
        super().__init__(services, frames, frame)
        self._recording = recording
        self._has_store = recording.has_value_store
        self._keeps_many = recording.keeps_many(frame)
        self._kept: list[int] = []
        self._later: list[int] = []
        self._room = recording.commits.room

    def keep(self, node: int, value: object, ended: float) -> None:
        """Record a value.

        Raises:
            LargeValueError: If it is to be put into the value store before.
            CascadeError: If it can't be kept.
        """
        # Once per plain call of every recorded frame: watched by observatory/benchmarks/bench_durability.py.
        frame = self._frame
        if self._has_store and self._recording.is_put_ahead(frame.lazies[node].task, value):
            raise LargeValueError
        if self._keeps_many and type(value) in PLAIN and frame.lazies[node].task not in PASS_THROUGH:
            self._later.append(node)  # nobody can change it before it is kept with all others
        else:
            self._recording.keep_plain(frame, node, value)
        frame.flow.values[node] = value
        self._kept.append(node)
        self._note(node, value, ended)

    @property
    def is_full(self) -> bool:
        """Whether no other call is to follow: so many wait for a commit."""
        return len(self._kept) >= self._room

    def end(self) -> None:
        """Report the calls, let what depends on them wait for the commit, and the others have their turn."""
        frame, kept = self._frame, self._kept
        frame.note_all_started(kept)
        if kept:
            if self._later:
                self._recording.keep_many(frame, self._later, frame.flow.values)
            self._recording.commits.hold(partial(self._frames.settle_all, frame, kept))
        self.report()
        self._frames.requeue_calls(frame)
