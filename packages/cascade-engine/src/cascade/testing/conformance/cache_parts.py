"""What the tests of cache backends are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cascade.spec.protocols import CacheBackend, CacheKey, KeyPart


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key_for(digest: str, task: str = "module.task", *parts: KeyPart) -> CacheKey:
    """Return a key, by default of one and the same task."""
    return CacheKey(digest, task, parts)


class CacheParts:
    """Tests for a `CacheBackend`. Subclass it and say in `make_backend` how to make an empty one.

    A backend may forget what it likes for want of room; the suite puts a handful of values of plain data, and expects
    these to be kept. Each test runs in an event loop of its own and closes its backend at the end. For a store whose
    bytes can be reached, write `damage` too.
    """

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        """Return an empty backend that takes the time, in seconds, from `clock`."""
        raise NotImplementedError("say in make_backend how to make a backend")

    async def damage(self, cache: CacheBackend, key: CacheKey) -> bool:
        """Change the stored bytes of a value in one place; return `False` where there are none to change."""
        return False

    def _run(self, check: Callable[[CacheBackend, Clock], Awaitable[None]]) -> None:
        async def main() -> None:
            clock = Clock()
            cache = self.make_backend(clock)
            try:
                await check(cache, clock)
            finally:
                await cache.close()

        asyncio.run(main())
