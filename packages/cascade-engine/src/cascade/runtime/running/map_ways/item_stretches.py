"""Item stretches: the items of a map that are inline calls, made by their index for as long as the time slice lasts.

Only an item that needs something general gets an object of its own: one that failed, that returned an awaitable, or
whose tree stops in the middle.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import repeat

from cascade.runtime.fast.loop_source import MISS, PartialRound
from cascade.runtime.frames.frame import Loop
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.reporting.watching import Given, made_calls
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.making_calls.cache_filing import note_atomic
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.map_ways.cached_items import CachedItems
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.capacity import waits_for
from cascade.runtime.sharing.readiness import Ready
from cascade.runtime.sharing.time_slice import SLICE_SECONDS
from cascade.spec.lazy_types import LazyResult


class ItemStretches:
    """Makes the calls of items one after the other, and runs the trees that they return."""

    __slots__ = (
        "_cached",
        "_calling",
        "_completion",
        "_ending",
        "_has_spans",
        "_loops",
        "_maps",
        "_registry",
        "_reports",
        "_resources",
        "_time_slice",
    )

    def __init__(
        self, services: Services, calling: Calling, maps: MapItems, loops: Loops, completion: Completion
    ) -> None:
        self._cached = CachedItems(services, calling, completion)
        self._calling = calling
        self._completion = completion
        self._ending = services.ending
        self._loops = loops
        self._maps = maps
        self._registry = services.registry
        self._reports = services.reports
        self._resources = services.resources
        self._time_slice = services.time_slice
        self._has_spans = services.tracing is not None and services.tracing.spans_calls

    def go_on(self, mapping: MapRun) -> None:
        """Make calls of a map's items, as many as the slice has time for, and run the trees that they give."""
        mapping.queued = False
        if mapping.not_opened is not None:
            self._fail_unopened(mapping)
        self._run_trees(mapping)
        while mapping.can_begin and not self._ending.ended and not self._time_slice.is_over():
            if not self._is_ready(mapping):
                mapping.queued = True  # it will be, when it may go on
                return
            self._call(mapping)
            self._run_trees(mapping)
        self._maps.readiness.end(mapping)

    # What calls need

    def _is_ready(self, mapping: MapRun) -> bool:
        """Tell whether items may be called now; if not, the map has its turn when they may."""
        ready = self._maps.readiness.ask(mapping, mapping.needs)
        if mapping.blocked is not None:
            self._reports.waits_no_more(mapping.blocked)
            mapping.blocked = None
        if ready is Ready.CAPACITY and mapping.job.policies.constraints is not None:
            mapping.blocked = ItemJob(mapping, mapping.begun)
            self._reports.blocked(mapping.blocked, waits_for(mapping.needs.amounts))
        if ready is Ready.RESOURCES:
            self._calling.open_resources(ItemJob(mapping, mapping.begun), partial(self._opened, mapping))
        return ready is Ready.NOW

    def _opened(self, mapping: MapRun, error: BaseException | None) -> None:
        mapping.not_opened = error
        self._maps.resume(mapping)

    def _fail_unopened(self, mapping: MapRun) -> None:
        """Fail the first attempt of the items that have waited for resources, which could not be opened."""
        error, mapping.not_opened = mapping.not_opened, None
        assert error is not None
        try:
            for _ in range(min(mapping.limit, mapping.size - mapping.begun)):
                if self._ending.ended or not mapping.can_begin:
                    break
                self._completion.fail_next_item(mapping, error, 0.0)
        finally:
            del error  # its traceback may have this frame: they would be a cycle

    # Calls

    def _call(self, mapping: MapRun) -> None:
        """Call items until one gives what stands for another value, or fails, or the slice is over."""
        cache = mapping.job.policies.cache
        if cache is not None:
            self._cached.call(mapping, cache)
            return
        values, time_slice, reports = mapping.values, self._time_slice, self._reports
        assert values is not None
        resources = mapping.job.resources
        if resources and self._registry.has_atomic:
            note_atomic(mapping.job, self._registry.atomic_among(resources))
        watched = time_slice.watched
        item_ends = reports.new_ends() if watched else None
        one_by_one = bool(mapping.needs.amounts) or mapping.limit < mapping.size
        begin, began, ended = len(values), time.monotonic(), 0.0
        items = mapping.calls_with(self._resources.values)
        error, lazy_from = items.call(values, time_slice.ends, item_ends, one_by_one)
        mapping.note_called(len(values))
        now = time.monotonic()
        if now > time_slice.ends:
            time_slice.note_overrun(mapping.job.task, now)
        if watched:
            made = made_calls(Given(values, begin, lazy_from), began, item_ends, reports.shows)
            reports.items_made(mapping.job, begin, made)
            ended = made.ended
        self._completion.take_items(mapping, lazy_from, ended)
        if error is not None:
            try:
                self._completion.fail_next_item(mapping, error, ended)
            finally:
                del error  # as above

    # Trees

    def _run_trees(self, mapping: MapRun) -> None:
        """Run the trees that items have returned, in order, as many as the slice has time for."""
        trees, values, time_slice, reuse = mapping.trees, mapping.values, self._time_slice, self._loops.reuse
        assert values is not None
        if not time_slice.direct or time_slice.bounded or time_slice.watched or self._has_spans:
            while trees and not self._ending.ended:
                index = trees.popleft()  # it has its turn behind all that is ready now
                self._completion.returned(_told(mapping, index), values[index])
            return
        # Once per item that returns a tree: watched by observatory/benchmarks/bench_maps.py.
        clock, ends, now = time.monotonic, time_slice.ends, time.monotonic()
        known, hits, done = None, 0, 0
        while trees and now <= ends and not self._ending.ended:
            index = trees.popleft()
            target = values[index]
            value = (
                MISS if known is None or known.compiled is None else known.compiled(target, repeat(None, 1))
            )
            if value is MISS:
                if known is not None and hits:
                    reuse.note_hits(known, hits)
                known, value, hits = self._loops.call_known(target)
            else:
                hits += 1
            before, now = now, clock()
            if known is None:
                self._completion.advance(Loop(_told(mapping, index), target))
                now = clock()
                continue
            if known.slow or now - before > SLICE_SECONDS:
                known.note_duration(now - before)
            if isinstance(value, PartialRound):
                self._completion.go_on(Loop(_told(mapping, index), target), value)
            elif isinstance(value, LazyResult):
                loop = Loop(_told(mapping, index), value)
                loop.round, loop.returned_by = 1, target.task.name
                self._completion.advance(loop)
            else:
                values[index] = value
                done += 1
        mapping.settle_items(done)
        if known is not None and hits:
            reuse.note_hits(known, hits)


def _told(mapping: MapRun, index: int) -> ItemJob:
    """Return an item whose own call has ended and is reported."""
    item = ItemJob(mapping, index)
    item.started = item.told = True
    return item
