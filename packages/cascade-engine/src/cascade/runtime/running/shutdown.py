"""Shutdown: ends a run in order, for whatever reason. Nothing is left running or open, and each call is reported."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from cascade.adapters.spawning import spawn
from cascade.runtime.events import SkipReason
from cascade.runtime.frames.frame import Job, Loop
from cascade.runtime.frames.outcomes import Failed, Outcome, Returned
from cascade.runtime.resource_manager import note_others
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.scheduler import Scheduler
from cascade.runtime.running.services import Services
from cascade.spec.calls.error_text import is_error
from cascade.spec.errors import CascadeError

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


class Shutdown:
    """Ends one run: what is under way is cancelled and waited for, what is open is released, all is committed."""

    def __init__(self, services: Services, scheduler: Scheduler, loops: Loops, first: Loop | None) -> None:
        self._calling = scheduler.calling
        self._completion = scheduler.completion
        self._filing = scheduler.node_ends.filing
        self._coroutines = scheduler.items.coroutines
        self._ends = scheduler.calling.ends
        self._first = first
        self._flights = scheduler.flights
        self._frames = loops.frames
        self._loops = loops
        self._maps = scheduler.maps
        self._ending = services.ending
        self._inbox = services.inbox
        self._ready = services.ready
        self._recording = services.recording
        self._reports = services.reports
        self._resources = services.resources
        self._run_id = services.run_id

    async def shut_down(self) -> None:
        """Cancel what is under way and wait for it, report what never started, release what is open."""
        ending = self._ending
        self._flights.hand_over_all()
        self._coroutines.hand_over_all()
        self._calling.cancel_all()
        self._loops.stop_waiting()
        await self._wait_for_calls()
        self._report_unfinished()
        self._calling.slot.close()
        self._maps.readiness.close()
        for loop in self._open_loops():
            loop.give_up()
        if ending.error is None and ending.failures:
            ending.error = ExceptionGroup(
                f"{len(ending.failures)} failed in run {self._run_id}", ending.failures
            )
        await self._release_resources()
        if self._recording is not None:
            await self._close_recording(self._recording)

    async def _wait_for_calls(self) -> None:
        calls, filing = self._calling.steps, self._filing.under_way
        while calls or filing or self._loops.opening:
            try:
                await asyncio.wait([*calls, *filing, *self._loops.opening])
                await asyncio.sleep(0)  # the callbacks that take them out of these sets
            except asyncio.CancelledError as cancelled:
                self._ending.stop(cancelled)  # cancelled again: the run is ending already

    def _report_unfinished(self) -> None:
        """Report calls that have ended and that nobody waits for any more, and those that never started."""
        for job, outcome in self._inbox.completed:
            self._abandon(job, outcome)
        for mapping in self._maps.unfinished():
            error = asyncio.CancelledError() if mapping.error is None else mapping.error
            mapping.error = None
            self._maps.end_log(mapping)
            self._reports.finished(mapping.job, Failed(error))
        for loop in self._open_loops():
            self._completion.open_paused(loop)
        for frame in self._frames.by_serial.values():
            for node in frame.never_started():
                self._frames.skip(frame, node, SkipReason.RUN_STOPPED)

    def _open_loops(self) -> list[Loop]:
        waiting = [entry for entry in self._ready if isinstance(entry, Loop)]
        first = [] if self._first is None else [self._first]
        return [
            *first,
            *waiting,
            *self._loops.waiting,
            *(frame.loop for frame in self._frames.by_serial.values()),
        ]

    def _abandon(self, job: Job, outcome: Outcome) -> None:
        """Report how a call ended that nobody waits for any more; what it gave is recorded all the same."""
        if not job.told:
            self._ends.end(job, outcome)
        elif self._recording is not None and isinstance(outcome, Returned):
            with suppress(CascadeError):  # it was kept, and this says again what it is the value of
                self._recording.keep_late(job, outcome.value)
        if job.computation is not None:
            job.computation.give_up()

    async def _release_resources(self) -> None:
        ending = self._ending
        errors = await self._resources.close(ending.error)
        if ending.is_without_error:
            # What a cancelled resource has to say counts for more than a cancellation.
            errors.sort(key=lambda error: is_error(error, asyncio.CancelledError))
            ending.error = errors.pop(0) if errors else self._resources.loss()
        if ending.error is not None:
            note_others(ending.error, errors)

    async def _close_recording(self, recording: Recorder) -> None:
        """Commit what is left and close the store. Another cancellation meanwhile stops neither."""
        ending = self._ending
        works = (
            recording.commits.settle,
            lambda: recording.finish(ending.error, self._resources.is_undone),
            recording.state.close,
        )
        for work in works:  # each is made in its turn, so that none is left behind unawaited
            doing = spawn(work())
            while not doing.done():
                try:
                    await asyncio.wait([doing])
                except asyncio.CancelledError as cancelled:
                    ending.stop(cancelled)
            # Somebody may have cancelled this very task: the next one is begun all the same.
            error = asyncio.CancelledError() if doing.cancelled() else doing.exception()
            if error is None or error is ending.error:
                continue
            if ending.error is None:
                ending.error = error
            else:
                note_others(ending.error, [error])  # that of the store is told, whatever else has failed
