"""The ends of calls: each one is recorded and reported at the moment when the call ends."""

from __future__ import annotations

import asyncio

from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import TaskCancelledError
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.programs.plain_values import GIVEN, given
from cascade.runtime.running.services import Services
from cascade.spec.calls.error_text import is_error
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult


class CallEnds:
    """Records and reports how calls end. What follows from an end is decided later, by `Completion`."""

    __slots__ = ("_ending", "_recording", "_reports", "has_value_store")

    def __init__(self, services: Services) -> None:
        self._ending = services.ending
        self._recording = services.recording
        self._reports = services.reports
        self.has_value_store = services.recording is not None and services.recording.has_value_store

    async def put_ahead(self, job: Job, outcome: Outcome) -> None:
        """Put a large value that a call has given into the value store of the run, before the call ends."""
        recording = self._recording
        if recording is None or not isinstance(outcome, Returned):
            return
        if recording.is_put_ahead(job.task, outcome.value):
            await recording.put_ahead(outcome.value)

    def end(self, job: Job, outcome: Outcome) -> Outcome:
        """Record and report how a call has ended.

        Returns the outcome, or another one: a value that can't be recorded is a failure, and so is a cancellation that
        did not come from the run.
        """
        if self._ending.ended and not job.started:
            return outcome  # the shutdown reports it as a call that never started
        job.told = True
        if isinstance(outcome, Known):
            job.note_started()
            self._reports.skipped(job, SkipReason.CACHE_HIT)
            return outcome
        if isinstance(outcome, Returned):
            if GIVEN[type(outcome.value)]:
                outcome = Returned(given(outcome.value))
            if self._recording is not None:
                outcome = self._recorded(job, outcome)
        elif not self._ending.ended and is_error(outcome.error, asyncio.CancelledError):
            outcome = Failed(_stray(job, outcome.error))
        if not job.started:
            self._reports.started(job)
        self._reports.finished(job, outcome)
        try:
            return outcome
        finally:
            del (
                outcome
            )  # the traceback of an error that came up in here has this frame: they would be a cycle

    def _recorded(self, job: Job, outcome: Returned) -> Outcome:
        """Record what a call has returned, also if the run is ending; return how the call counts."""
        recording = self._recording
        assert recording is not None
        try:
            if self._ending.ended:
                recording.keep_late(job, outcome.value)
            elif isinstance(outcome.value, LazyResult):
                recording.keep_target(job, outcome.value)
            else:
                recording.keep_result(job, outcome.value)
        except CascadeError as error:
            return Failed(error)
        return outcome


def _stray(job: Job, error: BaseException) -> TaskCancelledError:
    """Return the failure of a call that ended in a cancellation which the run knows nothing of."""
    failure = TaskCancelledError(job.name)
    failure.__cause__ = error
    return failure
