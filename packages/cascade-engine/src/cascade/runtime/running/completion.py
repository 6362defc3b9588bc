"""Settling: what calls bring about: values, failures, next targets."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from cascade.adapters.spawning import spawn
from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import MapItemSkippedError, ProvisionalValueError, TaskCancelledError
from cascade.runtime.frames.frame import Frame
from cascade.runtime.frames.jobs import ItemJob, Job
from cascade.runtime.frames.map_runs import CalledItems, MapRun
from cascade.runtime.frames.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.programs.plain_values import AWAITABLE, GIVEN, Awaited, Stopped, given
from cascade.runtime.running.loops import TailCallLoop
from cascade.spec.calls.error_text import is_error
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult, MappedLazyResult

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder
    from cascade.runtime.running.run import Run
    from cascade.runtime.sharing.single_flight import Computation


class Settler:
    """Takes in how the calls of one run have ended, and lets their places have that for a value."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.failures: list[Exception] = []
        self.filing: set[asyncio.Task[None]] = set()
        self.filed: deque[Job] = deque()

    def take(self, job: Job, outcome: Outcome) -> None:
        """Take in how a call has ended; one that ends in an asyncio task of its own has told of that there."""
        try:
            if not job.told:
                outcome = self.end(job, outcome)
            if isinstance(outcome, Returned):
                self._go_on_with(job, outcome.value)
            elif isinstance(outcome, Known):
                self.succeed(job, outcome.value)
            else:
                self.fail_unreported(job, outcome.error)
        finally:
            del (
                outcome
            )  # the traceback of an error that came up in here has this frame: they would be a cycle

    def end(self, job: Job, outcome: Outcome) -> Outcome:
        """Record how a call has ended and tell of it, at the moment when it has; return how it counts.

        What that brings about is for the run's own asyncio task, which takes it in in its turn.
        """
        run = self._run
        if run.ended and not job.started:
            return outcome  # it is told of as one that never started
        job.told = True
        if isinstance(outcome, Known):
            job.note_started()
            run.reports.skipped(job, SkipReason.CACHE_HIT)
            return outcome
        if isinstance(outcome, Returned):
            if GIVEN[type(outcome.value)]:
                outcome = Returned(given(outcome.value))
            if run.recording is not None:
                outcome = self._recorded(run.recording, job, outcome)
        elif not run.ended and is_error(outcome.error, asyncio.CancelledError):
            outcome = Failed(_stray(job, outcome.error))
        if not job.started:
            run.reports.started(job)
        run.reports.finished(job, outcome)
        try:
            return outcome
        finally:
            del outcome  # as above

    def _recorded(self, recording: Recorder, job: Job, outcome: Returned) -> Outcome:
        """Record what a call has returned, also if the run is ending; return how the call counts."""
        try:
            if self._run.ended:
                recording.keep_late(job, outcome.value)
            elif isinstance(outcome.value, LazyResult):
                recording.keep_target(job, outcome.value)
            else:
                recording.keep_result(job, outcome.value)
        except CascadeError as error:
            return Failed(error)
        return outcome

    def take_over(self, frame: Frame, node: int, stopped: Stopped) -> None:
        """Go on where plain calls had to stop: at a call that raised or returned a lazy result."""
        job = Job(frame, node)
        job.note_started()
        job.began = stopped.began or time.monotonic()
        error = stopped.take_error()
        if isinstance(stopped.value, CalledItems):
            self._run.maps.take_over(MapRun(job, stopped.value.items), stopped.value)
        elif error is not None and isinstance(job.lazy, MappedLazyResult):
            self.fail(job, error)  # its inputs are at fault, and a retry is for its items
        else:
            self.called(job, stopped.value, error)

    def called(self, job: Job, value: object, failure: BaseException | None) -> None:
        """Take in a plain call that gave `value`, or failed."""
        if failure is None:
            self.returned(job, value)
        else:
            self.fail_plain(job, failure)

    def called_in_stretch(self, job: Job, value: object, failure: BaseException | None, ended: float) -> Job:
        """Take in a plain call of a stretch that has to go the general way."""
        job.note_started()
        self._run.starter.called_at = ended
        if failure is None:
            self.returned(job, value)
        else:
            self.fail(job, failure)
        return job

    def returned(self, job: Job, value: object) -> None:
        """Take in what a call has given that was made here and now."""
        if isinstance(value, Awaited) or AWAITABLE[type(value)]:
            self._run.starter.await_value(job, value.work if isinstance(value, Awaited) else value)
        else:
            self.take(job, Returned(value))

    def _go_on_with(self, job: Job, value: object) -> None:
        if self._run.has_atomic and job.resources:
            self._note_atomic(job)
        if self._run.recording is not None:
            self._go_on_recorded(self._run.recording, job, value)
            return
        if not isinstance(value, LazyResult):
            self.succeed(job, value)
            return
        if not job.is_target:
            if not isinstance(job, ItemJob):
                job.frame.note_made(job.position)
            self._run.frames.queue_loop(
                TailCallLoop(self._run, job, value)
            )  # not begun here: trees may nest without end
            return
        try:
            job.frame.loop.next_round(job, value)
        except BaseException as error:
            job.frame.loop.give_up()
            if not is_error(error, CascadeError):
                raise
            self.fail_unreported(job, error)  # a tree that can't be run fails the call that returned it

    def _note_atomic(self, job: Job) -> None:
        """Note that a call, and all in whose place it stands, rest on an atomic resource: they fill no cache key."""
        atomic = self._run.engine.registry.atomic_among(job.resources)
        each: Job | None = job if atomic else None
        while each is not None:
            for computation in (each.computation, each.frame.loop.computation):
                if computation is not None:
                    computation.atomic = atomic
            each = each.outer

    def _go_on_recorded(self, recording: Recorder, job: Job, value: object) -> None:
        """Let what depends on a recorded value wait for the commit."""
        if not isinstance(value, LazyResult):
            self._succeeded(job, value, recording.waits(job))
            return
        atomic = recording.atomic_of(job)
        if job.is_target:
            loop = job.frame.loop
            loop.begin_round(job, value)
            recording.commits.hold(partial(self.advance, loop))
        else:
            loop = TailCallLoop(self._run, job, value)
            recording.commits.hold(partial(self._run.frames.queue_loop, loop))
        if atomic:
            loop.atomic = atomic
            loop.met.add(job.task)

    def advance(self, loop: TailCallLoop) -> None:
        """Let a loop run its next rounds; a tree that can't be run fails the call in whose place it stands."""
        try:
            loop.advance()
        except CascadeError as error:
            if loop.job is not None:
                self.fail_unreported(loop.job, error)
            elif self._run.options.finish and self._run.frames.announced:
                self.failures.append(error)
                self._run.ended = True
            else:
                self._run.stop(error)
        except BaseException:
            loop.give_up()
            raise

    def settle_loop(self, loop: TailCallLoop, value: object) -> None:
        """A loop has its value: that is the value of its place."""
        if loop.job is not None:
            self.succeed(loop.job, value)
            return
        self._run.ended = True
        self._run.value = value
        if loop.computation is not None:
            self._file(loop.computation, value)
            loop.computation = None

    def settle_skipped_place(self, job: Job, reason: str | None) -> None:
        if reason is None or reason == SkipReason.UPSTREAM_FAILED:
            self.settle_without_value(job)
        elif isinstance(job, ItemJob):
            self.fail_unreported(job, MapItemSkippedError(job.name, job.index, reason))
        else:
            if self._run.recording is None:
                self._run.state.mark_skipped(job.key, reason)
            else:
                self._run.recording.keep_skipped_place(job, reason)
            self.settle_without_value(job)

    def succeed(self, job: Job, value: object) -> None:
        waits = False
        if self._run.recording is None:
            self._run.state.put_result(job.key, value)
        else:
            try:
                self._run.recording.keep_result(job, value)
            except CascadeError as error:
                self.fail_unreported(job, error)
                return
            waits = self._run.recording.waits(job)
        self._succeeded(job, value, waits)

    def _succeeded(self, job: Job, value: object, waits: bool) -> None:
        is_filed = job.computation is not None and self._file(job.computation, value)
        job.computation = None
        if (
            waits and self._run.recording is not None and not isinstance(job, ItemJob)
        ):  # a map waits, with all its items
            self._run.recording.commits.hold(partial(self.settle, job))
        elif is_filed and not self._run.engine.cache.keeps_objects:
            # The cache takes the value in its first turn: before that nobody gets to change it.
            asyncio.get_running_loop().call_soon(self._let_go, job)
        else:
            self.settle(job)

    def _let_go(self, job: Job) -> None:
        self.filed.append(job)
        self._run.wake_up()

    def fail_plain(self, job: Job, error: BaseException) -> None:
        """Take in what a plain call raised: its first attempt, if there may be others."""
        retry = job.policies.retry
        if retry is not None and is_error(error, retry.on):
            job.started = True
            self._run.starter.begin_step(job, error)
        else:
            self.fail(job, error)

    def fail(self, job: Job, error: BaseException) -> None:
        """Take in that a call has failed here and now."""
        self.take(job, Failed(error))

    def fail_unreported(self, job: Job, error: BaseException) -> None:
        """Take in a failure of a call that has told of its own end already, or has just done so."""
        self._record_failure(job, error)
        if isinstance(job, ItemJob) and job.mapping.error is None:
            job.mapping.error = error
        if not self._run.ended:
            self.settle_without_value(job)

    def _record_failure(self, job: Job, error: BaseException) -> None:
        self._run.reports.annotate(error, job)
        if self._run.options.finish and is_error(error, Exception):
            self.failures.append(error)
        else:
            if job.computation is not None:
                job.computation.give_up()
            self._run.stop(error)

    def settle_without_value(self, job: Job) -> None:
        if job.computation is not None:
            job.computation.give_up()
            job.computation = None
        if isinstance(job, ItemJob):
            job.mapping.failed = True
        self.settle(job)

    def settle(self, job: Job) -> None:
        if isinstance(job, ItemJob):
            self._run.maps.settle_item(job.mapping)
        else:
            job.frame.settle(job.position)
            self._run.frames.absorb(job.frame)

    def _file(self, computation: Computation[Job], value: object) -> bool:
        """Put a value into the cache, beside the run and before its end; return whether it goes there.

        One that rests on an atomic resource is not put there: a failure of the run may undo what it stands for.
        """
        if computation.atomic:
            computation.give_up()
            self._run.reports.uncached(
                computation.owner, ProvisionalValueError(computation.owner.name, computation.atomic)
            )
            return False
        filing = spawn(self._put(computation, value))
        self.filing.add(filing)
        filing.add_done_callback(self.filing.discard)
        return True

    async def _put(self, computation: Computation[Job], value: object) -> None:
        try:
            await computation.succeed(value)
        except Exception as error:  # noqa: BLE001 - a cache that can't keep a value costs time, not the value
            self._run.reports.uncached(computation.owner, error)

    @property
    def last_failure(self) -> Exception:
        """The failure that came last, of those that a run goes on after."""
        return self.failures[-1]


def _stray(job: Job, error: BaseException) -> TaskCancelledError:
    """Return the failure of a call that ended in a cancellation which the run knows nothing of."""
    failure = TaskCancelledError(job.name)
    failure.__cause__ = error
    return failure
