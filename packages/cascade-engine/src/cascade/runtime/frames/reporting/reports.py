"""Reports: what a run tells its listeners and its timeline, and the notes that it puts on errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from cascade.runtime.bus import MessageBus
from cascade.runtime.events import (
    CacheBypassed,
    ResourceAcquired,
    ResourceReleased,
    RunFinished,
    RunStarted,
    SkipReason,
    Status,
    TaskBlocked,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.outcomes import Failed, Outcome
from cascade.runtime.frames.reporting.event_drafts import call_started, call_succeeded
from cascade.runtime.frames.reporting.publishing import Preview
from cascade.runtime.frames.reporting.stretch_reports import StretchReports
from cascade.runtime.frames.reporting.tracing import RunTracing
from cascade.runtime.timeline.entries import OneCall
from cascade.runtime.timeline.timeline_of_runs import KeepsRuns
from cascade.runtime.timeline.views import MapSize, Retry, WaitingCall
from cascade.spec.calls.arguments import find_markers
from cascade.spec.calls.error_text import add_note, error_name, error_text, is_error, notes_of
from cascade.spec.errors import UncacheableError
from cascade.spec.internal_tasks import COLLECT
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Resource
from cascade.spec.task import Task

MAX_NOTES = 32
"""An error that is one object for many runs, a constant of a module say, must not gather notes without end."""


class Reports(StretchReports):
    """Tells of one run: what happens to single calls, and to the run itself."""

    def __init__(
        self,
        bus: MessageBus,
        timeline: KeepsRuns | None,
        run_id: str,
        preview: Preview | None,
        interrupt: Callable[[BaseException], None],
    ) -> None:
        super().__init__(bus, timeline, run_id, preview, interrupt)
        self._run_started = False
        self.tracing: RunTracing | None = None  # if the calls of the run have spans
        self._maps: set[Job] = set()  # that have begun and not ended, if there is a timeline
        self._bypassed: set[tuple[Task[Any], object]] = set()

    def run_started(self, target: LazyResult[Any], params: Mapping[str, object]) -> None:
        """A run begins."""
        self._run_started = True
        if self._timelines is not None:
            self._timeline = self._timelines.begin_run(self._run_id, self.began, tuple(params))
            if self.is_recorded:
                self._timeline.begin_saving(self.is_unseen)
        if self.bus.hears(RunStarted):
            self._publish(RunStarted(self._run_id, _target_names(target), tuple(params)))

    def run_finished(self, duration: float, error: BaseException | None) -> None:
        """A run has ended; one whose target could not be run has never begun."""
        status = Status.SUCCEEDED if error is None else _status_of(error)
        if self._timeline is not None:
            self._timeline.end(status, _text(error))
        if self.tracing is not None:
            self.tracing.end_run(status, _text(error))
        if self._run_started and self.bus.hears(RunFinished):
            self._publish(RunFinished(self._run_id, status, duration, _text(error)))

    @property
    def follows_calls(self) -> bool:
        """Whether somebody is told of each call."""
        return self._timeline is not None or self._hears_calls()

    def started(self, job: Job) -> None:
        """A call begins."""
        job.note_started()
        if self.tracing is not None:
            self.tracing.begin(job)
        if self.bus.hears(TaskExecutionStarted):
            self._publish(call_started(self._run_id, job.task_id, job.name))
        job.began = time.monotonic()  # the listeners' time is not the call's
        self.note_running(job)

    def note_running(self, job: Job) -> None:
        """A call goes on by itself that began in a flight or a stretch, which has told so."""
        if self._timeline is not None:
            place = (job.frame.serial, job.position, job.item)
            self._timeline.add_running(job, (place, job.name, job.began))

    def started_already(self, job: Job) -> None:
        """A call goes on by itself that began as one of those made one after another."""
        job.note_started()
        if self.bus.hears(TaskExecutionStarted):
            self._publish(call_started(self._run_id, job.task_id, job.name))
        self.note_running(job)

    @property
    def hears_ends(self) -> bool:
        """Whether somebody listens to the ends of calls now."""
        return self.bus.hears(TaskExecutionFinished)

    def finished(self, job: Job, outcome: Outcome) -> None:
        """A call has ended."""
        timeline, is_heard = self._timeline, self.bus.hears(TaskExecutionFinished)
        if self.tracing is not None:
            problem = outcome.error if isinstance(outcome, Failed) else None
            self.tracing.end(job, Status.SUCCEEDED if problem is None else _status_of(problem), problem)
            del problem  # its traceback may lead back to this frame: they would be a cycle
        if timeline is None and not is_heard:
            return
        told = None if timeline is None else timeline.take_running(job)
        place, name = ((job.frame.serial, job.position, job.item), job.name) if told is None else told[:2]
        ended, began = job.ended or time.monotonic(), job.began
        error = outcome.error if isinstance(outcome, Failed) else None
        status, text = (Status.SUCCEEDED, None) if error is None else (_status_of(error), error_text(error))
        if timeline is not None:
            is_map = job in self._maps
            if is_map:
                self._maps.discard(job)
            queued = job.queued or began
            notes = () if error is None else tuple(notes_of(error))
            facts = (name, job.attempt, queued, began, ended, status, job.worker, text, is_map, notes)
            failure = None if error is None else (error_name(error), job.where)
            timeline.add_call(OneCall(place, facts, failure), job)
        if not is_heard:
            return
        duration = ended - began
        if isinstance(outcome, Failed):
            self._publish(TaskExecutionFinished(self._run_id, job.task_id, name, status, duration, text))
        else:
            shown = self._shown(outcome.value)
            self._publish(call_succeeded(self._run_id, job.task_id, name, duration, shown))

    def map_begun(self, job: Job, size: int) -> None:
        """A map has begun, and how many items it has is known."""
        if self.tracing is not None:
            self.tracing.note_items(job, size)
        if self._timeline is not None:
            self._maps.add(job)
            self._timeline.add_map(MapSize(job.place, job.name, size), job)

    def skipped(self, job: Job, reason: SkipReason) -> None:
        """A call is not made."""
        if self.tracing is not None:
            self.tracing.note_skip(job, reason)
        if self.bus.hears(TaskSkipped):
            self._publish(TaskSkipped(self._run_id, job.task_id, job.name, reason))
        if self._timeline is not None:
            self._timeline.add_skip(job.place, job.name, reason)

    def retrying(self, job: Job, attempt: int, max_attempts: int, wait: float, error: Exception) -> None:
        """An attempt has failed, and another one follows."""
        if self.tracing is not None:
            self.tracing.note_retry(job, error, wait)
        job.attempt = attempt + 1
        if self._timeline is not None:
            at, text = job.ended or time.monotonic(), error_text(error)
            self._timeline.add_retry(Retry(job.place, job.name, attempt, at, wait, text, error_name(error)))
        if self.bus.hears(TaskRetrying):
            text = error_text(error)
            self._publish(
                TaskRetrying(self._run_id, job.task_id, job.name, attempt, max_attempts, wait, text)
            )

    def blocked(self, job: Job, reason: str) -> None:
        """A call waits for capacity."""
        self.waits(job, job.name, reason)
        if self.bus.hears(TaskBlocked):
            self._publish(TaskBlocked(self._run_id, job.task_id, job.name, reason))

    def not_interrupted(self, job: Job, reason: str) -> None:
        """A call is to end and can't be interrupted: the run waits until it has ended by itself."""
        if self.bus.hears(TaskBlocked):
            self._publish(TaskBlocked(self._run_id, job.task_id, job.name, reason))

    def waits(self, owner: object, task: str, reason: str) -> None:
        """A call waits, or calls that follow each other do; of this only the timeline is told."""
        if self._timeline is not None:
            self._timeline.add_waiting(owner, WaitingCall(task, reason))

    def waits_no_more(self, owner: object) -> None:
        """What has waited goes on, or has never waited."""
        if self._timeline is not None:
            self._timeline.end_waiting(owner)

    def uncached(self, job: Job, problem: Exception | str) -> None:
        """A call is made, or its value kept, without the cache; told once for each task and kind of problem."""
        if not self.bus.hears(CacheBypassed):
            return
        told = (job.task, problem if isinstance(problem, str) else type(problem))
        if told not in self._bypassed:  # the items of a map would all say the same
            self._bypassed.add(told)
            reason = str(problem) if isinstance(problem, str | UncacheableError) else error_text(problem)
            self._publish(CacheBypassed(self._run_id, job.task_id, job.name, reason))

    def resource(self, resource: Resource, error: BaseException | None, opened: bool) -> None:
        """A resource was opened or released."""
        if opened:
            if self.bus.hears(ResourceAcquired):
                self._publish(ResourceAcquired(self._run_id, resource.name, resource.scope))
        elif self.bus.hears(ResourceReleased):
            self._publish(ResourceReleased(self._run_id, resource.name, resource.scope, _text(error)))

    def annotate(self, error: BaseException, job: Job) -> None:
        """Note on an error which task raised it, where in the tree and in which run."""
        self.note_place(error, job.name, job.where)

    def note_place(self, error: BaseException, name: str, where: object) -> None:
        """Note on an error the task of this name, its place and the run."""
        note = f"in task '{name}' at {where}, run {self._run_id}"
        notes = notes_of(error)
        if note not in notes and len(notes) < MAX_NOTES:
            add_note(error, note)


def _target_names(target: LazyResult[Any]) -> tuple[str, ...]:
    """Return the name of a target's task; for a gathering, those of what it gathers."""
    if target.task is COLLECT:
        gathered = (found.marker for found in find_markers(target.args, {}))
        return tuple(each.task.name for each in gathered if isinstance(each, LazyResult))
    return (target.task.name,)


def _status_of(error: BaseException) -> Status:
    return Status.CANCELLED if is_error(error, asyncio.CancelledError) else Status.FAILED


def _text(error: BaseException | None) -> str | None:
    return None if error is None else error_text(error)
