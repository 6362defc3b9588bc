"""Caching at run time: one computation per key at a time, however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from cascade.adapters.cache.memory import InMemoryCacheBackend
from cascade.runtime.sharing.file_marks import FileMark
from cascade.spec.errors import CascadeError, FileChangedError
from cascade.spec.inputs.files import digests_made
from cascade.spec.policies.caching import ByInputs, FileExists
from cascade.spec.protocols import CacheBackend, CachedCall, CacheKey, CachePolicy, EncodedValue, Hit

if TYPE_CHECKING:
    from cascade.runtime.frames.jobs import Job


class End(Enum):
    """How a computation ended for those who wait for it, where it gives them no value itself.

    `GIVEN_UP`: the next of them computes. `STORED`: the value lies in the cache. `ALONE`: no object of their own can be
    made for them, so each computes for itself.
    """

    GIVEN_UP = "given up"
    STORED = "stored"
    ALONE = "alone"


class Lead:
    """The right and duty to compute the value of a key. Ended once, with a value or without.

    `problem` tells why the cache could not be asked; the value is then not put there either.
    """

    __slots__ = ("_leads", "_name", "done", "leader", "problem", "rests")

    def __init__(self, leads: dict[str, Lead], name: str, leader: Job) -> None:
        self._leads = leads
        self._name = name
        self.leader = leader
        self.problem: Exception | None = None
        self.rests = ""  # the atomic resource that was open for what the value came of
        self.done: asyncio.Future[Hit | EncodedValue | End] = asyncio.get_running_loop().create_future()
        leads[name] = self

    async def succeed(self, value: object) -> None:
        """Take in the value, let those who wait have it, and keep it.

        Raises:
            Exception: If it can't be kept, whatever the cache raises.
        """
        self.end(End.GIVEN_UP)

    def give_up(self) -> None:
        """Let the next of those who wait lead."""
        self.end(End.GIVEN_UP)

    def end_round(self) -> None:
        """End with a call in the middle of a loop, which has returned the next target: it fills no key."""
        self.give_up()

    def end(self, end: Hit | EncodedValue | End) -> None:
        """Tell those who wait, and let others lead."""
        self._leave()
        self._tell(end)

    def _tell(self, end: Hit | EncodedValue | End) -> None:
        if not self.done.done():
            self.done.set_result(end)

    def _leave(self) -> None:
        if self._leads.get(self._name) is self:
            del self._leads[self._name]


class CacheLead(Lead):
    """The lead for a key of the cache."""

    __slots__ = ("_cache", "_check", "_key", "_ttl")

    def __init__(
        self,
        cache: SharedCache,
        key: CacheKey,
        ttl: float | None,
        leader: Job,
        check: Callable[[], None] | None,
    ) -> None:
        super().__init__(cache.leads, key.digest, leader)
        self._cache = cache
        self._key = key
        self._ttl = ttl
        self._check = check

    async def succeed(self, value: object) -> None:
        """Hand the value to those who wait and put it into the cache; until it is there, others still find it here."""
        # All up to the first `await` happens before the caller, or anybody else, gets to change the value.
        try:
            if self._check is not None:
                self._check()
            kept = None if self._cache.encode is None else self._cache.encode(self._key, value, self._ttl)
        except BaseException:
            self.end(End.ALONE)
            raise
        self._tell(Hit(value) if kept is None else kept)
        try:
            if self.problem is None:
                await (self._cache.backend.put(self._key, value, self._ttl) if kept is None else kept.store())
        finally:
            self._leave()


class FileLead(Lead):
    """The lead for making a file. A mark beside the file says that it is not finished, until it is."""

    __slots__ = ("_mark", "_policy")

    def __init__(self, cache: SharedCache, policy: FileExists, name: str, leader: Job) -> None:
        super().__init__(cache.leads, name, leader)
        self._policy = policy
        self._mark = FileMark(policy.path)

    async def take(self, call: CachedCall) -> Hit | FileLead:
        """Mark the file as unfinished, and return this lead; or the file, if another process has finished it."""
        try:
            await self._mark.take()
        except OSError as problem:
            self.problem = problem
        except BaseException:
            self.give_up()
            raise
        known = self._policy.known_while_marked()
        if known is None or self._mark.was_left or self.problem is not None:
            return self
        self._mark.remove()
        self.end(known)
        return known

    async def succeed(self, value: object) -> None:
        """Take the mark away, and hand the path to those who wait."""
        self._mark.remove()
        known = self._policy.known_while_marked()
        self.end(End.GIVEN_UP if known is None else known)

    def end_round(self) -> None:
        """End with a call that has returned the next target: the file is made."""
        self._mark.remove()
        self.end(End.GIVEN_UP)

    def give_up(self) -> None:
        """Leave the mark where there is a file, since that may be written in part."""
        self._mark.leave()
        super().give_up()


class SharedCache:
    """A cache backend, and who computes which key at the moment."""

    def __init__(self, backend: CacheBackend) -> None:
        self.backend = backend
        self.leads: dict[str, Lead] = {}
        self._look: Callable[[CacheKey], Hit | None] | None = _own_method(backend, "look")
        self.encode: Callable[[CacheKey, object, float | None], EncodedValue] | None = _own_method(
            backend, "encode"
        )
        self.keeps_objects = type(backend) is InMemoryCacheBackend and self.encode is None

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
        if isinstance(policy, FileExists):
            return await self._find_file(policy, call, leader, leads_itself)
        known = policy.known(call)
        if known is not None:
            return known
        files = digests_made()
        key = policy.key(call)
        if key is None:
            return None
        check = None if digests_made() == files else _check_of(policy, call, key)
        while True:
            lead = self.leads.get(key.digest)
            if lead is not None:
                if leads_itself(lead.leader) and not lead.done.done():
                    return None
                end = await asyncio.shield(lead.done)
                if end is End.ALONE:
                    return None
                hit = await self._hit_of(end, key)
                if hit is not None:
                    return hit
                continue
            # The lead is taken before the backend is asked, so that two callers can't both miss.
            lead = CacheLead(self, key, policy.ttl, leader, check)
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
            lead.end(hit if self.encode is None else End.STORED)
            return hit

    async def _hit_of(self, end: Hit | EncodedValue | End, key: CacheKey) -> Hit | None:
        """Return the value for one of those who have waited: an object of its own, if the cache makes such."""
        if end is End.STORED:
            try:
                return await self.backend.get(key)
            except Exception:  # noqa: BLE001 - who leads next is told the same, and reports it
                return None
        if isinstance(end, Hit):
            return end
        try:
            return None if isinstance(end, End) else Hit(end.copy(), 0.0)
        except CascadeError:  # names something that is gone in the meantime, a file say
            return None

    async def _find_file(
        self, policy: FileExists, call: CachedCall, leader: Job, leads_itself: Callable[[Job], bool]
    ) -> Hit | Lead | None:
        name = f"file {policy.place}"
        while True:
            known = policy.known(call)
            if known is not None:
                return known
            lead = self.leads.get(name)
            if lead is None:
                return await FileLead(self, policy, name, leader).take(call)
            if leads_itself(lead.leader) and not lead.done.done():
                return None
            end = await asyncio.shield(lead.done)
            if isinstance(end, Hit):
                return end


def _own_method(backend: CacheBackend, name: str) -> Any:
    """Return an optional method of the object or of its very class: a class that builds on it may do otherwise."""
    has_it = name in vars(type(backend)) or name in getattr(backend, "__dict__", {})
    return getattr(backend, name) if has_it else None


def _check_of(policy: CachePolicy, call: CachedCall, key: CacheKey) -> Callable[[], None]:
    """Return what checks that the files in the arguments are what they were when the key was made."""

    def check() -> None:
        now = policy.key(call)
        if now != key:
            parts = () if now is None else now.parts
            changed = [part.name for part, other in zip(key.parts, parts, strict=False) if part != other]
            raise FileChangedError(call.task.name, tuple(filter(None, changed)))

    return check
