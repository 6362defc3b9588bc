"""Caching at run time: one computation per key at a time, however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from cascade.spec.caching import ByInputs
from cascade.spec.protocols import CacheBackend, CachedCall, CacheKey, CachePolicy, Hit

if TYPE_CHECKING:
    from cascade.runtime.jobs import Job


class Lead:
    """The right and duty to compute the value of a key. Ended once, with a value or without.

    `problem` tells why the cache could not be asked; the value is then not put there either.
    """

    __slots__ = ("_cache", "done", "key", "leader", "problem", "ttl")

    def __init__(self, cache: SharedCache, key: CacheKey, ttl: float | None, leader: Job) -> None:
        self._cache = cache
        self.key = key
        self.ttl = ttl
        self.leader = leader
        self.problem: Exception | None = None
        self.done: asyncio.Future[Hit | None] = asyncio.get_running_loop().create_future()

    async def succeed(self, value: object) -> None:
        """Hand the value to those who wait and put it into the cache; until it is there, others still find it here."""
        if not self.done.done():
            self.done.set_result(Hit(value))
        try:
            if self.problem is None:
                await self._cache.backend.put(self.key, value, self.ttl)
        finally:
            self._leave()

    def found(self, hit: Hit) -> None:
        """Hand a value that was in the cache to those who wait."""
        self._end(hit)

    def give_up(self) -> None:
        """Let the next of those who wait lead."""
        self._end(None)

    def _end(self, hit: Hit | None) -> None:
        self._leave()
        if not self.done.done():
            self.done.set_result(hit)

    def _leave(self) -> None:
        if self._cache.leads.get(self.key.digest) is self:
            del self._cache.leads[self.key.digest]


class SharedCache:
    """A cache backend, and who computes which key at the moment."""

    def __init__(self, backend: CacheBackend) -> None:
        self.backend = backend
        self.leads: dict[str, Lead] = {}
        # Of the very class that has it: one that builds on it may ask elsewhere.
        has_look = "look" in vars(type(backend))
        self._look: Callable[[CacheKey], Hit | None] | None = (
            getattr(backend, "look", None) if has_look else None
        )

    def look(self, policy: CachePolicy, call: CachedCall) -> Hit | None:
        """Return a value that can be had at once; `None` says nothing: `find` is to be asked then.

        Raises:
            UncacheableError: If an argument has no canonical form.
        """
        if self._look is None or type(policy) is not ByInputs:
            return None
        key = policy.key(call)
        hit = None if key is None or key.digest in self.leads else self._look(key)
        return hit if hit is None or hit.is_good_for(policy.ttl) else None

    async def find(
        self, policy: CachePolicy, call: CachedCall, leader: Job, leads_itself: Callable[[Job], bool]
    ) -> Hit | Lead | None:
        """Return the value, or the lead for computing it, or `None` if this call goes without the cache.

        Waits for who computes the same key, unless `leads_itself` says that it is the asking chain's own. A backend
        that fails costs the hit and not the call: the lead tells the problem.
        """
        known = policy.known(call)
        if known is not None:
            return known
        key = policy.key(call)
        if key is None:
            return None
        while True:
            lead = self.leads.get(key.digest)
            if lead is not None:
                if leads_itself(lead.leader) and not lead.done.done():
                    return None
                hit = await asyncio.shield(lead.done)
                if hit is not None:
                    return hit
                continue
            # The lead is taken before the backend is asked, so that two callers can't both miss.
            lead = self.leads[key.digest] = Lead(self, key, policy.ttl, leader)
            try:
                hit = await self.backend.get(key)
            except Exception as problem:  # noqa: BLE001 - a store that can't be read costs time, not the value
                lead.problem = problem
                return lead
            except BaseException:
                lead.give_up()
                raise
            if hit is None or not hit.is_good_for(policy.ttl):
                return lead
            lead.found(hit)
            return hit
