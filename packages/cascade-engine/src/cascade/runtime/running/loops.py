"""Tail calls: where a target returns the next target, that one is run in its place, and nothing of the last is kept."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade.adapters.state.keys import FrameKey, FrameKind
from cascade.graph.path import ROOT
from cascade.runtime.fast.call_tables import PAUSED, Paused, Table
from cascade.runtime.fast.loop_source import (
    MISS,
    Left,
    StoppedLine,
    StraightLine,
)
from cascade.runtime.programs.plain_values import Lazies, Stopped
from cascade.runtime.programs.program import Program
from cascade.runtime.running.flights import Flight
from cascade.runtime.strategies import Known, Prepared
from cascade.spec.calls.missing import MISSING
from cascade.spec.compose import as_target
from cascade.spec.durable import NextRound
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult

if TYPE_CHECKING:
    from cascade.runtime.frames.frame import Frame
    from cascade.runtime.frames.jobs import Job
    from cascade.runtime.running.run import Run
    from cascade.runtime.sharing.single_flight import Computation
    from cascade.spec.task import Task


ROUNDS_A_LOOK = 16
"""After so many rounds the clock is looked at, where they are short."""

LOOK_SECONDS = 0.0005
"""Where the rounds between two looks take longer, the clock is looked at after each one."""


class Rest(NamedTuple):
    """The calls of a table that are still to be made, when the event loop has its turn; `values` are of the others."""

    table: Table
    prepared: Prepared
    values: list[Any]


class TailCallLoop:
    """The rounds that stand in the place of one call, or of the run itself (`job` is `None`).

    One frame at a time: it is closed and forgotten before the next one opens. `computation` is that of
    the cache key which the loop's value will fill: that of a run's first target, whose frame is gone by then.
    """

    __slots__ = (
        "_next",
        "_paused",
        "_prepared",
        "_returned_by",
        "atomic",
        "computation",
        "frame",
        "job",
        "met",
        "recovered",
        "round",
        "run",
    )

    def __init__(self, run: Run, job: Job | None, target: object) -> None:
        self.run = run
        self.job = job
        self.frame: Frame | None = None
        self.computation: Computation[Job] | None = None
        self.recovered = False
        self.atomic = ""  # the atomic resource that its rounds depend on
        self.met: set[Task[Any]] = set()  # the tasks of its rounds, as long as these depend on one
        self._next = as_target(target)
        self._returned_by = ""
        self._paused: Rest | None = None
        self._prepared: Prepared | None = None
        self.round = 0

    @property
    def target(self) -> LazyResult[Any]:
        """The target that is to be run next."""
        return self._next

    def prepare(self) -> Prepared:
        """Prepare the next target before it is its turn.

        Raises:
            CascadeError: If its tree makes no sense.
        """
        self._prepared = self.run.engine.reuse.prepare(self._next)
        return self._prepared

    def resume_at(self, pending: NextRound) -> None:
        """Begin at the round that a recorded run was in, with what is recorded of it."""
        self.recovered = True
        self._prepared = None
        self.round, self._next = pending

    def next_round(self, job: Job, target: LazyResult[Any]) -> None:
        """Close the frame whose target `job` returned the next target, and go on with that one.

        Raises:
            CascadeError: If the target can't be run.
        """
        self.begin_round(job, target)
        self.advance()

    def begin_round(self, job: Job, target: LazyResult[Any]) -> None:
        """Close the frame whose target `job` returned the next target; that one is not run yet."""
        if job.computation is not None:
            if self.job is None and self.round == 0:
                self.computation = job.computation
            else:
                job.computation.end_round()
            job.computation = None
        self.close()
        self.recovered = False
        self.round += 1
        self._next = target

    def close(self, last: bool = False) -> None:
        """Forget the current round; `last` if no other follows it."""
        if self.frame is not None:
            self.run.frames.close_frame(self.frame, last)
            self.frame = None

    def give_up(self) -> None:
        """Leave the cache keys that the loop's value was to fill to others."""
        for computation in (self.computation, None if self.job is None else self.job.computation):
            if computation is not None:
                computation.give_up()

    def advance(self) -> None:
        """Run rounds as plain calls as far as that goes; open a frame for one that needs it.

        Returns when a frame is open, the loop has its value, or the event loop wants its turn.

        Raises:
            CascadeError: If the next target can't be run.
        """
        run = self.run
        while True:
            value = self._go_on() if self._paused is not None else MISS
            if value is MISS and run.plain:
                value = self._call_heard() if run.heard else self._call_straight()
            if value is MISS:
                try:
                    value = self._call_prepared()
                except CascadeError as error:
                    if self._returned_by:
                        run.reports.note_place(error, self._returned_by, ROOT)
                    raise
                if value is MISS:
                    return
            if self._paused is not None:
                run.frames.queue_loop(self)
                return
            if isinstance(value, StoppedLine):
                self._go_on_from(*value)
                return
            if not isinstance(value, LazyResult):
                run.settler.settle_loop(self, value)
                return
            self._returned_by = self._next.task.name
            self._next = value
            if run.turn_is_over():
                run.frames.queue_loop(self)
                return

    def _call_straight(self) -> Any:
        """Run the next target by the code written for its structure; `MISS` if there is none."""
        target = self._next
        clock = time.monotonic
        for known in self.run.engine.reuse.candidates(target):
            straight = known.straight
            if straight is not None:
                run = self.run
                if not run.frames.announced and not run.frames.may_announce_later(known.program):
                    lazies = known.matcher(target) if known.matcher is not None else None
                    if lazies is None:
                        continue
                    run.frames.announce(target, lazies)
                began = clock()
                value = straight(target, repeat(None, 1))
                if value is not MISS:
                    run.frames.announce(target, [])
                    if known.note_duration(clock() - began):
                        return self._repeat(known, straight, value)
                    self.round += 1
                    self.run.engine.reuse.note_hits(known, 1)
                    return value
        return MISS

    def _repeat(self, known: Known, straight: StraightLine, value: Any) -> Any:
        """Run rounds for as long as they have this structure and the turn lasts; return what the last one gave."""
        # What it costs beside the rounds is watched by observatory/benchmarks/bench_loops.py.
        clock, ends = time.monotonic, self.run.turn_ends
        now = clock()
        done = some = 1
        while type(value) is LazyResult and now < ends:
            rounds = repeat(None, some)
            following = straight(value, rounds)
            done += some - length_hint(rounds)
            if following is MISS or isinstance(following, Left):
                done -= 1
                value = following.target if isinstance(following, Left) else value
                break
            value = following
            before, now = now, clock()
            some = min(2 * some, ROUNDS_A_LOOK) if now - before < LOOK_SECONDS else 1
        self.round += done
        self.run.engine.reuse.note_hits(known, done)
        return value

    def _call_heard(self) -> Any:
        """Run the next target by its table and tell of each call, and so the rounds after it that have its structure.

        Returns `MISS` if the structure is not known or has no table.
        """
        # Once per round of every plain loop with a listener: watched by observatory/benchmarks/bench_events.py.
        run, reuse = self.run, self.run.engine.reuse
        for known in reuse.candidates(self._next):
            table, match = known.table, known.matcher
            if table is None or match is None or not known.inline or known.seen < reuse.COMPILED_AT:
                continue
            lazies = match(self._next)
            if lazies is None:
                continue
            run.frames.announce(self._next, lazies)
            value: Any = self._next
            rounds = 0
            while lazies is not None:
                rounds += 1
                serial = run.frames.next_serial()
                values: list[Any] = []
                value = table.call_heard(lazies, run, values, serial)
                if value is PAUSED or type(value) is Stopped:
                    prepared = Prepared(known.program, lazies, table, serial=serial)
                    value = self._stopped(table, prepared, value, values)
                    break
                self.round += 1
                if type(value) is not LazyResult or run.turn_is_over():
                    break
                lazies = match(value)
            reuse.note_hits(known, rounds)
            return value
        return MISS

    def _call_prepared(self) -> Any:
        """Run the next target by its table; open a frame for it and return `MISS` if it has none."""
        run = self.run
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            prepared = run.engine.reuse.prepare(self._next)
        run.frames.check(prepared, self.atomic)
        if not run.plain or prepared.table is None or (prepared.course is not None and run.heard):
            self.frame = run.frames.open_frame(self, self._place(), prepared, {}, ())
            return MISS
        if prepared.course is not None:
            run.frames.begin_flight(
                Flight(run, self, prepared.course, prepared.lazies, run.frames.next_serial())
            )
            return MISS
        return self._call_table(prepared.table, prepared, [])

    def _call_table(self, table: Table, prepared: Prepared, values: list[Any]) -> Any:
        """Make the calls of a table that have no value yet; `_paused` is set if the turn is over before the last."""
        run = self.run
        if prepared.serial is None and run.heard:
            prepared = replace(prepared, serial=run.frames.next_serial())
        if prepared.serial is None:
            value = table.call(prepared.lazies, run, values)
        else:
            value = table.call_heard(prepared.lazies, run, values, prepared.serial)
        if value is PAUSED or type(value) is Stopped:
            return self._stopped(table, prepared, value, values)
        self.round += 1
        return value

    def _stopped(
        self, table: Table, prepared: Prepared, stopped: Stopped | Paused, values: list[Any]
    ) -> StoppedLine | None:
        """Return where the calls of a table stopped; if only the turn was over, `_paused` is set."""
        if isinstance(stopped, Stopped):
            return StoppedLine(prepared.program, prepared.lazies, stopped, prepared.serial)
        self._paused = Rest(table, prepared, values)
        return None

    def _go_on(self) -> Any:
        """Go on with the calls of a table after a turn of the event loop."""
        assert self._paused is not None
        paused, self._paused = self._paused, None
        return self._call_table(*paused)

    def open_paused(self) -> None:
        """Open a frame for calls that are paused, so that a run that ends can tell what never started."""
        if self._paused is not None:
            (table, prepared, values), self._paused = self._paused, None
            self._go_on_from(prepared.program, prepared.lazies, table.stopped(values), prepared.serial)

    def _go_on_from(self, program: Program, lazies: Lazies, stopped: Stopped, serial: int | None) -> None:
        """Hand a round that could not go on as plain calls over to a frame, with what it has done so far."""
        values = {node: value for node, value in enumerate(stopped.values) if value is not MISSING}
        under_way = [node for node, _ in stopped.trees]
        if stopped.node is not None:
            under_way.append(stopped.node)
        frame = self.open_frame(program, lazies, serial, values, under_way)
        for node, value in stopped.trees:
            self.run.settler.take_over(frame, node, Stopped(node, (), None, value))
        if stopped.node is not None:
            self.run.settler.take_over(frame, stopped.node, stopped)

    def open_frame(
        self,
        program: Program,
        lazies: Lazies,
        serial: int | None,
        values: dict[int, Any],
        under_way: Collection[int],
    ) -> Frame:
        """Open a frame for a round that has begun without one: some values are known, some calls under way."""
        prepared = Prepared(program, lazies, serial=serial)
        self.frame = self.run.frames.open_frame(self, self._place(), prepared, values, under_way)
        return self.frame

    def go_on_with(self, value: Any) -> None:
        """Go on with what a flight has given: the loop's value, or its next target."""
        self.round += 1
        if isinstance(value, LazyResult):
            self._returned_by = self._next.task.name
            self._next = value
            self.run.settler.advance(self)
        else:
            self.run.settler.settle_loop(self, value)

    def _place(self) -> FrameKey:
        key = None if self.job is None else self.job.key
        return FrameKey(key and key.frame, key and key.path, FrameKind.ROUND, self.round)
