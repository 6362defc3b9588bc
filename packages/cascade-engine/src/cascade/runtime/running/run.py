"""Runs: the life of one run, from its target to its value. What drives it meanwhile is its scheduler."""

from __future__ import annotations

import asyncio
import os
import time
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.adapters.call_facts import facts_in_context
from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.adapters.values.large_results import results_in_context
from cascade.graph.tree import Tree
from cascade.runtime.fast.loop_source import MISS, PartialRound
from cascade.runtime.frames.frame import Loop
from cascade.runtime.frames.reporting.tracing import Tracing, target_name
from cascade.runtime.options import RunOptions, default_options
from cascade.runtime.programs.call_sites import drives_run
from cascade.runtime.running.handle_calls import HandleCalls
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.plain_calls.first_round import FirstRound, call_first_round
from cascade.runtime.running.scheduler import Scheduler, let_go_of
from cascade.runtime.running.services import EngineParts, Services
from cascade.runtime.running.shutdown import Shutdown
from cascade.runtime.running.starting.recovered_values import fetch_values
from cascade.runtime.sharing.time_slice import SLICE_SECONDS, TimeSlice, in_slices
from cascade.runtime.strategies import BoundPlan
from cascade.spec.calls.error_text import is_error
from cascade.spec.compose import as_target
from cascade.spec.durable import DurableStateBackend
from cascade.spec.errors import CascadeError, SpecError
from cascade.spec.task import Task

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


