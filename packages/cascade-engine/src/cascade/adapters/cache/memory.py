"""The cache in memory: bounded, least recently used goes first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from heapq import nlargest
from typing import NamedTuple

from cascade.spec.missing import MISSING
from cascade.spec.protocols import CacheEntry, CacheKey, Hit


class _Kept(NamedTuple):
    entry: CacheEntry
    number: int
    value: object


class InMemoryCacheBackend:
    """Keeps at most `max_entries` values; `clock` gives seconds."""

    def __init__(self, max_entries: int = 10_000, clock: Callable[[], float] = time.time) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._puts = 0
        self._entries: OrderedDict[str, _Kept] = OrderedDict()

    async def get(self, key: CacheKey) -> Hit | None:
        """Return a value that is still good; of one that is not, only its entry is kept."""
        kept = self._entries.get(key.digest)
        if kept is None or kept.value is MISSING:
            return None
        now, entry = self._clock(), kept.entry
        if entry.expires_at is not None and not entry.stored_at <= now < entry.expires_at:
            if now >= entry.expires_at:
                self._entries[key.digest] = kept._replace(value=MISSING)
            return None
        self._entries.move_to_end(key.digest)
        return Hit(kept.value, now - entry.stored_at)

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        """Keep a value; the one that was not asked for the longest makes room."""
        now = self._clock()
        self._puts += 1
        entry = CacheEntry(key, now, None if ttl is None else now + ttl)
        self._entries[key.digest] = _Kept(entry, self._puts, value)
        self._entries.move_to_end(key.digest)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return what is known of a task's values, the last one first. Takes O(entries)."""
        found = (kept for kept in self._entries.values() if kept.entry.key.task == task)
        return [kept.entry for kept in nlargest(limit, found, key=lambda kept: kept.number)]

    async def close(self) -> None:
        """Forget all."""
        self._entries.clear()
