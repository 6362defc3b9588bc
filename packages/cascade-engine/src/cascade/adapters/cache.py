"""The cache in memory: bounded, least recently used goes first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from cascade.spec.protocols import Hit


class InMemoryCacheBackend:
    """Keeps at most `max_entries` values; `clock` gives seconds that only grow."""

    def __init__(self, max_entries: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[str, tuple[object, float | None]] = OrderedDict()

    async def get(self, key: str) -> Hit | None:
        """Return a value that is still good."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if expires is not None and self._clock() >= expires:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return Hit(value)

    async def put(self, key: str, value: object, ttl: float | None) -> None:
        """Keep a value; the one that was not asked for the longest makes room."""
        self._entries[key] = (value, None if ttl is None else self._clock() + ttl)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def close(self) -> None:
        """Forget all."""
        self._entries.clear()
