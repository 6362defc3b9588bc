"""Cached items: the items of a map with a cache that answers at once, made by their index as other inline items are.

An item whose key somebody else computes, or that has no key, is a call of its own: it waits, or goes without the cache.
"""

from __future__ import annotations

import time
from typing import Any

from cascade.runtime.events import SkipReason
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.reporting.reports import Reports
from cascade.runtime.frames.reporting.watching import Given, made_calls
from cascade.runtime.programs.call_sites import item_call, makes_calls
from cascade.runtime.programs.plain_values import GIVEN, LAZY_TYPES, PLAIN, given
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.services import Services
from cascade.spec.inputs.files import digests_made
from cascade.spec.protocols import CachedCall, CacheKey, CachePolicy, Hit


class CachedItems:
    """Looks items up and calls the others, as long as the time slice lasts."""

    __slots__ = ("_cache", "_calling", "_completion", "_ending", "_reports", "_resources", "_time_slice")

    def __init__(self, services: Services, calling: Calling, completion: Completion) -> None:
        self._cache = services.cache
        self._calling = calling
        self._completion = completion
        self._ending = services.ending
        self._reports = services.reports
        self._resources = services.resources
        self._time_slice = services.time_slice

    @makes_calls(lambda names: item_call(names["mapping"].job.name, names["index"]))
    def call(self, mapping: MapRun, policy: CachePolicy) -> None:
        """Take in items until the slice is over, or one has failed or goes on by itself."""
        # Once per item of every cached map: watched by observatory/benchmarks/bench_maps.py.
        values, task, cache, ends = mapping.values, mapping.job.task, self._cache, self._time_slice.ends
        assert values is not None
        unfilled, filled, func = mapping.calls, mapping.calls_with(self._resources.values), task.func
        clock, watched = time.monotonic, self._time_slice.watched
        made = _Made(self._reports, mapping, watched)
        while mapping.can_begin and not self._ending.ended and clock() <= ends:
            index = len(values)
            args, kwargs = unfilled.arguments(index)
            files = digests_made()
            try:
                found = cache.value_or_key(policy, CachedCall(task, args, kwargs))
            except Exception:  # noqa: BLE001 - raised again where the call is made
                found = None
            if isinstance(found, Hit):
                made.tell()
                values.append(found.value)
                mapping.note_called(index + 1)
                if watched:
                    self._reports.skipped(ItemJob(mapping, index), SkipReason.CACHE_HIT)
                made.begin()
                continue
            if found is None or digests_made() != files:  # it has to be checked when the call has ended
                made.tell()
                item = mapping.next_item()
                assert item is not None
                self._calling.begin(item)
                made.begin()
                continue
            if filled is not unfilled:
                args, kwargs = filled.arguments(index)
            try:
                value = func(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
                self._completion.fail_next_item(mapping, error, made.tell())
                return
            if type(value) not in PLAIN and GIVEN[type(value)]:
                value = given(value)
                if type(value) in LAZY_TYPES:
                    self._go_on_with(mapping, found, value, made.tell())
                    return
            self._keep(mapping, index, found, value)
            values.append(value)
            mapping.note_called(index + 1)
            made.note()
        made.tell()
        now = clock()
        if now > ends:
            self._time_slice.note_overrun(task, now)

    def _keep(self, mapping: MapRun, index: int, key: CacheKey, value: object) -> None:
        keep, policy = self._cache.keep, mapping.job.policies.cache
        assert keep is not None
        assert policy is not None
        try:
            keep(key, value, policy.ttl)
        except Exception as error:  # noqa: BLE001 - a cache that can't keep a value costs time, not the value
            self._reports.uncached(ItemJob(mapping, index), error)

    def _go_on_with(self, mapping: MapRun, key: CacheKey, value: Any, ended: float) -> None:
        """Let an item go on that has given what stands for another value: its key is computed until then."""
        policy, item = mapping.job.policies.cache, mapping.next_item()
        assert policy is not None
        assert item is not None
        item.began = ended or time.monotonic()
        self._reports.started_already(item)
        item.computation = self._cache.computation(key, policy.ttl, item)
        self._completion.returned(item, value)


class _Made:
    """The items that were called one after another and are still to be reported, if somebody watches."""

    __slots__ = ("_began", "_ends", "_first", "_mapping", "_reports", "_watched")

    def __init__(self, reports: Reports, mapping: MapRun, watched: bool) -> None:
        self._reports = reports
        self._mapping = mapping
        self._watched = watched
        self._ends: list[float] | None = None
        self._first = 0
        self._began = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin with the next item."""
        if self._watched:
            self._ends = self._reports.new_ends()
            self._first = self._mapping.begun
            self._began = time.monotonic()

    def note(self) -> None:
        """Note that a call has ended."""
        if self._ends is not None:
            self._ends.append(time.monotonic())

    def tell(self) -> float:
        """Report the calls so far; return when the last one has ended, if somebody watches."""
        if not self._watched or self._mapping.values is None:
            return 0.0
        # A value that stands for another is told of by itself.
        values = self._mapping.values
        made = made_calls(
            Given(values, self._first, len(values)), self._began, self._ends, self._reports.shows
        )
        if made.size:
            self._reports.items_made(self._mapping.job, self._first, made)
        return made.ended
