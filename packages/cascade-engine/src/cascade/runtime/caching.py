"""Caching at run time: one computation per key at a time, however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from cascade.spec.protocols import CacheBackend, CachedCall, CachePolicy, Hit

if TYPE_CHECKING:
    from cascade.runtime.jobs import Job


class Lead:
    """The right and duty to compute the value of a key. Ended once, with a value or without."""

    __slots__ = ("_cache", "done", "key", "leader", "ttl")

    def __init__(self, cache: SharedCache, key: str, ttl: float | None, leader: Job) -> None:
        self._cache = cache
        self.key = key
        self.ttl = ttl
        self.leader = leader
        self.done: asyncio.Future[Hit | None] = asyncio.get_running_loop().create_future()

    async def succeed(self, value: object) -> None:
        """Put the value into the cache and hand it to those who wait."""
        try:
            await self._cache.backend.put(self.key, value, self.ttl)
        finally:
            self._end(Hit(value))

    def found(self, hit: Hit) -> None:
        """Hand a value that was in the cache to those who wait."""
        self._end(hit)

    def give_up(self) -> None:
        """Let the next of those who wait lead."""
        self._end(None)

    def _end(self, hit: Hit | None) -> None:
        if self._cache.leads.get(self.key) is self:
            del self._cache.leads[self.key]
        if not self.done.done():
            self.done.set_result(hit)


class SharedCache:
    """A cache backend, and who computes which key at the moment."""

    def __init__(self, backend: CacheBackend) -> None:
        self.backend = backend
        self.leads: dict[str, Lead] = {}

    async def find(
        self, policy: CachePolicy, call: CachedCall, leader: Job, leads_itself: Callable[[Job], bool]
    ) -> Hit | Lead | None:
        """Return the value, or the lead for computing it, or `None` if this call goes without the cache.

        Waits for who computes the same key, unless `leads_itself` says that it is the asking chain's own.
        """
        known = policy.known(call)
        if known is not None:
            return known
        key = policy.key(call)
        if key is None:
            return None
        while True:
            lead = self.leads.get(key)
            if lead is not None:
                if leads_itself(lead.leader):
                    return None
                hit = await asyncio.shield(lead.done)
                if hit is not None:
                    return hit
                continue
            # The lead is taken before the backend is asked, so that two callers can't both miss.
            lead = self.leads[key] = Lead(self, key, policy.ttl, leader)
            try:
                hit = await self.backend.get(key)
            except BaseException:
                lead.give_up()
                raise
            if hit is None:
                return lead
            lead.found(hit)
            return hit
