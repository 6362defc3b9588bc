"""The cache inspector: what a cache has for a call, and why it has nothing. It calls no task and stores nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cascade.runtime.explaining.key_differences import Change, KeyDifference, closest, key_differences
from cascade.runtime.explaining.verdicts import Answer, ItemCount, Verdict, failure
from cascade.runtime.programs.items import Items
from cascade.spec.caching.file_exists import FileExists
from cascade.spec.errors import UncacheableError
from cascade.spec.protocols import CacheBackend, CachedCall, CacheEntry, CacheKey, CachePolicy, Hit
from cascade.spec.task import AnyTask

ENTRIES = 1000
"""The number of latest entries of a task that a call is compared with."""


class CacheInspector:
    """Asks one cache about calls. The entries of each task are read once.

    `clock` gives the time of the cache, in seconds.
    """

    def __init__(self, cache: CacheBackend, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock
        self._entries: dict[str, list[CacheEntry]] = {}

    async def call(self, policy: CachePolicy, call: CachedCall) -> tuple[Answer, Hit | None]:
        """Return what there is for a call, and the value if there is one.

        Raises:
            StoreError: If the cache can't be read.
        """
        answer, key, hit = await self._look_up(policy, call)
        return await self._dated(answer, key, policy.ttl), hit

    async def items(
        self, policy: CachePolicy, task: AnyTask, items: Items
    ) -> tuple[Answer, ItemCount, Hit | None]:
        """Return what there is for the items of a map, and the list of all values if each is there.

        Raises:
            StoreError: If the cache can't be read.
        """
        values: list[object] = []
        first: tuple[int, Answer, CacheKey | None] | None = None
        for index in range(items.size):
            answer, key, hit = await self._look_up(policy, CachedCall(task, *items.arguments(index)))
            if hit is not None:
                values.append(hit.value)
            elif first is None:
                first = index, answer, key
        if first is None:
            return Answer(Verdict.HIT), ItemCount(items.size, items.size, None), Hit(values)
        index, answer, key = first
        return (
            await self._dated(answer, key, policy.ttl),
            ItemCount(items.size, len(values), index),
            None,
        )

    async def _look_up(
        self, policy: CachePolicy, call: CachedCall
    ) -> tuple[Answer, CacheKey | None, Hit | None]:
        try:
            known = policy.known(call)
            key = policy.key(call) if known is None else None
        except UncacheableError as problem:
            return Answer(Verdict.UNCACHEABLE, argument=problem.argument, kind=problem.kind), None, None
        except Exception as error:  # noqa: BLE001 - a policy may be the user's own; in a run the call fails with it
            return failure(error), None, None
        if known is not None:
            return Answer(Verdict.EXISTS), None, known
        if key is None:
            kept = isinstance(policy, FileExists)
            return Answer(Verdict.MISSING if kept else Verdict.NOT_CACHED), None, None
        hit = await self._cache.get(key)
        if hit is not None and not hit.is_good_for(policy.ttl):
            hit = None
        return Answer(Verdict.MISS if hit is None else Verdict.HIT), key, hit

    async def _dated(self, answer: Answer, key: CacheKey | None, ttl: float | None) -> Answer:
        """Return the answer with the times of its entry, no longer than `ttl` allows, and with what differs."""
        if key is None:
            return answer
        now = self._clock()
        entries = [_limited(entry, ttl) for entry in await self._entries_of(key.task)]
        if answer.verdict is Verdict.HIT:
            entry = next((each for each in entries if each.key.digest == key.digest), None)
        else:
            entry = closest(entries, key, now)
        if entry is None:
            return answer
        differences: tuple[KeyDifference, ...] = ()
        if answer.verdict is Verdict.MISS:
            differences = tuple(key_differences(entry, key, now)) or (KeyDifference(Change.VALUE),)
        return replace(
            answer, stored_at=entry.stored_at, expires_at=entry.expires_at, differences=differences
        )

    async def _entries_of(self, task: str) -> list[CacheEntry]:
        if task not in self._entries:
            self._entries[task] = await self._cache.entries(task, ENTRIES)
        return self._entries[task]


def _limited(entry: CacheEntry, ttl: float | None) -> CacheEntry:
    ends = [
        each
        for each in (entry.expires_at, None if ttl is None else entry.stored_at + ttl)
        if each is not None
    ]
    return replace(entry, expires_at=min(ends, default=None))
