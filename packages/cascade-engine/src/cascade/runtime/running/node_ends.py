"""Node ends: give nodes their values, or settle them without one, so that what waits for them goes on."""

from __future__ import annotations

import asyncio
from functools import partial

from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.outcomes import Returned
from cascade.runtime.running.making_calls.cache_filing import CacheFiling
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.spec.calls.error_text import is_error
from cascade.spec.errors import CascadeError


class NodeEnds:
    """Ends the nodes of one run, and the items of its maps. `filing` puts values into the cache, beside the run."""

    __slots__ = (
        "_cache",
        "_ending",
        "_frames",
        "_inbox",
        "_options",
        "_recording",
        "_reports",
        "_state",
        "filing",
        "maps",
    )

    def __init__(self, services: Services, frames: OpenFrames, maps: MapItems) -> None:
        self._cache = services.cache
        self._ending = services.ending
        self._frames = frames
        self._inbox = services.inbox
        self._options = services.options
        self._recording = services.recording
        self._reports = services.reports
        self._state = services.state
        self.maps = maps
        self.filing = CacheFiling(services)

    # Values

    def succeed(self, job: Job, value: object) -> None:
        """Give the node of a call its value. What waits for it goes on, in a recorded run after the commit."""
        waits = False
        if isinstance(job, ItemJob) and job.mapping.values is not None:
            job.mapping.values[job.index] = value
        elif self._recording is None:
            if isinstance(job, ItemJob):
                self._state.put_result(job.key, value)
            else:
                job.frame.flow.put(job.position, value)
        else:
            try:
                self._recording.keep_result(job, value)
            except CascadeError as error:
                self.fail_unreported(job, error)
                return
            waits = self._recording.waits(job)
        self.succeeded(job, value, waits)

    def succeeded(self, job: Job, value: object, waits: bool) -> None:
        """Let what waits for a value go on that is noted already; if it `waits`, after the commit."""
        is_filed = job.computation is not None and self.filing.file(job.computation, value)
        job.computation = None
        if waits and self._recording is not None and not isinstance(job, ItemJob):
            self._recording.commits.hold(partial(self.settle, job))  # a map waits, with all its items
        elif is_filed and not self._cache.keeps_objects:
            # The cache takes the value in its first turn: before that nobody gets to change it.
            asyncio.get_running_loop().call_soon(self._inbox.file, job)
        else:
            self.settle(job)

    # Failures

    def fail_unreported(self, job: Job, error: BaseException) -> None:
        """Take in a failure of a call whose end is reported already."""
        self._record_failure(job, error)
        if isinstance(job, ItemJob) and job.mapping.error is None:
            job.mapping.error = error
        if not self._ending.ended:
            self.settle_without_value(job)

    def _record_failure(self, job: Job, error: BaseException) -> None:
        self._reports.annotate(error, job)
        if self._options.finish and is_error(error, Exception):
            self._ending.failures.append(error)
        else:
            if job.computation is not None:
                job.computation.give_up()
            self._ending.stop(error)

    def settle_without_value(self, job: Job) -> None:
        """Note that a call has no value: it has failed, or was skipped."""
        if job.computation is not None:
            job.computation.give_up()
            job.computation = None
        if isinstance(job, ItemJob):
            job.mapping.failed = True
        self.settle(job)

    def settle(self, job: Job) -> None:
        """Note that a call is done, with a value or without, so that the nodes that wait for it may go on."""
        if isinstance(job, ItemJob):
            self._settle_items(job.mapping, 1)
        else:
            job.frame.settle(job.position)
            self._frames.absorb(job.frame)

    # Maps

    def take_made(self, mapping: MapRun, made: list[tuple[int, object]]) -> None:
        """Take in what items of a chunk have given, of which nothing is to be told or recorded."""
        values = mapping.values
        assert values is not None
        for index, value in made:
            values[index] = value
        if not self._ending.ended:
            self._settle_items(mapping, len(made))

    def _settle_items(self, mapping: MapRun, count: int) -> None:
        """Note that items are done; with the last one the map has its value."""
        mapping.settle_items(count)
        if mapping.finished:
            self.end_map(mapping)
        else:
            self.maps.queue(mapping)

    def end_map(self, mapping: MapRun) -> None:
        """End a map whose items are done: it has its value, or has failed."""
        job = mapping.job
        outcome = self.maps.end(mapping)
        self._reports.finished(job, outcome)
        self.maps.forget_items(mapping)
        if isinstance(outcome, Returned):
            self.succeed(job, outcome.value)
        else:
            self.settle_without_value(job)
