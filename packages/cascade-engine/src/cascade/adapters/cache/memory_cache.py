"""The cache in memory. It is bounded: what was not used for the longest time is dropped first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from heapq import nlargest
from typing import NamedTuple

from cascade.spec.calls.missing import MISSING
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit


class _Kept(NamedTuple):
    """A value, and what its entry is made of when somebody asks for entries."""

    key: CacheKey
    stored_at: float
    expires_at: float | None
    number: int
    value: object

    @property
    def entry(self) -> CacheEntry:
        return CacheEntry(self.key, self.stored_at, self.expires_at)


class _Encoded:
    """A value as bytes: an `EncodedValue`."""

    def __init__(self, codec: Codec, data: bytes, key: bytes, storing: Callable[[], None]) -> None:
        self._codec = codec
        self._data = data
        self._key = key
        self._storing = storing

    def copy(self) -> object:
        return self._codec.decode(self._data, key=self._key)

    async def store(self) -> None:
        self._storing()


class InMemoryCacheBackend:
    """Keeps at most `max_entries` values; `clock` returns seconds.

    `get` returns the very object that was put. With a `codec` the cache keeps bytes, and `get` returns a new object
    each time; a value that the codec refuses is not kept then.
    """

    def __init__(
        self,
        max_entries: int = 10_000,
        clock: Callable[[], float] = time.time,
        *,
        codec: Codec | None = None,
    ) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._codec = codec
        if codec is not None:
            self.encode = partial(self._encoded, codec)
        self._puts = 0
        self._entries: OrderedDict[str, _Kept] = OrderedDict()

    async def get(self, key: CacheKey) -> Hit | None:
        """Return a value that has not expired. An expired value is dropped; its entry stays."""
        return self.look(key)

    def look(self, key: CacheKey) -> Hit | None:
        """Return what `get` returns."""
        # Once per cached call: watched by observatory/benchmarks/bench_durability.py.
        digest = key.digest
        kept = self._entries.get(digest)
        if kept is None or kept.value is MISSING:
            return None
        _, stored_at, expires_at, _, value = kept
        now = self._clock()
        if expires_at is not None and not stored_at <= now < expires_at:
            if now >= expires_at:
                self._entries[digest] = kept._replace(value=MISSING)
            return None
        self._entries.move_to_end(digest)
        return Hit(value.copy() if isinstance(value, _Encoded) else value, now - stored_at)

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        """Keep a value; if there is no room, drop the one that was not used for the longest time.

        Raises:
            CodecError: If there is a codec, and it does not know a part of the value.
        """
        self.keep(key, value, ttl)

    def keep(self, key: CacheKey, value: object, ttl: float | None) -> None:
        """Do what `put` does."""
        self._keep(key, value if self._codec is None else self._encoded(self._codec, key, value, ttl), ttl)

    def _encoded(self, codec: Codec, key: CacheKey, value: object, ttl: float | None) -> _Encoded:
        place = key.digest.encode("utf-8", "surrogatepass")
        encoded = _Encoded(
            codec, codec.encode(value, key=place), place, lambda: self._keep(key, encoded, ttl)
        )
        return encoded

    def _keep(self, key: CacheKey, value: object, ttl: float | None) -> None:
        now, entries = self._clock(), self._entries
        self._puts += 1
        entries[key.digest] = _Kept(key, now, None if ttl is None else now + ttl, self._puts, value)
        entries.move_to_end(key.digest)
        while len(entries) > self._max_entries:
            entries.popitem(last=False)

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return the entries of a task, the last put first. Takes O(entries)."""
        found = (kept for kept in self._entries.values() if kept.key.task == task)
        return [kept.entry for kept in nlargest(limit, found, key=lambda kept: kept.number)]

    async def close(self) -> None:
        """Forget all."""
        self._entries.clear()
