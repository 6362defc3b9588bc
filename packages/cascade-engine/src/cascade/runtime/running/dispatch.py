"""Dispatch: starts what is ready, in its order, and chooses how each call is made."""

from __future__ import annotations

import time
from functools import partial

from cascade.runtime.events import SkipReason
from cascade.runtime.frames.frame import Frame, Job, Loop
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.outcomes import Known
from cascade.runtime.programs.call_sites import makes_calls
from cascade.runtime.programs.plain_values import AWAITABLE
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.flights import Arrived, Flight, HandedOver, Landing
from cascade.runtime.running.grouped_calls.call_chains import CallChains
from cascade.runtime.running.grouped_calls.call_chunks import CallChunks
from cascade.runtime.running.grouped_calls.map_chunks import MapChunks
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.making_calls.calling import Calling, takes_slot_first
from cascade.runtime.running.map_ways.item_ways import ItemWays
from cascade.runtime.running.plain_calls.frame_calls import Called, FrameCalls
from cascade.runtime.running.services import Services
from cascade.runtime.running.starting.recovered_values import fetch_values
from cascade.runtime.sharing.capacity import CONCURRENCY, waits_for
from cascade.runtime.sharing.placement import Way
from cascade.runtime.sharing.single_flight import Computation
from cascade.spec.durable import NextRound
from cascade.spec.lazy_types import MappedLazyResult
from cascade.spec.protocols import CachedCall, Hit


