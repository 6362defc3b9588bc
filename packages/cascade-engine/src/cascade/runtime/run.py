"""Runs: everything that belongs to one run, and the loop that drives it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cascade.runtime.capacity import CONCURRENCY, Lease
from cascade.runtime.checks import check_inputs, check_structure
from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import MapItemSkippedError
from cascade.runtime.frame import Frame
from cascade.runtime.jobs import ItemJob, Job
from cascade.runtime.keys import FrameKey
from cascade.runtime.mapping import CalledItems, MapRun
from cascade.runtime.maps import Maps
from cascade.runtime.missing import missing_error
from cascade.runtime.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.plain import TURN_SECONDS, Stopped, is_simple
from cascade.runtime.reports import Reports
from cascade.runtime.resource_manager import RunResources, note_others
from cascade.runtime.slots import Slot
from cascade.runtime.spawning import spawn
from cascade.runtime.steps import PlainStep, Step
from cascade.runtime.strategies import Prepared, TailCallLoop
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult, MappedLazyResult
from cascade.spec.policies import Policies
from cascade.spec.task import Task
from cascade.spec.workflow import WorkflowSpec

if TYPE_CHECKING:
    from cascade.runtime.caching import Lead
    from cascade.runtime.engine import Engine

Entry = Job | MapRun | TailCallLoop
"""What may be started: a call, the next item of a map, the next rounds of a loop."""


@dataclass(frozen=True)
class RunOptions:
    """What a run is given besides its target."""

    params: dict[str, object] = field(default_factory=dict)
    run_id: str | None = None
    finish: bool = False
    spec: WorkflowSpec | None = None
    lender: Lease | None = None
    caller: asyncio.Task[Any] | None = None


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
        self.run_id = options.run_id or uuid4().hex
        self.reports = Reports(engine.bus, self.run_id, engine.preview)
        self.state = engine.state_backend_cls(run_id=self.run_id)
        self.resources = RunResources(engine.registry, options.params, self.reports.resource)
        self.error: BaseException | None = None
        self.value: Any = None
        self._failures: list[Exception] = []
        self.ended = False
        self._driver: asyncio.Task[Any] | None = None
        self._frames: dict[int, Frame] = {}
        self._frames_made = 0
        self._finished: deque[Frame] = deque()
        self.announced = False
        self._loop: TailCallLoop | None = None
        self.turn_ends = 0.0
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

    # The life of the run

    async def drive(self, target: object) -> None:
        """Run the target to its end; then `value` or `error` is set, and nothing is left running or open."""
        began = time.monotonic()
        self._driver = asyncio.current_task()
        try:
            self._loop = TailCallLoop(self, None, target)
            self._begin_turn()
            self._advance(self._loop)
            await self._work()
        except BaseException as error:  # noqa: BLE001 - kept, and raised by the engine after all is cleaned up
            self.stop(error)
        await self._clean_up()
        self.reports.run_finished(time.monotonic() - began, self.error)

    async def _work(self) -> None:
        while True:
            while self._finished:
                self._end_frame(self._finished.popleft())
            if self.ended:
                return
            if self._completed:
                self._take(*self._completed.popleft())
                continue
            entry = self._next_ready()
            if entry is None:
                await self._sleep()
                self._begin_turn()
                continue
            job = self._start(entry)
            if self.turn_is_over():
                if job is not None:
                    self.note_overrun(job.task, self._called_at)
                await asyncio.sleep(0)
                self._begin_turn()

    def _begin_turn(self) -> None:
        self.turn_ends = time.monotonic() + TURN_SECONDS
        self.plain = self.engine.runs_plainly()
        self.heard = self.engine.is_heard()

    def turn_is_over(self) -> bool:
        """Tell whether the event loop is to get its turn."""
        return time.monotonic() > self.turn_ends

    def note_overrun(self, task: Task[Any], ended: float) -> None:
        """Note that this task's call ended at a time when the turn was over."""
        self.watch_turn(task, ended - self.turn_ends + TURN_SECONDS)

    async def _sleep(self) -> None:
        assert self._steps or self._filing or self._slot.is_awaited, "a run has nothing to do and no end"
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
        """Report how a call ended that nobody waits for any more."""
        if job.started:
            self.reports.finished(job, outcome)
        if job.lead is not None:
            job.lead.give_up()

    # Frames

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
            check_inputs(lazies, self.options.spec, self.options.params)
        check_structure(self.engine, program, lazies, self.options.params)
        if not self.announced:
            self._report_start(lazies[program.target])

    def next_serial(self) -> int:
        """Return the number of a tree that begins to run; trees are numbered as they come."""
        self._frames_made += 1
        return self._frames_made - 1

    def open_frame(
        self, loop: TailCallLoop, key: FrameKey, prepared: Prepared, values: dict[int, Any], begun: int | None
    ) -> Frame:
        """Demand the value of a prepared tree, some of whose nodes may have values or have begun already."""
        serial = self.next_serial() if prepared.serial is None else prepared.serial
        frame = Frame(key, serial, loop, prepared.program, prepared.lazies, self.state)
        self._frames[serial] = frame
        for node, value in values.items():
            self.state.put_result(frame.node_key(node), value)
        frame.begin(values, begun)
        self._absorb(frame)
        return frame

    def close_frame(self, frame: Frame) -> None:
        """Report what was left out of a frame, and forget its facts."""
        for node, reason in frame.left_out():
            self.reports.skipped(Job(frame, node), reason)
        del self._frames[frame.serial]
        self.state.clear(frame.key)

    def _absorb(self, frame: Frame) -> None:
        """Take over what the last steps of a frame brought about."""
        for node, reason in frame.skipped:
            self.reports.skipped(Job(frame, node), reason)
        frame.skipped.clear()
        for node in frame.ready:
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
        loop.close()
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
        job.started = True
        job.began = stopped.began
        if isinstance(stopped.value, CalledItems):
            self.maps.take_over(MapRun(job, stopped.value.items), stopped.value)
        elif stopped.error is None:
            self.returned(job, stopped.value)
        elif isinstance(job.lazy, MappedLazyResult):  # its inputs are at fault, and a retry is for its items
            self.fail(job, stopped.error)
        else:
            self.fail_plain(job, stopped.error)

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
            self.state.mark_skipped(job.key, reason)
            self.settle_without_value(job)

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
        if CONCURRENCY not in self.engine.capacity.totals or isinstance(entry, TailCallLoop):
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
            self._advance(entry)
            return None
        if isinstance(entry, MapRun):
            item = self.maps.next_item(entry)
            return None if item is None else self._start_call(item)
        if type(entry.lazy) is MappedLazyResult:
            self.maps.start(entry)
            return None
        return self._start_call(entry)

    def _start_call(self, job: Job) -> Job | None:
        broken = job.frame.broken(job.position)
        if broken is not None:
            self.reports.started(job)
            self.fail(job, broken)
        elif self.is_plain(job):
            self._call(job)
            return job
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
        self._completed.append((step.job, outcome))
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

    def _advance(self, loop: TailCallLoop) -> None:
        try:
            loop.advance()
        except CascadeError as error:  # as above
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
        self.state.put_result(job.key, value)
        if job.lead is not None:
            self._file(job.lead, value)
            job.lead = None
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

    def _file(self, lead: Lead, value: object) -> None:
        """Put a value into the cache, beside the run and before its end."""
        filing = spawn(self._put(lead, value))
        self._filing.add(filing)
        filing.add_done_callback(self._filing.discard)

    async def _put(self, lead: Lead, value: object) -> None:
        try:
            await lead.succeed(value)
        except Exception as error:  # noqa: BLE001 - a cache that can't keep a value costs time, not the value
            self.reports.uncached(lead.leader, f"{type(error).__name__}: {error}")


def _takes_slot_first(policies: Policies) -> bool:
    """Tell whether a call takes its slot before it starts: not if it waits for more, or may turn out to be no call."""
    return policies.constraints is None and policies.cache is None
