"""Reports: what a run tells its listeners, and the notes that it puts on errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, repeat
from typing import Any

from cascade.runtime.bus import MessageBus, log_failure
from cascade.runtime.events import (
    CacheBypassed,
    Event,
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
from cascade.runtime.frames.watching import MadeCalls, TreeWatch, WatchedTree
from cascade.runtime.programs.timed_calls import Ends
from cascade.spec.calls.arguments import find_markers
from cascade.spec.calls.error_text import add_note, error_text, is_error, notes_of
from cascade.spec.errors import UncacheableError
from cascade.spec.internal_tasks import COLLECT
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Resource
from cascade.spec.task import Task

MAX_NOTES = 32
"""An error that is one object for many runs, a constant of a module say, must not gather notes without end."""

Preview = Callable[[object], str]
_logger = logging.getLogger(__name__)


class Reports:
    """Builds events only if somebody listens to them.

    A listener, or the preview, may raise `KeyboardInterrupt` or `SystemExit`, wherever the run is at that moment: the
    error goes to `interrupt`, and never into the code that has something to tell.
    """

    def __init__(
        self,
        bus: MessageBus,
        run_id: str,
        preview: Preview | None,
        interrupt: Callable[[BaseException], None],
    ) -> None:
        self.bus = bus
        self._interrupt = interrupt
        self._run_id = run_id
        self._preview = preview
        self._run_started = False
        self._bypassed: set[tuple[Task[Any], object]] = set()

    def run_started(self, target: LazyResult[Any], params: Mapping[str, object]) -> None:
        """A run begins."""
        self._run_started = True
        if self.bus.hears(RunStarted):
            self._publish(RunStarted(self._run_id, _target_names(target), tuple(params)))

    def run_finished(self, duration: float, error: BaseException | None) -> None:
        """A run has ended; one whose target could not be run has never begun."""
        if self._run_started and self.bus.hears(RunFinished):
            status = Status.SUCCEEDED if error is None else _status_of(error)
            self._publish(RunFinished(self._run_id, status, duration, _text(error)))

    def started(self, job: Job) -> None:
        """A call begins."""
        job.note_started()
        if self.bus.hears(TaskExecutionStarted):
            self._publish(TaskExecutionStarted(self._run_id, job.task_id, job.name))
        job.began = time.monotonic()  # the listeners' time is not the call's

    def started_already(self, job: Job) -> None:
        """Tell of a call that began as one of those made one after another, and that goes on in the general way."""
        job.note_started()
        if self.bus.hears(TaskExecutionStarted):
            self._publish(TaskExecutionStarted(self._run_id, job.task_id, job.name))

    # Calls that are made one after another

    @property
    def shows(self) -> bool:
        """Whether the values of calls are to be shown, so that reports need them."""
        return self._preview is not None and self.bus.hears(TaskExecutionFinished)

    def new_ends(self) -> Ends | None:
        """Return a list for the ends of calls to be noted in; `None` if nobody wants to know them."""
        return [] if self.bus.hears(TaskExecutionFinished) else None

    def watch(self, tree: WatchedTree, order: Sequence[int]) -> TreeWatch:
        """Return what watches the plain calls of a tree."""
        return TreeWatch(tree, order, self.calls_made, self.new_ends(), self.shows)

    def calls_made(self, tree: WatchedTree, nodes: Sequence[int], made: MadeCalls) -> None:
        """Tell of calls of one tree that were made one after another; keeps neither the ends nor the values."""
        if self._hears_calls():
            serial, names = tree
            suffix = f"@{serial}" if serial else ""
            self._tell_all(("n", suffix), zip(nodes, map(names.__getitem__, nodes), strict=True), made)

    def items_made(self, mapping: Job, first: int, made: MadeCalls) -> None:
        """Tell of items of a map, from an index on, that were called one after another; keeps as little."""
        if self._hears_calls():
            self._tell_all((f"{mapping.task_id}[", "]"), zip(count(first), repeat(mapping.name)), made)

    def _hears_calls(self) -> bool:
        return self.bus.hears(TaskExecutionStarted) or self.bus.hears(TaskExecutionFinished)

    def _tell_all(self, around: tuple[str, str], calls: Iterable[tuple[int, str]], made: MadeCalls) -> None:
        """Make the events of calls in order, given what stands around the number in their ids, numbers and names."""
        # Once per call of every run with a listener: watched by observatory/benchmarks/bench_events.py.
        hears, publish, run_id, began = self.bus.hears, self._publish, self._run_id, made.began
        values = repeat(None) if made.values is None else made.values
        ends = repeat(began) if made.ends is None else made.ends
        shows, awaited = made.values is not None, made.awaited
        before, behind = around
        for place, (number, name), ended, value in zip(range(made.count), calls, ends, values):  # noqa: B905 - endless
            task_id = f"{before}{number}{behind}"
            if hears(TaskExecutionStarted):
                publish(TaskExecutionStarted(run_id, task_id, name))
            if place not in awaited and hears(TaskExecutionFinished):
                shown = self._shown(value) if shows else None
                publish(
                    TaskExecutionFinished(run_id, task_id, name, Status.SUCCEEDED, ended - began, None, shown)
                )
            began = ended

    def finished(self, job: Job, outcome: Outcome) -> None:
        """A call has ended."""
        if not self.bus.hears(TaskExecutionFinished):
            return
        duration = (job.ended or time.monotonic()) - job.began
        if isinstance(outcome, Failed):
            status, text = _status_of(outcome.error), error_text(outcome.error)
            event = TaskExecutionFinished(self._run_id, job.task_id, job.name, status, duration, text)
        else:
            shown = self._shown(outcome.value)
            event = TaskExecutionFinished(
                self._run_id, job.task_id, job.name, Status.SUCCEEDED, duration, None, shown
            )
        self._publish(event)

    def _shown(self, value: object) -> str | None:
        """Return the preview of a result; what making it raises is logged, as what a subscriber raises is."""
        if self._preview is None:
            return None
        try:
            return self._preview(value)
        except (KeyboardInterrupt, SystemExit) as error:
            self._interrupt(error)
        except BaseException as error:  # noqa: BLE001 - the user's own code
            log_failure(_logger, "the preview of a result failed", error)
        return None

    def _publish(self, event: Event) -> None:
        interrupt = self.bus.deliver(event)
        if interrupt is not None:
            self._interrupt(interrupt)

    def skipped(self, job: Job, reason: SkipReason) -> None:
        """A call is not made."""
        if self.bus.hears(TaskSkipped):
            self._publish(TaskSkipped(self._run_id, job.task_id, job.name, reason))

    def retrying(self, job: Job, attempt: int, max_attempts: int, wait: float, error: Exception) -> None:
        """An attempt has failed, and another one follows."""
        if self.bus.hears(TaskRetrying):
            text = error_text(error)
            self._publish(
                TaskRetrying(self._run_id, job.task_id, job.name, attempt, max_attempts, wait, text)
            )

    def blocked(self, job: Job, reason: str) -> None:
        """A call waits for capacity."""
        if self.bus.hears(TaskBlocked):
            self._publish(TaskBlocked(self._run_id, job.task_id, job.name, reason))

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