class Dispatcher:
    """Starts the entries of one run in their order. `called_at` is when the last plain call ended."""

    __slots__ = (
        "_cache",
        "_call_chains",
        "_call_chunks",
        "_calling",
        "_capacity",
        "_chunks",
        "_completion",
        "_fetch_values",
        "_frame_calls",
        "_items",
        "_loops",
        "_ready",
        "_recording",
        "_reports",
        "_resources",
        "_tracing",
        "called_at",
        "run_id",
    )

    def __init__(
        self,
        services: Services,
        calling: Calling,
        loops: Loops,
        completion: Completion,
        items: ItemWays,
    ) -> None:
        self._cache = services.cache
        self._call_chains = CallChains(services, calling, loops.frames)
        self._call_chunks = CallChunks(services, calling)
        self._calling = calling
        self._capacity = services.capacity
        self._chunks = MapChunks(services, calling, items.maps)
        self._completion = completion
        self._fetch_values = partial(fetch_values, services, loops.preparation)
        self._frame_calls = FrameCalls(services, calling, loops.frames)
        self._items = items
        self._loops = loops
        self._ready = services.ready
        self._recording = services.recording
        self._reports = services.reports
        self._resources = services.resources
        self.called_at = 0.0
        self.run_id = services.run_id
        self._tracing = services.tracing

    def next_ready(self) -> object | None:
        """Remove the next entry from the queue and return it; `None` if there is none, or if it waits for a slot."""
        entry = self._ready.first()
        if entry is None:
            self._calling.slot.give_back()
            return None
        taker = self._slot_taker(entry)
        if taker is not None:
            slot = self._calling.slot
            if not slot.is_there():
                self._reports.waits(slot, taker.name, waits_for({CONCURRENCY: 1}))
                return None
            self._reports.waits_no_more(slot)
        return self._ready.pop()

    def _slot_taker(self, entry: object) -> Job | None:
        """Return what takes its slot before it starts; others take it with what else they need, or take none."""
        if not self._capacity.bounds_calls:
            return None
        if isinstance(entry, Frame):
            ranks = entry.ready_calls.ranks
            return Job(entry, entry.program.order[ranks[0]]) if ranks else None
        if isinstance(entry, MapRun):
            return entry.job if entry.way is Way.SCHEDULED and takes_slot_first(entry.job.policies) else None
        if isinstance(entry, Job) and type(entry.lazy) is not MappedLazyResult:
            return entry if takes_slot_first(entry.policies) else None
        return None

    def start(self, entry: object) -> Job | None:
        """Start a call, the next item of a map, rounds of a loop, or calls of a flight or of a frame.

        Returns the call if it was made at once and has ended.
        """
        if isinstance(entry, Job):
            if self._recording is not None and entry.frame.loop.recovered and self._fetches_first(entry):
                return None
            if type(entry.lazy) is MappedLazyResult:
                mapping = self._completion.start_map(entry)
                if mapping is not None:
                    self._completion.go_on_with_map(mapping)
                return None
            return self._start_call(entry)
        if isinstance(entry, MapRun):
            if entry.chunks is not None:
                self._chunks.go_on(entry, entry.chunks, self._goes_alone)
                return None
            item = self._items.go_on(entry)
            return None if item is None else self._start_call(item)
        if isinstance(entry, Loop):
            self._completion.advance(entry)
        elif isinstance(entry, Flight):
            self.take_landing(entry.go_on())
        elif isinstance(entry, Frame):
            return self._take_called(self._frame_calls.go_on(entry))
        return None

    def _fetches_first(self, job: Job) -> bool:
        """Have the large values read that a call looks at, if they were not; then the call has its turn again."""
        assert self._recording is not None
        resumption = self._recording.resumption
        unread = resumption.unread(job)
        if unread:
            queue = partial(self._loops.frames.queue_again, job)
            self._calling.fetch(job, partial(resumption.fetch, unread), queue)
        return bool(unread)

    def take_landing(self, landing: Landing) -> None:
        """Take in the value of a flight, or the call at which a frame goes on in its place."""
        if isinstance(landing, Arrived):
            self._completion.arrived(*landing)
        elif isinstance(landing, HandedOver):
            self._completion.called(*landing)

    def _take_called(self, called: Called | None) -> Job | None:
        """Take in the last of some calls of a frame; return it."""
        if called is None:
            return None
        self.called_at = called.ended
        if called.is_open:
            self._completion.called_here(called.job, called.value, called.failure)
        return called.job

    def _start_call(self, job: Job) -> Job | None:
        if self._has_no_call(job):
            return None
        calling = self._calling
        if calling.is_plain(job):
            self._call(job)
            return job
        if (found := self._ask_cache(job)) is not None:
            if isinstance(found, Hit):
                self._completion.take(job, Known(found.value))
                return None
            job.computation = found
            self._call(job)
            return job
        has_span = self._has_span(job)
        if calling.is_awaited_plainly(job) and not has_span:
            calling.begin_coroutine(job)
        elif has_span or not (self._call_chains.take(job) or self._call_chunks.take(job)):
            calling.begin(job)
        return None

    def _has_span(self, job: Job) -> bool:
        """Tell whether a call has a span of its own, and so goes out by itself."""
        return self._tracing is not None and self._tracing.has_span(job.lazy, job.item is not None)

    def _has_no_call(self, job: Job) -> bool:
        """Go on with a job whose call was made before the run was interrupted, or can't be made."""
        pending = None if self._recording is None else self._recording.resumption.next_round(job)
        if pending is not None:
            self._go_on_in_place(job, pending)
            return True
        broken = job.frame.broken(job.position)
        if broken is not None:
            self._reports.started(job)
            self._completion.fail(job, broken)
            return True
        return False

    def _goes_alone(self, item: ItemJob) -> bool:
        """Go on with an item that is not sent out in a chunk: it has no call, or the cache has its value.

        Where the cache can't tell at once, it is called by itself.
        """
        if self._has_no_call(item):
            return True
        policy = item.policies.cache
        if policy is None:
            return False
        try:
            found = self._cache.begin(policy, CachedCall(item.task, *item.arguments(None)), item)
        except Exception:  # noqa: BLE001 - raised again where the call is made
            found = None
        if found is None:
            self._chunks.call_alone(item.mapping, item)
        elif isinstance(found, Hit):
            self._completion.take(item, Known(found.value))
        else:
            item.computation = found
            return False
        return True

    def _go_on_in_place(self, job: Job, pending: NextRound) -> None:
        """Go on with the loop in the place of a call that had been made before the run was interrupted."""
        job.note_started()
        self._reports.skipped(job, SkipReason.RECOVERED)
        loop = Loop(job, pending.target)
        self._loops.resume_at(loop, pending)
        queue = partial(self._loops.frames.queue_loop, loop)
        assert self._recording is not None
        if self._recording.resumption.has_unread:
            self._calling.fetch(job, partial(self._fetch_values, loop), queue)
        else:
            queue()

    def _ask_cache(self, job: Job) -> Hit | Computation[Job] | None:
        """Return the cached value of a call, if the cache answers without waiting.

        A call that needs nothing else and can be made here and now gets its computation where there is no value.
        """
        policy = job.policies.cache
        if policy is None:
            return None
        try:
            call = CachedCall(job.task, *job.arguments(None))
            is_next = self._calling.is_plain_after_cache(job) and not self._capacity.bounds_calls
            found = self._cache.begin(policy, call, job) if is_next else None
            return self._cache.look(policy, call) if found is None else found
        except Exception:  # noqa: BLE001 - raised again where the call is made
            return None

    @makes_calls(lambda names: names["job"].facts(names["self"].run_id))
    def _call(self, job: Job) -> None:
        self._reports.started(job)
        slot = self._calling.slot.take()
        try:
            args, kwargs = job.arguments(self._resources.values)
            if self._tracing is None:
                value = job.task.func(*args, **kwargs)
            else:
                entered = self._tracing.enter(job)
                try:
                    value = job.task.func(*args, **kwargs)
                finally:
                    self._tracing.leave(entered)
        except BaseException as error:  # noqa: BLE001 - the user's own code
            self.called_at = time.monotonic()
            self._completion.fail_plain(job, error)
        else:
            self.called_at = time.monotonic()  # before listeners take their time
            if AWAITABLE[type(value)]:
                lease = slot or self._calling.hold(job)
                slot = None
                self._calling.await_value(job, value, lease)
            else:
                self._completion.returned(job, value)
        finally:
            if slot is not None:
                slot.release()