class Run:
    """One run of a target.

    Its first plain calls are made in the caller's own asyncio task. If they do not bring it to its end, it gets a
    scheduler and one asyncio task, which makes all decisions.
    """

    __slots__ = (
        "_began",
        "_driver",
        "_ending",
        "_engine",
        "_first",
        "_given",
        "_inbox",
        "_is_bare",
        "_loops",
        "_options",
        "_recording",
        "_reports",
        "_run_id",
        "_scheduler",
        "_services",
        "_slice",
        "_tracing",
        "_value",
        "context",
        "is_driven",
        "slice_ends",
    )

    def __init__(
        self,
        engine: EngineParts,
        options: RunOptions | None,
        tracing: Tracing | None = None,
    ) -> None:
        context = self.context = copy_context()
        if facts_in_context.get() is not None:
            # A run inside of a call: what it does besides its calls is none.
            context.run(facts_in_context.set, None)
        if results_in_context.get() is not None:  # its values are none of the outer run's
            context.run(results_in_context.set, None)
        self.is_driven = False
        self._engine = engine
        self._given = options
        self._scheduler: Scheduler | None = None  # made when the plain calls can't go on
        self._driver: asyncio.Task[None] | None = None
        self._first: Loop | None = None
        self._began = 0.0
        self.slice_ends = 0.0
        self._value: Any = None
        self._run_id = None if options is None else options.run_id  # made when it is first asked for
        self._is_bare = options is None and engine.is_bare and tracing is None
        self._tracing = tracing
        if not self._is_bare:
            self._open()

    def _open(self) -> None:
        """Make the parts of the run. A run that its first round ends has none.

        Raises:
            SpecError: If the run is to be resumed, restarted or committed, and nothing is recorded.
        """
        engine = self._engine
        options = self._options = self._given or default_options()
        tracing = None if self._tracing is None else self._tracing.of_run(self.run_id)
        direct = engine.direct and (tracing is None or not tracing.spans_all)
        self._slice = TimeSlice(direct, engine.bounded, self._is_watched, self._watch_loop)
        self._services = Services(engine, options, self.run_id, self.context, self._slice)
        self._reports = self._services.reports
        self._services.tracing = self._reports.tracing = tracing
        self._ending = self._services.ending
        self._inbox = self._services.inbox
        self._recording = self._services.recording = _recording_of(self._services)
        self._services.handles = _handles_of(self._services, engine)
        self._loops = Loops(self._services)

    @property
    def run_id(self) -> str:
        """The name of the run: the one that it was given, or one of its own."""
        if self._run_id is None:
            self._run_id = os.urandom(16).hex()
        return self._run_id

    # The life of the run

    @drives_run
    def begin(self, target: object, slice_ends: float) -> bool:
        """Make the plain calls of the first slice; return True if the run has ended and needs no driver task.

        Called in the caller's own asyncio task and the run's context. `slice_ends` is when runs that follow each other
        without a driver owe the event loop its turn; a slice of this run that is still to come counts from now.
        """
        if not self._engine.direct:
            return False
        first = None
        if self._is_bare:
            first = call_first_round(self._engine.reuse, target)
            if first.is_value and not self._engine.bus.is_heard:  # a call may have subscribed
                self.slice_ends = slice_ends if slice_ends > first.began else first.began + SLICE_SECONDS
                self._value = first.given
                return True
            self._is_bare = False
            self._open()
        self._set_out(target, slice_ends, first)
        self.slice_ends = self._slice.ends
        ending, scheduler = self._ending, self._scheduler
        is_filing = scheduler is not None and scheduler.node_ends.filing.under_way
        if not ending.ended or ending.error is not None or ending.failures or is_filing:
            return False
        self._reports.run_finished(time.monotonic() - self._began, None)
        return True

    @drives_run
    async def drive(self, target: object) -> None:
        """Run the target to its end; then its value or error is there, and nothing is left running or open."""
        ending = self._ending
        self._driver = asyncio.current_task()
        self.is_driven = True
        if ending.error is not None:  # interrupted before its first slice
            pass
        elif self._began:
            self._slice.begin()
        elif self._recording is None:
            self._set_out(target, 0.0, None)
        else:
            await self._set_out_recorded(target, self._recording)
        try:
            if ending.error is None:
                await self._scheduled().work()
        except BaseException as error:  # noqa: BLE001 - kept, and raised by the engine after all is cleaned up
            ending.stop(error)
        await Shutdown(self._services, self._scheduled(), self._loops, self._first).shut_down()
        self._reports.run_finished(time.monotonic() - self._began, ending.error)

    def _set_out(self, target: object, slice_ends: float, begun: FirstRound | None) -> None:
        self._began = self._reports.began = time.monotonic() if begun is None else begun.began
        if self._reports.tracing is not None:
            self._reports.tracing.begin_run(target_name(target), None)
        try:
            first = self._first = Loop(None, as_target(target))
            self._slice.begin()
            if slice_ends > self._began:
                self._slice.ends = slice_ends
            if begun is not None and begun.error is not None:
                self._ending.stop(begun.error)
                return
            try:
                came = self._loops.advance(first) if begun is None else self._loops.go_on_after(first, begun)
            except CascadeError as error:
                self._scheduled().completion.fail_loop(first, error)
                return
            if came is MISS or isinstance(came, PartialRound | BoundPlan):
                self._scheduled().completion.go_on(first, came)
            else:
                self._ending.succeed(came)
        except BaseException as error:  # noqa: BLE001 - as in `drive`
            self._ending.stop(error)

    def _scheduled(self) -> Scheduler:
        """Return the scheduler, made when it is first needed."""
        if self._scheduler is None:
            self._scheduler = Scheduler(self._services, self._loops)
        return self._scheduler

    async def _set_out_recorded(self, target: object, recording: Recorder) -> None:
        """Take the run over from whoever recorded it, if anybody did, and go on from there."""
        self._began = self._reports.began = time.monotonic()
        try:
            first = self._first = Loop(None, as_target(target))
            await self._resume(recording, first)
            results_in_context.set(recording.results())
            self._slice.begin()
            self._scheduled().completion.advance(first)
        except BaseException as error:  # noqa: BLE001 - as in `drive`
            self._ending.stop(error)

    async def _resume(self, recording: Recorder, loop: Loop) -> None:
        """Let a loop go on where it is recorded to be."""
        loops, admission = self._loops, self._loops.admission
        first = loop.target
        prepared = await in_slices(loops.preparation.ahead(loop))
        admission.check_recorded(prepared, recording)
        tree = Tree(prepared.lazies, prepared.program.structure)
        tracing = self._reports.tracing
        if tracing is not None:
            recording.resumption.trace = partial(tracing.begin_run, target_name(first))
        pending = await recording.resumption.open(tree, self._options)
        if pending is not None:
            admission.announce(first, prepared.lazies)
            loops.resume_at(loop, pending)
        elif recording.resumption.is_resumed:
            loop.recovered = True
        if loop.recovered:
            await fetch_values(self._services, loops.preparation, loop)

    # What others may do with it

    def take_outcome(self, cancelled: BaseException | None) -> Any:
        """Return the value of a run that has ended, or raise its error; the run keeps neither, nor anything else.

        `cancelled` is what its caller was cancelled with: it comes out as it is, unless something else has failed.
        """
        if self._is_bare:
            value, self._value = self._value, None
            return value
        value, error = self._ending.value, self._ending.error
        self._let_go()
        if cancelled is not None and (error is None or is_error(error, asyncio.CancelledError)):
            error = cancelled
        if error is None:
            return value
        try:
            raise error
        finally:
            del value, error, cancelled  # the traceback has this frame: they would be a cycle

    def _let_go(self) -> None:
        """Let go of everything. The parts of a run know each other, and an error may know some of them for long."""
        state, ending, services, loops = self._services.state, self._ending, self._services, self._loops
        if type(state) is InMemoryStateBackend:
            state.clear()
        if ending.error is not None or ending.failures:
            for frame in loops.frames.by_serial.values():
                frame.let_go()
            if self._scheduler is not None:
                self._scheduler.let_go()
            self._inbox.let_go()
            for part in (loops.frames, loops, services):
                let_go_of(part)
        else:
            loops.let_go()
            if self._scheduler is not None:
                let_go_of(self._scheduler.maps)  # they hand out a method of their own: that is a cycle
        ending.let_go()
        let_go_of(self)

    def under_way(self) -> list[str]:
        """Return the names of the calls that are under way in asyncio tasks."""
        return [] if self._scheduler is None else self._scheduler.under_way()

    def interrupt(self, error: BaseException) -> None:
        """End the run from outside of its own asyncio task."""
        self._ending.interrupt(error)

    @property
    def recorder(self) -> Recorder | None:
        """What records the run, if anything does."""
        return None if self._is_bare else self._recording

    def leave(self, *, closing: bool) -> None:
        """Let the run stay unfinished in its store when it is cancelled, if another process is to go on with it.

        That holds for a run that was taken over. One that keeps its inputs is left where the engine is `closing`; else
        its own caller has cancelled it.
        """
        if not self._is_bare and self._recording is not None:
            options = self._options
            self._recording.is_left |= options.recovers or (closing and options.workflow is not None)

    def _is_watched(self) -> bool:
        """Tell whether somebody wants to know what becomes of each call: a listener, a timeline, or the store."""
        is_followed = self._options.timeline is not None or self._reports.is_recorded
        return is_followed or self._engine.is_watched()

    def _watch_loop(self, task: Task[Any], seconds: float) -> None:
        """Note for how long an inline call has held the event loop."""
        committing = None if self._recording is None else self._recording.commits.under_way
        filing = set() if self._scheduler is None else self._scheduler.node_ends.filing.under_way
        keeper = self._services.resources.keeper
        own = {asyncio.current_task(), self._driver, self._options.caller, keeper, committing}
        self._engine.watch.note(task, seconds, own | filing)


