"""Runs: everything that belongs to one run, and the loop that drives it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import time
from collections import deque
from collections.abc import Collection
from contextvars import Context
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cascade.adapters.state.memory import InMemoryStateBackend
from cascade.graph.tree import Tree
from cascade.runtime.capacity import CONCURRENCY, Lease
from cascade.runtime.checks import check_inputs, check_structure
from cascade.runtime.events import RunStarted, SkipReason
from cascade.runtime.exceptions import MapItemSkippedError
from cascade.runtime.flights import Flight
from cascade.runtime.frame import Frame
from cascade.runtime.jobs import ItemJob, Job
from cascade.runtime.keys import FrameKey
from cascade.runtime.mapping import CalledItems, MapRun
from cascade.runtime.maps import Maps
from cascade.runtime.missing import missing_error
from cascade.runtime.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.plain import TURN_SECONDS, Stopped, is_simple
from cascade.runtime.program import Program
from cascade.runtime.reports import Reports, told
from cascade.runtime.resource_manager import RunResources, note_others
from cascade.runtime.slots import Slot
from cascade.runtime.spawning import spawn
from cascade.runtime.steps import PlainStep, Step
from cascade.runtime.strategies import Prepared, TailCallLoop
from cascade.runtime.stretch import Stretch
from cascade.spec.durable import DurableStateBackend, Pending
from cascade.spec.errors import CascadeError, SpecError
from cascade.spec.lazy_types import LazyResult, MappedLazyResult
from cascade.spec.policies import Policies
from cascade.spec.protocols import CachedCall, Hit
from cascade.spec.task import Task
from cascade.spec.workflow import WorkflowSpec

if TYPE_CHECKING:
    from cascade.graph.tree import Choice
    from cascade.runtime.caching import Lead
    from cascade.runtime.engine import Engine
    from cascade.runtime.recording import Recording


class Resume(StrEnum):
    """How a recorded run goes on: as exactly what it began as, or with as much as has not changed since."""

    EXACT = "exact"
    COMPATIBLE = "compatible"


Entry = Job | MapRun | TailCallLoop | Flight | Stretch
"""What may be started: a call, the next item of a map, the next rounds of a loop, calls of a flight or a stretch."""


@dataclass(frozen=True)
class RunOptions:
    """What a run is given besides its target."""

    params: dict[str, object] = field(default_factory=dict)
    run_id: str | None = None
    finish: bool = False
    spec: WorkflowSpec | None = None
    resume: Resume | None = None
    restart: bool = False
    lender: Lease | None = None
    caller: asyncio.Task[Any] | None = None

    @property
    def compatible(self) -> bool:
        """Whether a run that was recorded with other code or inputs goes on with what has not changed."""
        return self.resume is Resume.COMPATIBLE


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
        self.reports = Reports(engine.bus, self.run_id, engine.preview)
        self.state = engine.state_backend_cls(run_id=self.run_id)
        self.recording = self._make_recording()
        self.resources = RunResources(engine.registry, options.params, self.reports.resource)
        self.error: BaseException | None = None
        self.value: Any = None
        self._failures: list[Exception] = []
        self.ended = False
        self._driver: asyncio.Task[Any] | None = None
        self._frames: dict[int, Frame] = {}
        self._frames_made = 0
        self._finished: deque[Frame] = deque()
        self._flights: dict[int, Flight] = {}  # by the number of the tree
        self._landed: deque[Flight] = deque()
        self.announced = False
        self._loop: TailCallLoop | None = None
        self._began = 0.0
        self.turn_ends = 0.0
        self._turn_began = 0.0
        self._called_at = 0.0
        self.plain = self.heard = False
        self.maps = Maps(self)
        # What may start now, in the order of the frames and of their plans; no two entries tie.
        self._ready: list[tuple[int, int, int, Entry]] = []
        self._ties = itertools.count()
        self._steps: dict[asyncio.Task[Outcome], Step | PlainStep] = {}
        self._filing: set[asyncio.Task[None]] = set()
        self._completed: deque[tuple[Job, Outcome]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._slot = Slot(engine.capacity, self.lender, self._wake_up)

    def _make_recording(self) -> Recording | None:
        if type(self.state) is not InMemoryStateBackend and isinstance(self.state, DurableStateBackend):
            # Loaded when a run is first recorded: it brings hashing, encoding and what reads source.
            made: Recording = import_module("cascade.runtime.recording").Recording(
                self.run_id, self.state, self._wake_up
            )
            return made
        if self.options.restart or self.options.resume is not None:
            raise SpecError(
                "a run is to be resumed or restarted, and nothing is recorded",
                'give a durable state, state="sqlite:///runs.db" say',
            )
        return None

    # The life of the run

    @property
    def identity(self) -> str:
        """What tells this run from all others, and from one of its name that was begun before it and not resumed."""
        return self.run_id if self.recording is None else self.recording.identity

    def begin(self, target: object) -> bool:
        """Make the plain calls of the first turn; tell whether that was the whole run, so that none is to be driven.

        Called in the caller's own asyncio task and the run's context. A run that ends here needs no task of its own.
        """
        if not self.engine.runs_plainly():
            return False
        self._set_out(target, self.engine.turn_ends)
        self.engine.turn_ends = self.turn_ends
        if not self.ended or self.error is not None or self._failures or self._filing:
            return False
        self.reports.run_finished(time.monotonic() - self._began, None)
        return True

    async def drive(self, target: object) -> None:
        """Run the target to its end; then `value` or `error` is set, and nothing is left running or open."""
        self._driver = asyncio.current_task()
        if self._began:
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
            self.advance(self._loop)
        except BaseException as error:  # noqa: BLE001 - as in `drive`
            self.stop(error)

    async def _set_out_recorded(self, target: object, recording: Recording) -> None:
        """Take the run over from whoever recorded it, if anybody did, and go on from there."""
        self._began = time.monotonic()
        try:
            self._loop = TailCallLoop(self, None, target)
            await self._resume(recording, self._loop)
            self._begin_turn()
            self.advance(self._loop)
        except BaseException as error:  # noqa: BLE001 - as in `drive`
            self.stop(error)

    async def _resume(self, recording: Recording, loop: TailCallLoop) -> None:
        """Let a loop go on where it is recorded to be."""
        first = loop.target
        prepared = loop.prepare()
        check_inputs(prepared.lazies, self.options.spec, self.options.params)
        check_structure(self.engine, prepared.program, prepared.lazies, self.options.params)
        tree = Tree(prepared.lazies, prepared.program.structure)
        pending = await recording.open(tree, self.options)
        if pending is not None:
            self.announce(first, prepared.lazies)
            loop.resume_at(pending)
        elif recording.is_resumed:
            loop.recovered = True

    async def _work(self) -> None:
        while True:
            while self._finished:
                self._end_frame(self._finished.popleft())
            if self.ended:
                return
            released = None if self.recording is None else self.recording.take_released()
            if released is not None:
                released()
                continue
            if self._completed:
                self._take(*self._completed.popleft())
                continue
            if self._landed:
                self._landed.popleft().land()
                continue
            entry = self._next_ready()
            if entry is None:
                if self.recording is not None:
                    self.recording.begin_commit()
                await self._sleep()
                self._begin_turn()
                continue
            job = self._start(entry)
            if self.turn_is_over():
                if job is not None:
                    self.note_overrun(job.task, self._called_at)
                if self.recording is not None and not self._finished:  # the end commits what is left
                    self.recording.begin_commit()
                await asyncio.sleep(0)
                self._begin_turn()

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
        committing = self.recording is not None and self.recording.is_committing
        busy = self._steps or self._flights or self._filing or self._slot.is_awaited or committing
        assert busy, "a run has nothing to do and no end"
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def watch_turn(self, task: Task[Any], seconds: float) -> None:
        """Note for how long an inline call has held the loop."""
        own = {asyncio.current_task(), self._driver, self.options.caller, self.resources.keeper}
        self.engine.watch_turn(task, seconds, [each for each in own if each is not None])

    @property
    def last_failure(self) -> Exception:
        """The failure that came last, of those that a run goes on after."""
        return self._failures[-1]

    def stop(self, error: BaseException) -> None:
        """End the run with an error; the first one counts."""
        if self.error is None:
            self.error = error
        self.ended = True

    async def _clean_up(self) -> None:
        """Cancel what is under way and wait for it, report what never started, release what is open."""
        for flight in [*self._flights.values()]:
            flight.hand_over()
        for task, step in self._steps.items():
            step.cancel(task)
        while self._steps or self._filing:
            try:
                await asyncio.wait([*self._steps, *self._filing])
                await asyncio.sleep(0)  # the callbacks that take them out of these sets
            except asyncio.CancelledError as cancelled:
                self.stop(cancelled)  # told again to stop: it already does
        self._report_unfinished()
        self._slot.close()
        for loop in self._open_loops():
            loop.give_up()
        if self.error is None and self._failures:
            self.error = ExceptionGroup(f"{len(self._failures)} failed in run {self.run_id}", self._failures)
        await self._release_resources()
        if self.recording is not None:
            await self._close_recording(self.recording)

    async def _close_recording(self, recording: Recording) -> None:
        """Commit what is left, and let go of the store; told again to stop meanwhile, it still does both."""
        for work in (recording.settle(), recording.finish(self.error), recording.state.close()):
            doing = spawn(work)
            while not doing.done():
                try:
                    await asyncio.wait([doing])
                except asyncio.CancelledError as cancelled:
                    self.stop(cancelled)
            error = doing.exception()
            if error is not None and self.error is None:
                self.error = error

    def _report_unfinished(self) -> None:
        """Tell what became of calls that nobody waits for any more, and which never started."""
        for job, outcome in self._completed:
            self._abandon(job, outcome)
        for mapping in self.maps.unfinished():
            self.reports.finished(mapping.job, Failed(self.error or asyncio.CancelledError()))
        for loop in self._open_loops():
            loop.open_paused()
        for frame in self._frames.values():
            for node in frame.never_started():
                self.reports.skipped(Job(frame, node), SkipReason.RUN_STOPPED)

    def _open_loops(self) -> list[TailCallLoop]:
        waiting = [entry for *_, entry in self._ready if isinstance(entry, TailCallLoop)]
        first = [] if self._loop is None else [self._loop]
        return [*first, *waiting, *(frame.loop for frame in self._frames.values())]

    async def _release_resources(self) -> None:
        errors = await self.resources.close(self.error)
        if errors and self.error is None:
            self.error = errors.pop(0)
        if self.error is not None:
            note_others(self.error, errors)

    def _abandon(self, job: Job, outcome: Outcome) -> None:
        """Report how a call ended that nobody waits for any more; what it gave is recorded all the same."""
        if self.recording is not None and isinstance(outcome, Returned):
            try:
                self.recording.keep_late(job, outcome.value)
            except CascadeError as error:
                outcome = Failed(error)
        if job.started:
            self.reports.finished(job, outcome)
        if job.lead is not None:
            job.lead.give_up()

    # Frames

    def may_announce_later(self, program: Program) -> bool:
        """Tell whether it is all the same when it is told that the run begins: nobody hears it, no input is there."""
        options = self.options
        if program.suspects or options.params or options.spec is not None:
            return False
        return not self.bus.hears(RunStarted)

    def announce(self, target: LazyResult[Any], lazies: list[LazyResult[Any]]) -> None:
        """Check the inputs against the first structure, and tell that the run begins; once in a run.

        Raises:
            CascadeError: If an input is unknown, missing or of another type.
        """
        if not self.announced:
            check_inputs(lazies, self.options.spec, self.options.params)
            self._report_start(target)

    def _report_start(self, target: LazyResult[Any]) -> None:
        self.announced = True
        self.reports.run_started(target, self.options.params)

    def check(self, prepared: Prepared) -> None:
        """Check that a structure can be run, before its first node.

        Raises:
            CascadeError: If it can't.
        """
        program, lazies = prepared.program, prepared.lazies
        if not self.announced:
            declaring = [lazies[position] for position in program.params]
            check_inputs(declaring, self.options.spec, self.options.params)
        check_structure(self.engine, program, lazies, self.options.params)
        if not self.announced:
            self._report_start(lazies[program.target])

    def next_serial(self) -> int:
        """Return the number of a tree that begins to run; trees are numbered as they come."""
        self._frames_made += 1
        return self._frames_made - 1

    def open_frame(
        self,
        loop: TailCallLoop,
        key: FrameKey,
        prepared: Prepared,
        values: dict[int, Any],
        under_way: Collection[int],
    ) -> Frame:
        """Demand the value of a prepared tree, some of whose nodes may have values or be under way already."""
        serial = self.next_serial() if prepared.serial is None else prepared.serial
        frame = Frame(key, serial, loop, prepared.program, prepared.lazies, self.state)
        self._frames[serial] = frame
        if self.recording is not None:
            self._open_recorded(self.recording, frame, prepared)
            return frame
        for node, value in values.items():
            self.state.put_result(frame.node_key(node), value)
        frame.begin(values, under_way)
        self._absorb(frame)
        return frame

    def _open_recorded(self, recording: Recording, frame: Frame, prepared: Prepared) -> None:
        """Open a frame with what is recorded of it."""
        settled = recording.meet(frame.key, prepared, frame.loop.recovered)
        for node, reason in settled.items():
            self.reports.skipped(Job(frame, node), reason)
        frame.routed = partial(self._note_route, recording, frame)
        if prepared.inline and not frame.loop.recovered and self._calls_stretches():
            frame.stretch = Stretch(self, recording, frame)
        frame.begin(settled, ())
        self._absorb(frame)

    def _calls_stretches(self) -> bool:
        """Tell whether inline calls may be made directly, but for what is recorded of them."""
        return not self.heard and CONCURRENCY not in self.engine.capacity.totals

    def settle_stretch(self, frame: Frame, nodes: list[int]) -> None:
        """Take in that the values of these nodes are committed."""
        frame.settle_all(nodes)
        self._absorb(frame)

    def note_called(self, job: Job, ended: float) -> Job:
        """Note when the last plain call ended; return it."""
        self._called_at = ended
        return job

    def called_in_stretch(self, job: Job, value: object, failure: BaseException | None, ended: float) -> Job:
        """Take in a plain call of a stretch that has to go the general way."""
        job.note_started()
        self._called_at = ended
        if failure is None:
            self.returned(job, value)
        else:
            self.fail(job, failure)
        return job

    def _note_route(
        self, recording: Recording, frame: Frame, node: int, choice: Choice, route: int | None
    ) -> None:
        recording.keep_route(Job(frame, node), choice, route)

    def close_frame(self, frame: Frame, last: bool) -> None:
        """Report what was left out of a frame, and forget its facts.

        Those of a recorded run's last one stay, and those that a run which goes on after a failure begins with.
        """
        for node, reason in frame.left_out():
            self.reports.skipped(Job(frame, node), reason)
        del self._frames[frame.serial]
        if self.recording is None or not last or (frame.loop.job is not None and self._settles(frame)):
            self.state.clear(frame.key)

    def _settles(self, frame: Frame) -> bool:
        """Tell whether what became of a frame's target is what becomes of its place, and no failure."""
        target = frame.program.target
        if frame.flow.has_value(target):
            return True
        reason = self.state.get_skip_reason(frame.node_key(target))
        return not isinstance(frame.loop.job, ItemJob) and reason not in (None, SkipReason.UPSTREAM_FAILED)

    def _absorb(self, frame: Frame) -> None:
        """Take over what the last steps of a frame brought about."""
        for node, reason in frame.skipped:
            self.reports.skipped(Job(frame, node), reason)
            if self.recording is not None and reason is not SkipReason.UPSTREAM_FAILED:  # that may change
                self.recording.keep_skip(Job(frame, node), reason)
        frame.skipped.clear()
        for node in frame.ready:
            if frame.stretch is not None:
                frame.stretch.add(node)
                continue
            self.queue(frame.serial, frame.program.rank[node], Job(frame, node))
        frame.ready.clear()
        if frame.finished:
            self._finished.append(frame)

    def _end_frame(self, frame: Frame) -> None:
        """The target of a frame has settled: its value is that of the loop's place."""
        loop, target = frame.loop, frame.program.target
        has_value = frame.flow.has_value(target)
        value = frame.flow.value(target) if has_value else None
        reason = None if has_value else self.state.get_skip_reason(frame.node_key(target))
        error = missing_error(frame, SkipReason(reason)) if reason and loop.job is None else None
        loop.close(last=True)
        if has_value:
            self.settle_loop(loop, value)
        elif loop.job is not None:
            self._settle_skipped_place(loop.job, reason)
        else:
            self.ended = True
            if error is not None and not self._failures:
                self.error = error

    def settle_loop(self, loop: TailCallLoop, value: object) -> None:
        """A loop has its value: that is the value of its place."""
        if loop.job is not None:
            self.succeed(loop.job, value)
            return
        self.ended = True
        self.value = value
        if loop.lead is not None:
            self._file(loop.lead, value)
            loop.lead = None

    def queue_loop(self, loop: TailCallLoop) -> None:
        """Let a loop go on in its turn, after what is ready now."""
        self.queue(self._frames_made, -1, loop)

    def take_over(self, frame: Frame, node: int, stopped: Stopped) -> None:
        """Go on where plain calls had to stop: at a call that raised or returned a lazy result."""
        job = Job(frame, node)
        job.note_started()
        job.began = stopped.began
        if isinstance(stopped.value, CalledItems):
            self.maps.take_over(MapRun(job, stopped.value.items), stopped.value)
        elif stopped.error is not None and isinstance(job.lazy, MappedLazyResult):
            self.fail(job, stopped.error)  # its inputs are at fault, and a retry is for its items
        else:
            self.called(job, stopped.value, stopped.error)

    def called(self, job: Job, value: object, failure: BaseException | None) -> None:
        """Take in a plain call that gave `value`, or failed."""
        if failure is None:
            self.returned(job, value)
        else:
            self.fail_plain(job, failure)

    def fail_plain(self, job: Job, error: BaseException) -> None:
        """Take in what a plain call raised: its first attempt, if there may be others."""
        retry = job.policies.retry
        if retry is not None and isinstance(error, retry.on):
            job.started = True
            self._spawn(job, error)
        else:
            self.fail(job, error)

    def _settle_skipped_place(self, job: Job, reason: str | None) -> None:
        if reason is None or reason == SkipReason.UPSTREAM_FAILED:
            self.settle_without_value(job)
        elif isinstance(job, ItemJob):
            self.fail_unreported(job, MapItemSkippedError(job.name, job.index, reason))
        else:
            if self.recording is None:
                self.state.mark_skipped(job.key, reason)
            else:
                self.recording.keep_skip(job, reason)
            self.settle_without_value(job)

    # Flights

    def begin_flight(self, flight: Flight) -> None:
        """Let a flight start its first calls in its turn."""
        self._flights[flight.serial] = flight
        self.queue(flight.serial, 0, flight)

    def note_landing(self, flight: Flight) -> None:
        """Note that coroutines of a flight have ended; told once until it has looked at them."""
        self._landed.append(flight)
        self._wake_up()

    def forget_flight(self, flight: Flight) -> None:
        """Note that a flight has ended, or that a frame goes on in its place."""
        del self._flights[flight.serial]

    def adopt(self, job: Job, task: asyncio.Task[Any]) -> None:
        """Take over a coroutine that a flight has begun, or is about to."""
        self._steps[task] = PlainStep(self, job)
        task.add_done_callback(self._complete)

    # Starting calls

    def queue(self, serial: int, rank: int, entry: Entry) -> None:
        """Let an entry be started in its turn: by the number of its tree, then by its rank in that tree's plan."""
        heapq.heappush(self._ready, (serial, rank, next(self._ties), entry))

    def _next_ready(self) -> Entry | None:
        if not self._ready:
            self._slot.give_back()
            return None
        entry = self._ready[0][3]
        if self._needs_slot(entry) and not self._slot.is_there():
            return None
        return heapq.heappop(self._ready)[3]

    def _needs_slot(self, entry: Entry) -> bool:
        """Tell whether an entry takes its slot before it starts; others take it with what else they need."""
        if CONCURRENCY not in self.engine.capacity.totals or isinstance(
            entry, TailCallLoop | Flight | Stretch
        ):
            return False
        if isinstance(entry, MapRun):
            policies = entry.job.policies
        elif type(entry.lazy) is MappedLazyResult:
            return False
        else:
            policies = entry.policies
        return _takes_slot_first(policies)

    def _start(self, entry: Entry) -> Job | None:
        """Start a call; return it if it was made here and now."""
        if isinstance(entry, TailCallLoop):
            self.advance(entry)
            return None
        if isinstance(entry, Flight):
            entry.go_on()
            return None
        if isinstance(entry, Stretch):
            return entry.go_on()
        if isinstance(entry, MapRun):
            item = self.maps.next_item(entry)
            return None if item is None else self._start_call(item)
        if type(entry.lazy) is MappedLazyResult:
            self.maps.start(entry)
            return None
        return self._start_call(entry)

    def _go_on_in_place(self, job: Job, pending: Pending) -> None:
        """Go on with the loop in the place of a call that had been made before the run was interrupted."""
        job.note_started()
        self.reports.skipped(job, SkipReason.RECOVERED)
        loop = TailCallLoop(self, job, pending.target)
        loop.resume_at(pending)
        self.queue_loop(loop)

    def _start_call(self, job: Job) -> Job | None:
        pending = None if self.recording is None else self.recording.pending(job)
        if pending is not None:
            self._go_on_in_place(job, pending)
            return None
        broken = job.frame.broken(job.position)
        if broken is not None:
            self.reports.started(job)
            self.fail(job, broken)
        elif self.is_plain(job):
            self._call(job)
            return job
        elif job.policies.cache is not None and (hit := self._look_up(job)) is not None:
            self._take(job, Known(hit.value))
        elif self.plain and job.task.is_async and self._needs_nothing(job) and not job.resources:
            self._begin(PlainStep(self, job), self.context.copy())
        else:
            self._spawn(job)
        return None

    def is_plain(self, job: Job) -> bool:
        """Tell whether a call needs nothing but to be made."""
        inline = self.engine.is_inline(job.lazy)
        return inline and self._needs_nothing(job) and self.resources.are_open(job.resources)

    def _needs_nothing(self, job: Job) -> bool:
        """Tell whether no policy of a call has to do with how it is made."""
        policies = job.policies
        return policies.retry is None and is_simple(policies)

    def _call(self, job: Job) -> None:
        self.reports.started(job)
        slot = self._slot.take()
        try:
            args, kwargs = job.arguments(self.resources.values)
            value = job.task.func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the user's own code
            self._called_at = time.monotonic()
            self.fail(job, error)
        else:
            self._called_at = time.monotonic()  # before listeners take their time
            self.returned(job, value)
        finally:
            if slot is not None:
                slot.release()

    def _spawn(self, job: Job, failed: Exception | None = None) -> None:
        """Make a call in an asyncio task of its own; `failed` is what its first attempt has raised already."""
        slot = self._slot.take() if _takes_slot_first(job.policies) else None
        # Inline calls share the context of the run, all others get a copy.
        context = self.context if self.engine.is_inline(job.lazy) else self.context.copy()
        self._begin(Step(self, job, slot, failed), context)

    def _begin(self, step: Step | PlainStep, context: Context) -> None:
        task = spawn(step.perform(), context)
        self._steps[task] = step
        task.add_done_callback(self._complete)

    def _complete(self, task: asyncio.Task[Outcome]) -> None:
        step = self._steps.pop(task)
        step.give_back()
        # A task that is cancelled before its first turn never gets to run, and so has not caught it.
        outcome = Failed(asyncio.CancelledError()) if task.cancelled() else task.result()
        self.complete(step.job, outcome)

    def complete(self, job: Job, outcome: Outcome) -> None:
        """Note how a call has ended, to be looked at in its turn."""
        self._completed.append((job, outcome))
        self._wake_up()

    # What calls bring about

    def _take(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Returned):
            self.returned(job, outcome.value)
        elif isinstance(outcome, Known):
            self.reports.skipped(job, SkipReason.CACHE_HIT)
            self.succeed(job, outcome.value)
        else:
            if not job.started:
                self.reports.started(job)
            self.fail(job, outcome.error)

    def returned(self, job: Job, value: object) -> None:
        if self.recording is not None:
            self._returned_recorded(self.recording, job, value)
            return
        self.reports.finished(job, Returned(value))
        if not isinstance(value, LazyResult):
            self.succeed(job, value)
            return
        if not job.is_target:
            self.queue_loop(TailCallLoop(self, job, value))  # not begun here: trees may nest without end
            return
        try:
            job.frame.loop.next_round(job, value)
        except BaseException as error:
            job.frame.loop.give_up()
            if not isinstance(error, CascadeError):
                raise
            self.fail_unreported(job, error)  # a tree that can't be run fails the call that returned it

    def _returned_recorded(self, recording: Recording, job: Job, value: object) -> None:
        """Take in what a call has returned: it is recorded first, and what depends on it waits for the commit."""
        waits = True
        try:
            if isinstance(value, LazyResult):
                recording.keep_target(job, value)
            else:
                waits = recording.keep_result(job, value)
        except CascadeError as error:
            self.fail(job, error)
            return
        self.reports.finished(job, Returned(value))
        if not isinstance(value, LazyResult):
            self._succeeded(job, value, waits)
        elif job.is_target:
            job.frame.loop.begin_round(job, value)
            recording.hold(partial(self.advance, job.frame.loop))
        else:
            recording.hold(partial(self.queue_loop, TailCallLoop(self, job, value)))

    def advance(self, loop: TailCallLoop) -> None:
        """Let a loop run its next rounds; a tree that can't be run fails the call in whose place it stands."""
        try:
            loop.advance()
        except CascadeError as error:
            if loop.job is not None:
                self.fail_unreported(loop.job, error)
            elif self.options.finish and self.announced:
                self._failures.append(error)
                self.ended = True
            else:
                self.stop(error)
        except BaseException:
            loop.give_up()
            raise

    def succeed(self, job: Job, value: object) -> None:
        waits = False
        if self.recording is None:
            self.state.put_result(job.key, value)
        else:
            try:
                waits = self.recording.keep_result(job, value)
            except CascadeError as error:
                self.fail_unreported(job, error)
                return
        self._succeeded(job, value, waits)

    def _succeeded(self, job: Job, value: object, waits: bool) -> None:
        if job.lead is not None:
            self._file(job.lead, value)
            job.lead = None
        if (
            waits and self.recording is not None and not isinstance(job, ItemJob)
        ):  # a map waits, with all its items
            self.recording.hold(partial(self._settle, job))
        else:
            self._settle(job)

    def fail(self, job: Job, error: BaseException) -> None:
        self.reports.finished(job, Failed(error))
        self.fail_unreported(job, error)

    def fail_unreported(self, job: Job, error: BaseException) -> None:
        """Take in a failure of a call that has told of its own end already, or has just done so."""
        self._record_failure(job, error)
        if isinstance(job, ItemJob) and job.mapping.error is None:
            job.mapping.error = error
        if not self.ended:
            self.settle_without_value(job)

    def _record_failure(self, job: Job, error: BaseException) -> None:
        self.reports.annotate(error, job)
        if self.options.finish and isinstance(error, Exception):
            self._failures.append(error)
        else:
            if job.lead is not None:
                job.lead.give_up()
            self.stop(error)

    def settle_without_value(self, job: Job) -> None:
        if job.lead is not None:
            job.lead.give_up()
            job.lead = None
        if isinstance(job, ItemJob):
            job.mapping.failed = True
        self._settle(job)

    def _settle(self, job: Job) -> None:
        if isinstance(job, ItemJob):
            self.maps.settle_item(job.mapping)
        else:
            job.frame.settle(job.position)
            self._absorb(job.frame)

    # Cache

    def _look_up(self, job: Job) -> Hit | None:
        """Return the value of a call that is in a cache which tells it at once."""
        policy = job.policies.cache
        if policy is None:
            return None
        try:
            args, kwargs = job.arguments(None)
            return self.engine.cache.look(policy, CachedCall(job.task, args, kwargs))
        except Exception:  # noqa: BLE001 - raised again where the call is made
            return None

    def _file(self, lead: Lead, value: object) -> None:
        """Put a value into the cache, beside the run and before its end."""
        filing = spawn(self._put(lead, value))
        self._filing.add(filing)
        filing.add_done_callback(self._filing.discard)

    async def _put(self, lead: Lead, value: object) -> None:
        try:
            await lead.succeed(value)
        except Exception as error:  # noqa: BLE001 - a cache that can't keep a value costs time, not the value
            self.reports.uncached(lead.leader, told(error))


def _takes_slot_first(policies: Policies) -> bool:
    """Tell whether a call takes its slot before it starts: not if it waits for more, or may turn out to be no call."""
    return policies.constraints is None and policies.cache is None
