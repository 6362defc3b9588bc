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
    entry: CacheEntry
    number: int
    value: object


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
        kept = self._entries.get(key.digest)
        if kept is None or kept.value is MISSING:
            return None
        now, entry = self._clock(), kept.entry
        if entry.expires_at is not None and not entry.stored_at <= now < entry.expires_at:
            if now >= entry.expires_at:
                self._entries[key.digest] = kept._replace(value=MISSING)
            return None
        self._entries.move_to_end(key.digest)
        value = kept.value.copy() if isinstance(kept.value, _Encoded) else kept.value
        return Hit(value, now - entry.stored_at)

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        """Keep a value; if there is no room, drop the one that was not used for the longest time.

        Raises:
            CodecError: If there is a codec, and it does not know a part of the value.
        """
        self._keep(key, value if self._codec is None else self._encoded(self._codec, key, value, ttl), ttl)

    def _encoded(self, codec: Codec, key: CacheKey, value: object, ttl: float | None) -> _Encoded:
        place = key.digest.encode("utf-8", "surrogatepass")
        encoded = _Encoded(
            codec, codec.encode(value, key=place), place, lambda: self._keep(key, encoded, ttl)
        )
        return encoded

    def _keep(self, key: CacheKey, value: object, ttl: float | None) -> None:
        now = self._clock()
        self._puts += 1
        entry = CacheEntry(key, now, None if ttl is None else now + ttl)
        self._entries[key.digest] = _Kept(entry, self._puts, value)
        self._entries.move_to_end(key.digest)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return the entries of a task, the last put first. Takes O(entries)."""
        found = (kept for kept in self._entries.values() if kept.entry.key.task == task)
        return [kept.entry for kept in nlargest(limit, found, key=lambda kept: kept.number)]

    async def close(self) -> None:
        """Forget all."""
        self._entries.clear()