def _handles_of(services: Services, engine: EngineParts) -> HandleCalls | None:
    """Return what makes calls that may take or give handles, where an executor may give some."""
    shows, recording = engine.preview is not None, services.recording
    in_store = recording is not None and not shows and recording.leaves_values
    if not (in_store or services.placement.may_give_handles):
        return None
    keeps_values = not in_store and (services.is_watched or shows)
    return HandleCalls(
        services.placement,
        services.capacity,
        keeps_values=keeps_values,
        in_store=in_store,
        has_handles=lambda: recording is not None and recording.has_handles,
    )


def _recording_of(services: Services) -> Recorder | None:
    """Return what records a run whose state is durable.

    Raises:
        SpecError: If the run is to be resumed, restarted or committed, and nothing is recorded.
    """
    state, options = services.state, services.options
    if services.is_watched and isinstance(state, DurableStateBackend):
        from cascade.runtime.recording.recorder import (  # noqa: PLC0415 - brings hashing, encoding, source reading
            Recorder,
        )

        recorder = Recorder(
            services.run_id, state, services.inbox.wake_up, services.registry, options.max_uncommitted
        )
        if services.reports.is_recorded:
            recorder.follow(services.reports)
        return recorder
    if options.workflow is not None:
        raise SpecError(
            "keep_inputs=True, and nothing is recorded", 'give a durable state, state="sqlite:///runs.db" say'
        )
    if options.restart or options.resume is not None or options.max_uncommitted is not None:
        what = "resumed or restarted" if options.max_uncommitted is None else "committed by max_uncommitted"
        raise SpecError(
            f"a run is to be {what}, and nothing is recorded",
            'give a durable state, state="sqlite:///runs.db" say',
        )
    return None
