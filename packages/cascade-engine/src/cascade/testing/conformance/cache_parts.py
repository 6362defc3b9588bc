"""What the tests of cache backends share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cascade.spec.protocols import CacheBackend, CacheKey, KeyPart


class Clock:
    """A clock in seconds. Tests set `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key_for(digest: str, task: str = "module.task", *parts: KeyPart) -> CacheKey:
    """Return a key, by default of one and the same task."""
    return CacheKey(digest, task, parts)


class CacheParts:
    """What the tests of a `CacheBackend` share: how a backend is made, damaged, used and closed."""

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        """Return an empty backend that takes the time, in seconds, from `clock`."""
        raise NotImplementedError("say in make_backend how to make a backend")

    async def damage(self, cache: CacheBackend, key: CacheKey) -> bool:
        """Change one byte of a stored value; return `False` if there are no bytes to change."""
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
