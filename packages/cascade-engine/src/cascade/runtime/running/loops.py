"""Loops: where a target returns the next target, that one is run in its place, and nothing of the last is kept."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from itertools import repeat
from operator import length_hint
from typing import Any, NamedTuple

from cascade.graph.path import ROOT
from cascade.runtime.fast.call_tables import PAUSED, Table, Waiting
from cascade.runtime.fast.gates import Gate
from cascade.runtime.fast.loop_source import MISS, CompiledLoop, OtherStructure, PartialRound
from cascade.runtime.frames.frame import Frame, Job, Loop
from cascade.runtime.frames.reporting.watching import TreeWatch, WatchedTree
from cascade.runtime.programs.plain_values import LAZY_TYPES, Awaited, Interruption
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.plain_calls.first_round import FirstRound
from cascade.runtime.running.plain_calls.opening import Opening, may_be_shared
from cascade.runtime.running.plain_calls.watched_rounds import WatchedRounds
from cascade.runtime.running.services import Services
from cascade.runtime.running.spanned_trees import spanned_trees
from cascade.runtime.running.starting.admission import Admission
from cascade.runtime.running.starting.preparation import Preparation
from cascade.runtime.sharing.capacity import CONCURRENCY, Needs
from cascade.runtime.sharing.placement import Way
from cascade.runtime.sharing.readiness import Readiness
from cascade.runtime.strategies import BoundPlan, CachedPlan
from cascade.spec.calls.missing import MISSING
from cascade.spec.durable import NextRound
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult

_MAY_HOLD_LAZY = {Interruption, Awaited} | LAZY_TYPES
"""What a table gives where a call of its last stretch may have given what stands for another value."""

_SLOT: Needs = {CONCURRENCY: 1}

ROUNDS_A_LOOK = 16
"""After so many rounds the clock is looked at, where they are short."""

LOOK_SECONDS = 0.0005
"""Where the rounds between two looks take longer, the clock is looked at after each one."""


class PausedRound(NamedTuple):
    """The calls of a table that are still to be made, when the event loop has its turn; `values` are of the others."""

    table: Table
    prepared: BoundPlan
    values: list[Any]


class Loops:
    """Runs the rounds of loops as plain calls, as far as that goes; opens frames for the others."""

    __slots__ = (
        "_capacity",
        "_inbox",
        "_lender",
        "_opening",
        "_paused",
        "_readiness",
        "_registry",
        "_reports",
        "_resources",
        "_services",
        "_spanned",
        "_time_slice",
        "admission",
        "frames",
        "preparation",
        "resumed",
        "reuse",
    )

    def __init__(self, services: Services) -> None:
        self.admission = Admission(services)
        self.frames = OpenFrames(services)
        self.preparation = Preparation(services)
        self._capacity = services.capacity
        self._inbox = services.inbox
        self._lender = services.options.lender
        self._registry = services.registry
        self._resources = services.resources
        self._services = services
        self._spanned = spanned_trees(services.tracing)  # if some calls have spans
        # Made when a tree needs more than the arguments of its calls, which most never do.
        self._readiness: Readiness | None = None
        self._opening: Opening | None = None
        self._reports = services.reports
        self.reuse = services.reuse
        self._time_slice = services.time_slice
        # Loops that were granted what their calls waited for. They go on before calls that wait for the same.
        self.resumed: deque[Loop] = deque()
        self._paused: dict[Loop, PausedRound] = {}  # whose calls go on after the event loop's turn

    def resume_at(self, loop: Loop, pending: NextRound) -> None:
        """Let a loop begin at the round that a recorded run was in, with what is recorded of it."""
        loop.recovered = True
        self.preparation.drop(loop)
        loop.round, loop.target = pending

    def begin_round(self, job: Job, target: LazyResult[Any]) -> Loop:
        """Close the frame whose target `job` returned the next target; that one is not run yet. Return the loop."""
        loop = job.frame.loop
        if job.computation is not None:
            if loop.job is None and loop.round == 0:
                loop.computation = job.computation
            else:
                job.computation.end_round()
            job.computation = None
        self.frames.close(loop)
        loop.recovered = False
        loop.round += 1
        loop.target = target
        return loop

    def advance(self, loop: Loop) -> Any:
        """Run rounds for as long as plain calls are enough.

        Returns the loop's value; a `PartialRound` that a frame has to go on with; a `BoundPlan` with coroutines, which
        a flight has to run; or `MISS` if a frame is open, or the loop goes on after the event loop's turn.

        Raises:
            CascadeError: If the next target can't be run.
        """
        time_slice = self._time_slice
        while True:
            value = self._go_on(loop) if self._paused else MISS
            if value is MISS and time_slice.direct and not self.preparation.is_under_way(loop):
                value = self._call_compiled(loop)
                if (
                    time_slice.bounded
                    and type(value) is PartialRound
                    and type(value.stopped.value) is Awaited
                ):
                    value.stopped.value.lease = self._capacity.take_now(_SLOT, self._lender)
            if value is MISS:
                try:
                    value = self._call_prepared(loop)
                except CascadeError as error:
                    if loop.returned_by:
                        self._reports.note_place(error, loop.returned_by, ROOT)
                    raise
                if value is MISS:
                    return MISS
            if self._paused and loop in self._paused:
                if value is PAUSED:
                    self.frames.queue_loop(loop)
                return MISS
            if not isinstance(value, LazyResult):
                return value
            loop.returned_by = loop.target.task.name
            loop.target = value
            if time_slice.is_over():
                self.frames.queue_loop(loop)
                return MISS

    def go_on_after(self, loop: Loop, begun: FirstRound) -> Any:
        """Advance a loop after its first round, made before the run had its parts, unless there was no code for it.

        Raises:
            CascadeError: As `advance`.
        """
        if begun.given is not MISS:
            self.admission.announce(loop.target, [])
            loop.round += 1
            if not isinstance(begun.given, LazyResult):
                return begun.given
            loop.returned_by = loop.target.task.name
            loop.target = begun.given
        return self.advance(loop)

    def call_known(self, target: LazyResult[Any]) -> tuple[CachedPlan | None, Any, int]:
        """Run one round of a tree in a run that has begun, by the code written for its structure.

        Returns the structure, what the round gave, and how often it was met; no structure if there is no such code.
        """
        for known in self.reuse.candidates(target):
            if known.compiled is not None:
                value = known.compiled(target, repeat(None, 1))
                if value is not MISS:
                    return known, value, 1
        return None, MISS, 0

    def _call_compiled(self, loop: Loop) -> Any:
        """Run the next target by the code written for its structure; `MISS` if there is none."""
        bounded = self._time_slice.bounded
        if bounded and not self._capacity.is_free(_SLOT, self._lender):
            return MISS
        target = loop.target
        clock, admission, is_watched = time.monotonic, self.admission, self._time_slice.watched
        watched: WatchedRounds | None = None
        candidates = self.reuse.candidates(target)
        for known in candidates if self._spanned is None else self._spanned.others(candidates, target):
            compiled = known.compiled
            # What items of a map return may be awaited, and then hold slots, of which there may be too few for all.
            if compiled is None or (bounded and known.has_maps):
                continue
            if is_watched:
                watched = self._watched(loop, known)
                compiled = watched if watched is None or watched.silent is None else watched.silent
            if compiled is not None:
                if not admission.announced and not admission.may_announce_later(known.program):
                    lazies = known.matcher(target) if known.matcher is not None else None
                    if lazies is None:
                        continue
                    admission.announce(target, lazies)
                began, begin = clock(), loop.round
                value = compiled(target, repeat(None, 1))
                if value is not MISS:
                    admission.announce(target, [])
                    if known.note_duration(clock() - began):
                        value = self._repeat(loop, known, compiled, value)
                    else:
                        loop.round += 1
                        self.reuse.note_hits(known, 1)
                    if watched is None:
                        return value
                    if watched.silent is not None:  # a round that could not go on has not ended
                        watched.note_silent(loop.round - begin - isinstance(value, PartialRound))
                    return watched.tell_all(value)
        return MISS

    def _watched(self, loop: Loop, known: CachedPlan) -> WatchedRounds | None:
        """Return what runs rounds of a structure and tells what they did; `None` if the code can't be written."""
        code = known.watched_loop(loop.target, self._reports.noting)
        return None if code is None else WatchedRounds(loop, known, code, self.frames, self._reports)

    def _repeat(self, loop: Loop, known: CachedPlan, compiled: CompiledLoop, value: Any) -> Any:
        """Run rounds for as long as they have this structure and the slice lasts; return what the last one gave."""
        # What it costs beside the rounds is watched by observatory/benchmarks/bench_loops.py.
        clock, ends = time.monotonic, self._time_slice.ends
        now = clock()
        done = some = 1
        while type(value) is LazyResult and now < ends:
            rounds = repeat(None, some)
            following = compiled(value, rounds)
            done += some - length_hint(rounds)
            if following is MISS or isinstance(following, OtherStructure):
                done -= 1
                value = following.target if isinstance(following, OtherStructure) else value
                break
            value = following
            if isinstance(compiled, WatchedRounds) and compiled.is_full:
                compiled.tell()
            before, now = now, clock()
            some = min(2 * some, ROUNDS_A_LOOK) if now - before < LOOK_SECONDS else 1
        loop.round += done
        self.reuse.note_hits(known, done)
        return value

    def _call_prepared(self, loop: Loop) -> Any:
        """Run the next target by its table; open a frame or begin a flight for it, and return `MISS`, otherwise."""
        prepared = self.preparation.go_on(loop)
        if prepared is None:
            self.frames.queue_loop(loop)
            return MISS
        self.admission.check(prepared, loop.atomic)
        is_spanned = self._spanned is not None and self._spanned.among(prepared)
        if is_spanned or self._time_slice.allowed(prepared.way) is Way.SCHEDULED or prepared.table is None:
            self.frames.open(loop, prepared, {}, ())
            return MISS
        if prepared.course is not None:
            return prepared
        if prepared.table.resources and not may_be_shared(prepared.table.resources, self._registry):
            self.frames.open(loop, prepared, {}, ())
            return MISS
        return self._call_table(loop, PausedRound(prepared.table, prepared, []))

    def _call_table(self, loop: Loop, rest: PausedRound) -> Any:
        """Make the calls of a table that have no value yet; the loop is paused if the slice is over before the last."""
        table, prepared, values = rest
        self._reports.waits_no_more(loop)
        time_slice = self._time_slice
        if prepared.serial is None and time_slice.watched:
            prepared = replace(prepared, serial=self.frames.next_serial())
            assert prepared.serial is not None
            self._reports.tree_begun(loop, prepared.serial, prepared.program, prepared.lazies)
        watch = None if prepared.serial is None else self._watch(prepared, prepared.serial, values)
        gate = None
        if time_slice.bounded or table.is_needy:
            gate = self._gate(loop)
        value = table.call(prepared.lazies, time_slice, values, watch, gate)
        ended = 0.0
        if watch is not None:
            ended = watch.report(values, may_be_lazy=type(value) in _MAY_HOLD_LAZY)
        if gate is not None:
            if type(value) is Interruption and type(value.value) is Awaited:
                value.value.lease = gate.hold()
            gate.end()
        if value is PAUSED or type(value) is Waiting:
            self._paused[loop] = PausedRound(table, prepared, values)
            if type(value) is Waiting and value.resources:
                if self._opening is None:
                    self._opening = Opening(self._services, self._resume)
                self._opening.begin(loop, value.resources)
            if type(value) is Waiting:
                self._reports.waits(loop, loop.target.task.name, value.reason)
            return value
        if type(value) is Interruption:
            value.began = ended
            return PartialRound(prepared.program, prepared.lazies, value, prepared.serial)
        loop.round += 1
        return value

    def _gate(self, loop: Loop) -> Gate:
        """Return what lets the calls of a loop through that need more than their arguments."""
        if self._readiness is None:
            are_open = self._resources.are_open
            self._readiness = Readiness(self._capacity, self._lender, are_open, self._resume)
        return Gate(self._readiness, loop, self._capacity.totals, self._resources.values)

    def _watch(self, prepared: BoundPlan, serial: int, values: list[Any]) -> TreeWatch:
        """Return what watches the calls of a tree, from the next one on."""
        program = prepared.program
        watch = self._reports.watch(WatchedTree(serial, program.names(prepared.lazies)), program.order)
        watch.begin(values)
        return watch

    def _go_on(self, loop: Loop) -> Any:
        """Make the rest of the calls of a paused round; `MISS` if the loop is not paused."""
        rest = self._paused.pop(loop, None)
        if rest is None:
            return MISS
        error = None if self._opening is None else self._opening.take_error(loop)
        if error is None:
            return self._call_table(loop, rest)
        table, prepared, values = rest
        try:
            stopped = table.stopped(values, error, len(values))
            return PartialRound(prepared.program, prepared.lazies, stopped, prepared.serial)
        finally:
            del error  # its traceback may lead here: they would be a cycle

    def _resume(self, loop: Any) -> None:
        """Let a loop go on whose calls have waited."""
        if loop in self._paused:
            self.resumed.append(loop)
            self._inbox.wake_up()

    def let_go(self) -> None:
        """Let go of what calls back into this: the run has ended, and they would be a cycle."""
        self._readiness = self._opening = None
        self.preparation.let_go()

    def stop_waiting(self) -> None:
        """Ask for nothing any more, and give back what was granted: the run ends."""
        if self._readiness is not None:
            self._readiness.close()
        for task in self.opening:
            task.cancel()

    @property
    def opening(self) -> Collection[asyncio.Task[None]]:
        """The asyncio tasks that open resources."""
        return () if self._opening is None else self._opening.under_way

    @property
    def waiting(self) -> list[Loop]:
        """The loops that are paused."""
        return [*self._paused]

    @property
    def is_busy(self) -> bool:
        """Whether calls wait for what will let them go on."""
        return bool(self.opening) or (self._readiness is not None and self._readiness.is_awaited)

    def take_paused(self, loop: Loop) -> PartialRound | None:
        """Return where the calls of a loop are paused, so that a run that ends can tell what never started."""
        rest = self._paused.pop(loop, None)
        if rest is None:
            return None
        table, prepared, values = rest
        return PartialRound(prepared.program, prepared.lazies, table.stopped(values), prepared.serial)

    def open_stopped(self, loop: Loop, line: PartialRound) -> Frame:
        """Open a frame for a round that has begun without one: some values are known, some calls under way."""
        program, lazies, stopped, serial, _ = line
        values = {node: value for node, value in enumerate(stopped.values) if value is not MISSING}
        under_way = [node for node, _ in stopped.trees]
        if stopped.node is not None:
            under_way.append(stopped.node)
        return self.frames.open(loop, BoundPlan(program, lazies, serial=serial), values, under_way)
