"""The maps of one run: each item in its turn, and what the items have given when all are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from cascade.runtime.events import SkipReason
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.item_chunks import ItemChunks
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.outcomes import Failed, Returned
from cascade.runtime.frames.ready import ReadyQueue
from cascade.runtime.programs.items import CalledItems
from cascade.runtime.running.call_needs import amounts_of
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Way
from cascade.runtime.sharing.readiness import Readiness
from cascade.spec.common import IDEMPOTENCY_KEY
from cascade.spec.errors import CascadeError
from cascade.spec.resource import Scope

_FIRST = -1
"""Before the numbers of all trees."""


class MapItems:
    """The maps that have begun and not ended."""

    __slots__ = (
        "_cache",
        "_capacity",
        "_ending",
        "_frames",
        "_is_watched",
        "_open",
        "_placement",
        "_ready",
        "_recording",
        "_registry",
        "_reports",
        "_resources",
        "_state",
        "_tracing",
        "_wake_up",
        "readiness",
    )

    def __init__(self, services: Services, frames: OpenFrames) -> None:
        self._ending = services.ending
        self._cache = services.cache
        self._capacity = services.capacity
        self._frames = frames
        self._is_watched = services.is_watched
        self._placement = services.placement
        self._registry = services.registry
        self._resources = services.resources
        self._wake_up = services.inbox.wake_up
        self.readiness = Readiness(
            services.capacity,
            services.options.lender,
            services.resources.are_open,
            # Not a method of this object: with a cycle, values would stay until the next garbage collection.
            partial(_resume, services.ready, services.inbox.wake_up),
        )
        self._ready = services.ready
        self._recording = services.recording
        self._reports = services.reports
        self._state = services.state
        self._tracing = services.tracing
        self._open: dict[int, MapRun] = {}  # by id

    def unfinished(self) -> Iterable[MapRun]:
        """Return the maps that have not ended."""
        return self._open.values()

    def is_open(self, mapping: MapRun) -> bool:
        """Tell whether a map has not ended."""
        return id(mapping) in self._open

    def begin(self, job: Job) -> MapRun:
        """Begin a map that is ready: its inputs are known now.

        Raises:
            Exception: If its inputs are none; iterating over them is the user's own code.
        """
        if self._recording is None:
            mapping = MapRun(job)
        else:
            mapping = MapRun(job, in_order=self._recording.in_order)
            self._recover(mapping)
        self.add(mapping)
        self._choose_way(mapping)
        if not self._is_watched:
            mapping.values = []
        return mapping

    def add(self, mapping: MapRun) -> None:
        """Note that a map has begun."""
        self._open[id(mapping)] = mapping
        self._reports.map_begun(mapping.job, mapping.size)

    def end(self, mapping: MapRun) -> Returned | Failed:
        """Note that the last item of a map is done; return how the map has ended."""
        del self._open[id(mapping)]
        self.end_log(mapping)
        if self._recording is not None:
            self._recording.note_atomic(mapping.job, mapping.atomic)
        if not mapping.failed:
            if mapping.values is not None:
                return Returned(mapping.values)
            return Returned([self._state.get_result(item.key) for item in mapping.items()])
        error = self._ending.last_failure if mapping.error is None else mapping.error
        mapping.error = None  # its traceback leads to an item, and so back here
        try:
            return Failed(error)
        finally:
            del error  # as above

    def end_log(self, mapping: MapRun) -> None:
        """Tell what has happened to items that were coroutines, before the map itself has ended."""
        log, mapping.log = mapping.log, None
        if log is not None:
            self._reports.items_went_on(mapping.job, log, mapping.values)
            self._reports.items_ended(mapping.job)

    def forget_items(self, mapping: MapRun) -> None:
        """Forget the facts of a map's items, whose place the map's own value takes."""
        if mapping.values is not None or (self._recording is not None and mapping.failed):
            return  # there are none; or a run that goes on makes the failed calls alone
        atomic = "" if self._recording is None else self._recording.atomic_of(mapping.job)
        for item in mapping.items():
            self._frames.forget(item.frame_key, atomic)

    def _recover(self, mapping: MapRun) -> None:
        """Take the values of items that are recorded."""
        assert self._recording is not None
        items = mapping.items()
        recovered = self._recording.begin_map(mapping, items)
        for item in items:
            if item.index in recovered:
                self._reports.skipped(item, SkipReason.RECOVERED)
        mapping.recover(recovered)

    def _choose_way(self, mapping: MapRun) -> None:
        """Decide how the items of a map go: in chunks, by their index one after the other, or each as a job.

        This is the one place that decides it.
        """
        job = mapping.job
        if self._tracing is not None and self._tracing.has_span(job.lazy, is_item=True):
            return  # each item is a call of its own, with a span
        if self._go_in_chunks(job):
            mapping.chunks = ItemChunks()
            return
        if self._is_watched or job.frame.broken(job.position) is not None:
            return  # whoever looks into the state sees each item
        policies = job.policies
        if policies.timeout is not None:
            return
        if not all(self._is_for_the_run(name) for name in job.resources):
            return
        try:
            amounts = amounts_of(job, self._capacity)
        except CascadeError:
            return  # raised again for each item
        if not self._placement.is_local:
            return
        if policies.cache is not None:
            # A hit takes nothing, and so waits for nothing; and a value may be kept only if nothing undoes its call.
            takes = amounts or self._capacity.bounds_calls or self._registry.atomic_among(job.resources)
            if takes or not self._cache.answers_now(policies.cache):
                return
        if (
            job.task.is_async
            and policies.cache is None
            and not (amounts or job.resources or self._capacity.bounds_calls)
        ):
            mapping.way = self._placement.way_of((job.lazy,))
        elif self._placement.is_inline(job.lazy):
            mapping.way = Way.INLINE
            mapping.needs = self.readiness.needs_of(amounts, job.resources)

    def _go_in_chunks(self, job: Job) -> bool:
        """Tell whether the items of a map go to workers together.

        Calls with a timeout go one by one: when a worker is killed for one of them, no other has begun there. So do
        those with resources of their own, which are opened for each call.
        """
        if job.policies.timeout is not None or not self._placement.takes_chunks(job.lazy):
            return False
        return all(name == IDEMPOTENCY_KEY or self._is_for_the_run(name) for name in job.resources)

    def _is_for_the_run(self, name: str) -> bool:
        """Tell whether a resource, once open, is there for all calls of the run."""
        if self._resources.are_open((name,)):
            return True
        provider = self._registry.find(name)
        return provider is not None and provider.scope is Scope.RUN

    def take_called(self, mapping: MapRun, called: CalledItems) -> None:
        """Take over a map whose first items have been called plainly."""
        self.add(mapping)
        self._choose_way(mapping)
        mapping.values = called.first
        mapping.note_called(len(called.first))

    def resume(self, mapping: MapRun) -> None:
        """Let a map go on of which items have ended beside the drive loop: others may begin, or it has ended too."""
        mapping.queued = True
        frame = mapping.job.frame
        self._ready.push(frame.serial, frame.program.rank[mapping.job.position], mapping)
        self._wake_up()

    def next_item(self, mapping: MapRun) -> ItemJob | None:
        """Return the item whose turn it is, and let the one after it have its turn as well."""
        item = mapping.next_item()
        mapping.queued = False
        self.queue(mapping)
        return item

    def queue(self, mapping: MapRun) -> None:
        """Let a map go on in its turn, if there is something that it may do."""
        if mapping.can_go_on and not mapping.queued:
            mapping.queued = True
            frame = mapping.job.frame
            self._ready.push(frame.serial, frame.program.rank[mapping.job.position], mapping)


def _resume(ready: ReadyQueue[object], wake_up: Callable[[], None], stretch: object) -> None:
    """Let a map go on that has waited for what its items take, and has it now.

    It comes before all others: one of these may wait for just what it has, and nobody overtakes who is first.
    """
    assert isinstance(stretch, MapRun)
    ready.push(_FIRST, 0, stretch)
    wake_up()
