"""Runs: everything that belongs to one run, and the loop that drives it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import suppress
from contextvars import Context
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cascade.adapters.spawning import spawn
from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.graph.tree import Tree
from cascade.runtime.events import SkipReason
from cascade.runtime.frames.jobs import Job
from cascade.runtime.frames.outcomes import Failed, Outcome, Returned
from cascade.runtime.frames.reports import Reports
from cascade.runtime.options import RunOptions
from cascade.runtime.programs.plain_values import TURN_SECONDS
from cascade.runtime.resource_manager import RunResources, note_others
from cascade.runtime.running.admission import check_inputs, check_structure
from cascade.runtime.running.completion import Settler
from cascade.runtime.running.dispatch import Starter
from cascade.runtime.running.loops import TailCallLoop
from cascade.runtime.running.map_items import Maps
from cascade.runtime.running.open_frames import Frames
from cascade.runtime.sharing.concurrency_slot import ConcurrencySlot
from cascade.spec.calls.error_text import is_error
from cascade.spec.durable import DurableStateBackend
from cascade.spec.errors import CascadeError, SpecError
from cascade.spec.task import Task

if TYPE_CHECKING:
    from cascade.runtime.engine import Engine
    from cascade.runtime.recording.recorder import Recorder


class Run:
    """One run: its frames, what is ready, what is under way, and its resources.

    Driven by one asyncio task; all that is decided is decided there.
    """

    def __init__(self, engine: Engine, options: RunOptions, context: Context) -> None:
        self.engine = engine
        self.options = options
        self.context = context
        self.lender = options.lender
        self.bus = engine.bus
        self.run_id = options.run_id or os.urandom(16).hex()
        self.reports = Reports(engine.bus, self.run_id, engine.preview, self.interrupt)
        self.state = engine.state_backend_cls(run_id=self.run_id)
        self._is_built_in = type(self.state) is InMemoryStateBackend
        self.has_atomic = engine.registry.has_atomic
        self.recording = self._make_recording()
        self.resources = RunResources(engine.registry, options.params, self.reports.resource, self.interrupt)
        self.error: BaseException | None = None
        self.value: Any = None
        self.ended = self.is_driven = False
        self._salt: bytes | None = None
        self._driver: asyncio.Task[Any] | None = None
        self._loop: TailCallLoop | None = None
        self._began = 0.0
        self.turn_ends = 0.0
        self._turn_began = 0.0
        self.plain = self.heard = False
        self.maps = Maps(self)
        self._completed: deque[tuple[Job, Outcome]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self.starter = Starter(self, ConcurrencySlot(engine.capacity, self.lender, self.wake_up))
        self.settler = Settler(self)
        self.frames = Frames(self)

    def _make_recording(self) -> Recorder | None:
        if not self._is_built_in and isinstance(self.state, DurableStateBackend):
            # Loaded when a run is first recorded: it brings hashing, encoding and what reads source.
            made: Recorder = import_module("cascade.runtime.recording.recorder").Recorder(
                self.run_id, self.state, self.wake_up, self.engine.registry, self.options.max_uncommitted
            )
            return made
        options = self.options
        if options.restart or options.resume is not None or options.max_uncommitted is not None:
            what = (
                "resumed or restarted" if options.max_uncommitted is None else "committed by max_uncommitted"
            )
            raise SpecError(
                f"a run is to be {what}, and nothing is recorded",
                'give a durable state, state="sqlite:///runs.db" say',
            )
        return None

    # The life of the run

    @property
    def identity(self) -> str:
        """What tells this run from all others, and from one of its name that was begun before it and not resumed."""
        if self.recording is not None:
            return self.recording.identity
        if self._salt is None:
            self._salt = os.urandom(16)
        return f"{self.run_id}/{self._salt.hex()}"

    def begin(self, target: object) -> bool:
        """Make the plain calls of the first turn; tell whether that was the whole run, so that none is to be driven.

        Called in the caller's own asyncio task and the run's context. A run that ends here needs no task of its own.
        """
        if not self.engine.runs_plainly():
            return False
        self._set_out(target, self.engine.turn_ends)
        self.engine.turn_ends = self.turn_ends
        if not self.ended or self.error is not None or self.settler.failures or self.settler.filing:
            return False
        self.reports.run_finished(time.monotonic() - self._began, None)
        return True

    async def drive(self, target: object) -> None:
        """Run the target to its end; then `value` or `error` is set, and nothing is left running or open."""
        self._driver = asyncio.current_task()
        self.is_driven = True
        if self.error is not None:  # interrupted before its first turn
            pass
        elif self._began:
            self._begin_turn()
        elif self.recording is None:
            self._set_out(target, 0.0)
        else:
            await self._set_out_recorded(target, self.recording)
        try:
            if self.error is None:
                await self._work()
        except BaseException as error:  # noqa: BLE001 - kept, and raised by the engine after all is cleaned up
            self.stop(error)
        await self._clean_up()
        self.reports.run_finished(time.monotonic() - self._began, self.error)

    def _set_out(self, target: object, turn_ends: float) -> None:
        self._began = time.monotonic()
        try:
            self._loop = TailCallLoop(self, None, target)
            self._begin_turn()
            self.turn_ends = turn_ends if turn_ends > self._began else self.turn_ends
            self.settler.advance(self._loop)
        except BaseException as error:  # noqa: BLE001 - as in `drive`
            self.stop(error)

    async def _set_out_recorded(self, target: object, recording: Recorder) -> None:
        """Take the run over from whoever recorded it, if anybody did, and go on from there."""
        self._began = time.monotonic()
        try:
            self._loop = TailCallLoop(self, None, target)
            await self._resume(recording, self._loop)
            self._begin_turn()
            self.settler.advance(self._loop)
        except BaseException as error:  # noqa: BLE001 - as in `drive`
            self.stop(error)

    async def _resume(self, recording: Recorder, loop: TailCallLoop) -> None:
        """Let a loop go on where it is recorded to be."""
        first = loop.target
        prepared = loop.prepare()
        check_inputs(
            prepared.lazies, self.options.spec, self.options.params, self.engine.registry.contracts()
        )
        check_structure(self.engine, prepared.program, prepared.lazies, self.options.params)
        recording.check_loops(prepared)
        tree = Tree(prepared.lazies, prepared.program.structure)
        pending = await recording.resumption.open(tree, self.options)
        if pending is not None:
            self.frames.announce(first, prepared.lazies)
            loop.resume_at(pending)
        elif recording.resumption.is_resumed:
            loop.recovered = True

    async def _work(self) -> None:
        while True:
            while self.frames.finished:
                self.frames.end_frame(self.frames.finished.popleft())
            if self.ended:
                return
            if self._take_in():
                if self.turn_is_over():
                    await self._give_turn()
                continue
            # Once so many calls have ended that are not committed, no other begins before a commit has returned.
            has_room = self.recording is None or self.recording.commits.room > 0
            entry = self.starter.next_ready() if has_room else None
            if entry is None:
                if self.recording is not None:
                    self.recording.commits.begin_commit()
                await self._sleep()
                await self._confirm()
                self._begin_turn()
                continue
            job = self.starter.start(entry)
            if self.starter.began_inline and self.recording is None:
                # It is made before the next one is begun: what then needs its value may come first.
                self.starter.began_inline = False
                await self._give_turn()
            elif self.turn_is_over():
                if job is not None:
                    self.note_overrun(job.task, self.starter.called_at)
                if self.recording is not None and not self.frames.finished:  # the end commits what is left
                    self.recording.commits.begin_commit()
                await self._give_turn()

    def _take_in(self) -> bool:
        """Take in one thing that has come about since: a commit, a value filed, a call ended; tell whether one had."""
        released = None if self.recording is None else self.recording.commits.take_released()
        if released is not None:
            released()
        elif self.settler.filed:
            self.settler.settle(self.settler.filed.popleft())
        elif self._completed:
            self.settler.take(*self._completed.popleft())
        elif self.frames.landed:
            self.frames.landed.popleft().land()
        else:
            return False
        return True

    async def _give_turn(self) -> None:
        await asyncio.sleep(0)
        await self._confirm()
        self._begin_turn()

    async def _confirm(self) -> None:
        if self.recording is not None:
            await self.recording.confirm()

    async def confirm_call(self, recording: Recorder) -> None:
        """Make sure, before a call that has waited is made, that it may be made and that the run is still our own.

        If it is not, the run ends, and the call with it.
        """
        try:
            await recording.commits.make_room()
            await recording.confirm()
        except Exception as error:  # noqa: BLE001 - of the store: the run's error, and not that of the call
            self.stop(error)
            self.wake_up()
            await asyncio.get_running_loop().create_future()  # until the end of the run cancels it

    def _begin_turn(self) -> None:
        self._turn_began = time.monotonic()
        self.turn_ends = self._turn_began + TURN_SECONDS
        self.plain = self.engine.runs_plainly()
        self.heard = self.engine.is_heard()

    def turn_is_over(self) -> bool:
        """Tell whether the event loop is to get its turn."""
        return time.monotonic() > self.turn_ends

    def note_overrun(self, task: Task[Any], ended: float) -> None:
        """Note that this task's call ended at a time when the turn was over."""
        self.watch_turn(task, ended - self._turn_began)

    async def _sleep(self) -> None:
        committing = self.recording is not None and self.recording.commits.under_way is not None
        busy = (
            self.starter.steps
            or self.frames.flights
            or self.settler.filing
            or self.starter.slot.is_awaited
            or committing
        )
        assert busy, "a run has nothing to do and no end"
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def take_outcome(self, cancelled: BaseException | None) -> Any:
        """Return the value of a run that has ended, or raise its error; the run keeps neither, nor anything else.

        `cancelled` is what its caller was cancelled with: it comes out as it is, unless something else has failed.
        """
        value, error = self.value, self.error
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
        if self._is_built_in:
            self.state.clear()
        for frame in self.frames.open.values():
            frame.let_go()
        self.settler.failures.clear()
        vars(self).clear()

    def under_way(self) -> list[str]:
        """Return the names of the calls that are under way in asyncio tasks."""
        names = [step.job.name for step in self.starter.steps.values()]
        return names + [name for flight in self.frames.flights.values() for name in flight.under_way()]

    def wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def watch_turn(self, task: Task[Any], seconds: float) -> None:
        """Note for how long an inline call has held the loop."""
        committing = None if self.recording is None else self.recording.commits.under_way
        own = {asyncio.current_task(), self._driver, self.options.caller, self.resources.keeper, committing}
        own |= self.settler.filing
        self.engine.watch_turn(task, seconds, [each for each in own if each is not None])

    def stop(self, error: BaseException) -> None:
        """End the run with an error; the first one counts."""
        if self.error is None or self.error is self.resources.lost:
            self.error = error
        self.ended = True

    def interrupt(self, error: BaseException) -> None:
        """End the run from outside of its own asyncio task, or from within a listener.

        What ends the program, and so is no `Exception`, counts for more than a failure that came before.
        """
        if self.error is not None and is_error(self.error, Exception) and not is_error(error, Exception):
            note_others(error, [self.error])
            self.error = None
        self.stop(error)
        self.turn_ends = 0.0
        self.wake_up()

    async def _clean_up(self) -> None:
        """Cancel what is under way and wait for it, report what never started, release what is open."""
        for flight in [*self.frames.flights.values()]:
            flight.hand_over()
        for task, step in self.starter.steps.items():
            step.cancel(task)
        while self.starter.steps or self.settler.filing:
            try:
                await asyncio.wait([*self.starter.steps, *self.settler.filing])
                await asyncio.sleep(0)  # the callbacks that take them out of these sets
            except asyncio.CancelledError as cancelled:
                self.stop(cancelled)  # told again to stop: it already does
        self._report_unfinished()
        self.starter.slot.close()
        for loop in self._open_loops():
            loop.give_up()
        if self.error is None and self.settler.failures:
            self.error = ExceptionGroup(
                f"{len(self.settler.failures)} failed in run {self.run_id}", self.settler.failures
            )
        await self._release_resources()
        if self.recording is not None:
            await self._close_recording(self.recording)

    async def _close_recording(self, recording: Recorder) -> None:
        """Commit what is left, and let go of the store; told again to stop meanwhile, it still does both."""
        works = (
            recording.commits.settle,
            lambda: recording.finish(self.error, self.resources.is_undone),
            recording.state.close,
        )
        for work in works:  # each is made in its turn, so that none is left behind unawaited
            doing = spawn(work())
            while not doing.done():
                try:
                    await asyncio.wait([doing])
                except asyncio.CancelledError as cancelled:
                    self.stop(cancelled)
            # Somebody may have cancelled this very task: the next one is begun all the same.
            error = asyncio.CancelledError() if doing.cancelled() else doing.exception()
            if error is None or error is self.error:
                continue
            if self.error is None:
                self.error = error
            else:
                note_others(self.error, [error])  # that of the store is told, whatever else has failed

    def _report_unfinished(self) -> None:
        """Tell what became of calls that nobody waits for any more, and which never started."""
        for job, outcome in self._completed:
            self._abandon(job, outcome)
        for mapping in self.maps.unfinished():
            error = asyncio.CancelledError() if mapping.error is None else mapping.error
            mapping.error = None
            self.reports.finished(mapping.job, Failed(error))
        for loop in self._open_loops():
            loop.open_paused()
        for frame in self.frames.open.values():
            for node in frame.never_started():
                self.frames.skip(frame, node, SkipReason.RUN_STOPPED)

    def _open_loops(self) -> list[TailCallLoop]:
        waiting = self.starter.waiting_loops()
        first = [] if self._loop is None else [self._loop]
        return [*first, *waiting, *(frame.loop for frame in self.frames.open.values())]

    async def _release_resources(self) -> None:
        errors = await self.resources.close(self.error)
        if self.error is None or self.error is self.resources.lost:
            # What a cancelled resource has to say counts for more than a cancellation.
            errors.sort(key=lambda error: is_error(error, asyncio.CancelledError))
            self.error = errors.pop(0) if errors else self.resources.loss()
        if self.error is not None:
            note_others(self.error, errors)

    def _abandon(self, job: Job, outcome: Outcome) -> None:
        """Report how a call ended that nobody waits for any more; what it gave is recorded all the same."""
        if not job.told:
            self.settler.end(job, outcome)
        elif self.recording is not None and isinstance(outcome, Returned):
            with suppress(CascadeError):  # it was kept, and this says again what it is the value of
                self.recording.keep_late(job, outcome.value)
        if job.computation is not None:
            job.computation.give_up()

    def complete(self, job: Job, outcome: Outcome) -> None:
        """Note how a call has ended, to be looked at in its turn."""
        self._completed.append((job, outcome))
        self.wake_up()

    # Cache
