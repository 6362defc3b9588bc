"""Completion: turns the outcome of a call into its node's value, failure or skip, or into the next round of a loop."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import MapItemSkippedError
from cascade.runtime.fast.loop_source import MISS, PartialRound
from cascade.runtime.frames.frame import Frame, Job, Loop
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.missing_inputs import missing_error
from cascade.runtime.frames.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.frames.reporting.watching import Given, made_calls
from cascade.runtime.programs.items import CalledItems
from cascade.runtime.programs.plain_values import (
    AWAITABLE,
    LAZY_TYPES,
    Awaited,
    Interruption,
    Ready,
)
from cascade.runtime.running.flights import Flights
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.making_calls.cache_filing import note_atomic
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.node_ends import NodeEnds
from cascade.runtime.running.services import Services
from cascade.runtime.strategies import BoundPlan
from cascade.spec.calls.error_text import is_error
from cascade.spec.calls.missing import MISSING
from cascade.spec.compose import as_target
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult, MappedLazyResult

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


class Completion:
    """Decides what the outcome of each call means for its node, for the loop that it belongs to and for the run."""

    __slots__ = (
        "_admission",
        "_calling",
        "_ending",
        "_ends",
        "_flights",
        "_frames",
        "_has_atomic",
        "_loops",
        "_maps",
        "_node_ends",
        "_options",
        "_recording",
        "_registry",
        "_reports",
    )

    def __init__(
        self, services: Services, calling: Calling, flights: Flights, node_ends: NodeEnds, loops: Loops
    ) -> None:
        self._admission = loops.admission
        self._calling = calling
        self._ending = services.ending
        self._ends = calling.ends
        self._flights = flights
        self._frames = loops.frames
        self._has_atomic = services.registry.has_atomic
        self._loops = loops
        self._maps = node_ends.maps
        self._node_ends = node_ends
        self._options = services.options
        self._recording = services.recording
        self._registry = services.registry
        self._reports = services.reports

    # The outcomes of calls

    def take(self, job: Job, outcome: Outcome) -> None:
        """Take in how a call has ended. A call that had an asyncio task of its own has reported its end there."""
        try:
            if not job.told:
                outcome = self._ends.end(job, outcome)
            if isinstance(outcome, Returned):
                self._go_on_with(job, outcome.value)
            elif isinstance(outcome, Known):
                self._node_ends.succeed(job, outcome.value)
            else:
                self._node_ends.fail_unreported(job, outcome.error)
        finally:
            del (
                outcome
            )  # the traceback of an error that came up in here has this frame: they would be a cycle

    def called(self, job: Job, value: object, failure: BaseException | None) -> None:
        """Take in a plain call that gave `value`, or failed."""
        if failure is None:
            self.returned(job, value)
        else:
            self.fail_plain(job, failure)

    def called_here(self, job: Job, value: object, failure: BaseException | None) -> None:
        """Take in a call of several that were made one after another: it failed, or goes on, or ends its frame."""
        self._reports.started_already(job)
        if failure is None:
            self.returned(job, value)
        else:
            self.fail_plain(job, failure)

    def returned(self, job: Job, value: object) -> None:
        """Take in what a plain call returned; if that can be awaited, the call goes on."""
        if isinstance(value, Awaited):
            self._calling.await_value(job, value.work, value.lease)
        elif AWAITABLE[type(value)]:
            self._calling.await_value(job, value)
        elif self._recording is not None and self._recording.is_put_ahead(job.task, value):
            self._calling.await_value(job, Ready(value))  # it is put before the call ends, while others go on
        else:
            self.take(job, Returned(value))

    def _go_on_with(self, job: Job, value: object) -> None:
        if self._has_atomic and job.resources:
            note_atomic(job, self._registry.atomic_among(job.resources))
        if self._recording is not None:
            self._go_on_recorded(self._recording, job, value)
            return
        if not isinstance(value, LazyResult):
            self._node_ends.succeed(job, value)
            return
        if not job.is_target:
            if not isinstance(job, ItemJob):
                job.frame.note_made(job.position)
            self._frames.queue_loop(Loop(job, as_target(value)))  # not begun here: trees may nest without end
            return
        loop = job.frame.loop
        try:
            self.go_on(loop, self._loops.advance(self._loops.begin_round(job, value)))
        except BaseException as error:
            loop.give_up()
            if not is_error(error, CascadeError):
                raise
            self._node_ends.fail_unreported(
                job, error
            )  # a tree that can't be run fails the call that returned it

    def _go_on_recorded(self, recording: Recorder, job: Job, value: object) -> None:
        """Let what depends on a recorded value wait for the commit."""
        if not isinstance(value, LazyResult):
            self._node_ends.succeeded(job, value, recording.waits(job))
            return
        atomic = recording.atomic_of(job)
        if job.is_target:
            loop = self._loops.begin_round(job, value)
            recording.commits.hold(partial(self.advance, loop))
        else:
            loop = Loop(job, as_target(value))
            recording.commits.hold(partial(self._frames.queue_loop, loop))
        if atomic:
            loop.atomic = atomic
            loop.met.add(job.task)

    # Loops and their frames

    def advance(self, loop: Loop) -> None:
        """Let a loop run its next rounds; a tree that can't be run fails the call in whose place it stands."""
        try:
            self.go_on(loop, self._loops.advance(loop))
        except CascadeError as error:
            self.fail_loop(loop, error)
        except BaseException:
            loop.give_up()
            raise

    def go_on(self, loop: Loop, came: object) -> None:
        """Go on with a loop by what `Loops.advance` returned."""
        if came is MISS:
            return
        if isinstance(came, PartialRound):
            self._take_over(loop, came)
        elif isinstance(came, BoundPlan):
            self._flights.begin(loop, came)
        else:
            self.settle_loop(loop, came)

    def fail_loop(self, loop: Loop, error: CascadeError) -> None:
        """Take in that a loop's next target can't be run: that fails the call in whose place it stands, or the run."""
        if loop.job is not None:
            self._node_ends.fail_unreported(loop.job, error)
        elif self._options.finish and self._admission.announced:
            self._ending.failures.append(error)
            self._ending.ended = True
        else:
            self._ending.stop(error)

    def arrived(self, loop: Loop, value: object) -> None:
        """Take in what a round without a frame returned: the loop's value, or its next target."""
        loop.round += 1
        if isinstance(value, LazyResult):
            loop.returned_by = loop.target.task.name
            loop.target = value
            self.advance(loop)
        else:
            self.settle_loop(loop, value)

    def _take_over(self, loop: Loop, line: PartialRound) -> None:
        """Hand a round that could not go on as plain calls over to a frame, with what it has done so far."""
        frame = self._loops.open_stopped(loop, line)
        stopped = line.stopped
        for node, value in stopped.trees:
            self._go_on_after(frame, node, Interruption(node, (), None, value, stopped.began))
        if stopped.node is not None:
            self._go_on_after(frame, stopped.node, stopped)

    def open_paused(self, loop: Loop) -> None:
        """Open a frame for calls that are paused, so that a run that ends can tell what never started."""
        line = self._loops.take_paused(loop)
        if line is not None:
            self._take_over(loop, line)

    def _go_on_after(self, frame: Frame, node: int, stopped: Interruption) -> None:
        """Go on where plain calls had to stop: at a call that raised or returned a lazy result."""
        job = Job(frame, node)
        job.note_started()
        job.began = stopped.began or time.monotonic()
        error = stopped.take_error()
        # What has returned was reported with the calls before it, unless it is still to be awaited.
        job.told = error is None and not isinstance(stopped.value, CalledItems | Awaited)
        if error is not None or isinstance(stopped.value, CalledItems):
            self._reports.started_already(job)
        if isinstance(stopped.value, CalledItems):
            self._take_over_map(MapRun(job, stopped.value.items), stopped.value)
        elif error is not None and isinstance(job.lazy, MappedLazyResult):
            self.fail(job, error)  # its inputs are at fault, and a retry is for its items
        else:
            self.called(job, stopped.value, error)

    def settle_loop(self, loop: Loop, value: object) -> None:
        """Take in the value of a loop: it is the value of the node that the loop stands for, or of the run."""
        if loop.job is not None:
            self._node_ends.succeed(loop.job, value)
            return
        self._ending.succeed(value)
        if loop.computation is not None:
            self._node_ends.filing.file(loop.computation, value)
            loop.computation = None

    def end_frame(self, frame: Frame) -> None:
        """Close a frame whose target has settled; its value, skip or failure is that of its loop."""
        loop, target = frame.loop, frame.program.target
        if loop.job is not None and frame.atomic_dependencies is not None and self._recording is not None:
            self._recording.note_atomic(loop.job, frame.atomic_dependencies.of(target))
        has_value = frame.flow.has_value(target)
        value = frame.flow.value(target) if has_value else None
        reason = None if has_value else frame.flow.skip_reason(target)
        error = missing_error(frame, SkipReason(reason)) if reason and loop.job is None else None
        self._frames.close(loop, last=True)
        if has_value:
            self.settle_loop(loop, value)
        elif loop.job is not None:
            self._settle_skipped_place(loop.job, reason)
        else:
            self._ending.ended = True
            if error is not None and not self._ending.failures:
                self._ending.error = error

    def _settle_skipped_place(self, job: Job, reason: str | None) -> None:
        if reason is None or reason == SkipReason.UPSTREAM_FAILED:
            self._node_ends.settle_without_value(job)
        elif isinstance(job, ItemJob):
            self._node_ends.fail_unreported(job, MapItemSkippedError(job.name, job.index, reason))
        else:
            if self._recording is None:
                job.frame.flow.skip(job.position, SkipReason(reason))
            else:
                self._recording.keep_skipped_place(job, reason)
            self._node_ends.settle_without_value(job)

    # Maps

    def start_map(self, job: Job) -> MapRun | None:
        """Begin a map that is ready, whose inputs are known now; return `None` if they make no sense."""
        self._reports.started(job)
        try:
            return self._maps.begin(job)
        except Exception as error:  # noqa: BLE001 - iterating over the inputs is the user's own code
            self.fail(job, error)
            return None

    def _take_over_map(self, mapping: MapRun, called: CalledItems) -> None:
        """Go on with a map whose first items have been called plainly."""
        self._maps.take_called(mapping, called)
        if self._reports.follows_calls:
            given = Given(called.first, 0, called.lazy_from)
            self._reports.items_made(mapping.job, 0, made_calls(given, mapping.job.began, None))
        self.take_items(mapping, called.lazy_from, 0.0)
        error = called.take_error()
        if error is not None:
            self.fail_next_item(mapping, error, 0.0)
        self.go_on_with_map(mapping)

    def take_items(self, mapping: MapRun, begin: int, ended: float) -> None:
        """Look at what plain calls of items have given, from an index on: what stands for another value goes on.

        Trees are run when it is the map's turn. What is awaited takes what the items need. `ended` is when the last of
        the calls has ended, if that is known. All but those that are awaited are reported.
        """
        values, trees = mapping.values, mapping.trees
        assert values is not None
        waiting = len(trees)
        for index in range(begin, len(values)):
            value = values[index]
            if type(value) is Awaited:
                mapping.note_running(1)
                values[index] = MISSING
                item = ItemJob(mapping, index)
                item.began = ended
                self._calling.await_value(item, value.work, self._maps.readiness.hold(mapping, mapping.needs))
            elif type(value) in LAZY_TYPES:
                trees.append(index)
        mapping.note_running(len(trees) - waiting)

    def fail_next_item(self, mapping: MapRun, error: BaseException, ended: float) -> None:
        """Take in what the plain call of the next item has raised; `ended` is when the one before has ended."""
        item = mapping.next_item()
        assert item is not None
        item.began = ended or time.monotonic()
        self._reports.started_already(item)
        self.fail_plain(item, error)

    def go_on_with_map(self, mapping: MapRun) -> None:
        """End a map whose items are done; let others have their turn."""
        if self._ending.ended or not self._maps.is_open(mapping):
            return  # the last item's failure has ended the run or the map
        if mapping.finished:
            self._node_ends.end_map(mapping)
        else:
            self._maps.queue(mapping)

    # Failures

    def fail_plain(self, job: Job, error: BaseException) -> None:
        """Take in what a plain call raised: its first attempt, if there may be others."""
        retry = job.policies.retry
        if retry is not None and is_error(error, retry.on):
            job.started = True
            self._calling.begin(job, error)
        else:
            self.fail(job, error)

    def fail(self, job: Job, error: BaseException) -> None:
        """Take in that a call has failed here and now."""
        self.take(job, Failed(error))
