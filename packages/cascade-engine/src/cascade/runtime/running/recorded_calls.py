"""Recorded stretches: the ready calls of a recorded tree in which every call is plain, made one after another.

Each value is recorded as it comes; what depends on it waits for the commit, as in any recorded run. A call that
returns a lazy result, fails, or is its tree's target goes the general way from there.
"""

from __future__ import annotations

import time
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from cascade.graph.tree import NO_CALL
from cascade.runtime.frames.jobs import Job
from cascade.runtime.programs.plain_values import GIVEN, LAZY_TYPES, given
from cascade.runtime.resolvers import resolve_arguments
from cascade.spec.errors import CascadeError

if TYPE_CHECKING:
    from cascade.runtime.frames.frame import Frame
    from cascade.runtime.recording.recorder import Recorder
    from cascade.runtime.running.run import Run


class _Values(dict[int, Any]):
    """The values of a frame's nodes; one that came the general way is where all facts are."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._value = frame.flow.value

    def __missing__(self, node: int) -> Any:
        return self._value(node)


class Stretch:
    """The ready calls of one frame, by their rank in its plan. `lies_ready` tells that the run has it in its queue."""

    __slots__ = ("_frame", "_ranks", "_recording", "_run", "_values", "lies_ready")

    def __init__(self, run: Run, recording: Recorder, frame: Frame) -> None:
        self._run = run
        self._recording = recording
        self._frame = frame
        self._ranks: list[int] = []
        self._values = frame.values = _Values(frame)
        self.lies_ready = False

    def add(self, node: int) -> None:
        """Note that a call is ready."""
        heappush(self._ranks, self._frame.program.rank[node])
        self._lie_ready()

    def _lie_ready(self) -> None:
        if self._ranks and not self.lies_ready:
            self.lies_ready = True
            self._run.starter.queue(self._frame.serial, self._ranks[0], self)

    def go_on(self) -> Job | None:
        """Make calls until there are no more, the turn is over or one has to go the general way; return the last."""
        # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
        self.lies_ready = False
        run, frame, ranks = self._run, self._frame, self._ranks
        if run.heard:
            nodes = [frame.program.order[rank] for rank in ranks]
            ranks.clear()
            for node in nodes:
                run.starter.queue(frame.serial, frame.program.rank[node], Job(frame, node))
            return None
        program, lazies, calls = frame.program, frame.lazies, frame.program.calls
        keep, clock = self._recording.keep_plain, time.monotonic
        kept: list[int] = []
        values = self._values
        node = -1
        room = self._recording.commits.room
        while ranks:
            node = program.order[heappop(ranks)]
            lazy, call = lazies[node], calls[node]
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
                    values[node] = made
                    if now > run.turn_ends or len(kept) >= room:
                        break
                    continue
            self._hold(kept)
            self._lie_ready()
            try:
                return run.settler.called_in_stretch(Job(frame, node), value, failure, now)
            finally:
                failure = None  # its traceback has this frame: they would be a cycle
        self._hold(kept)
        self._lie_ready()
        return None if node < 0 else run.starter.note_called(Job(frame, node), now)

    def _hold(self, kept: list[int]) -> None:
        if kept:
            self._recording.commits.hold(partial(self._run.frames.settle_stretch, self._frame, kept))
