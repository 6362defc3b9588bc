"""Single flight: of the calls that want the value of one cache key, one computes it and the others wait for it.

A `SharedCache` is shared by all runs of an engine. Who asks it for a value gets the value, or the `Computation` of it:
the duty to make the call and then to end the computation, with the value or without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

from cascade.adapters.cache.memory_cache import InMemoryCacheBackend
from cascade.runtime.sharing.file_marks import FileMark
from cascade.spec.caching.by_inputs import ByInputs
from cascade.spec.caching.file_exists import FileExists
from cascade.spec.errors import CascadeError, FileChangedError
from cascade.spec.inputs.files import digests_made
from cascade.spec.protocols import CacheBackend, CachedCall, CacheKey, CachePolicy, EncodedValue, Hit

Owner = TypeVar("Owner")
"""What computes a value: a call of a run."""


class End(Enum):
    """How a computation ended for those who wait for it, where it hands them no value.

    `GIVEN_UP`: there is no value, and the next of them computes it. `STORED`: they find the value in the cache.
    `ALONE`: the value can't be copied for them, so each computes one for itself.
    """

    GIVEN_UP = "given up"
    STORED = "stored"
    ALONE = "alone"


class Computation(Generic[Owner]):
    """The duty to compute the value of one key, while others wait for it. It is ended once, with a value or without.

    `owner` is the call that computes. `problem` is what the cache raised when it was asked; the value is not put into
    that cache then. `atomic` names the atomic resource that was open for what the value was made of, empty for none.
    """

    __slots__ = ("_awaited", "_computations", "_end", "_name", "atomic", "owner", "problem")

    def __init__(self, computations: dict[str, Computation[Owner]], name: str, owner: Owner) -> None:
        self._computations = computations
        self._name = name
        self.owner = owner
        self.problem: Exception | None = None
        self.atomic = ""
        self._end: Hit | EncodedValue | End | None = None
        self._awaited: asyncio.Future[Hit | EncodedValue | End] | None = None  # made for the first who waits
        computations[name] = self

    @property
    def is_over(self) -> bool:
        """Whether those who wait know how it has ended."""
        return self._end is not None

    @property
    def keeps_at_once(self) -> bool:
        """Whether `keep` may be called in place of `succeed`."""
        return False

    async def wait(self) -> Hit | EncodedValue | End:
        """Wait until it has ended; return how."""
        if self._end is not None:
            return self._end
        if self._awaited is None:
            self._awaited = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._awaited)

    def keep(self, value: object) -> None:
        """End with a value, and keep it here and now.

        Raises:
            Exception: If it can't be kept, whatever the cache raises.
        """
        raise NotImplementedError

    async def succeed(self, value: object) -> None:
        """End with a value: hand it to those who wait, and keep it.

        Raises:
            Exception: If it can't be kept, whatever the cache raises.
        """
        self.end(End.GIVEN_UP)

    def give_up(self) -> None:
        """End without a value: the next of those who wait computes it."""
        self.end(End.GIVEN_UP)

    def end_round(self) -> None:
        """End where the call has returned the next target of a loop, and so no value for the key."""
        self.give_up()

    def end(self, end: Hit | EncodedValue | End) -> None:
        """Wake those who wait; from now on others may compute the key."""
        self._leave()
        self._tell(end)

    def _tell(self, end: Hit | EncodedValue | End) -> None:
        if self._end is None:
            self._end = end
            if self._awaited is not None:
                self._awaited.set_result(end)

    def _leave(self) -> None:
        if self._computations.get(self._name) is self:
            del self._computations[self._name]


class CacheComputation(Computation[Owner]):
    """The computation of a value that goes into the cache."""

    __slots__ = ("_cache", "_check", "_key", "_ttl")

    def __init__(
        self,
        cache: SharedCache[Owner],
        key: CacheKey,
        ttl: float | None,
        owner: Owner,
        check: Callable[[], None] | None,
    ) -> None:
        super().__init__(cache.computations, key.digest, owner)
        self._cache = cache
        self._key = key
        self._ttl = ttl
        self._check = check

    @property
    def keeps_at_once(self) -> bool:
        """Whether the cache keeps values without waiting, and nobody waits for this one."""
        return self._cache.keep is not None and self._awaited is None and self.problem is None

    def keep(self, value: object) -> None:
        """Put the value into the cache, here and now.

        Raises:
            Exception: If it can't be kept, whatever the cache raises.
        """
        assert self._cache.keep is not None
        try:
            if self._check is not None:
                self._check()
            self._cache.keep(self._key, value, self._ttl)
        except BaseException:
            self.end(End.ALONE)
            raise
        self.end(End.STORED)

    async def succeed(self, value: object) -> None:
        """Hand the value to those who wait and put it into the cache; until it is there, others still find it here.

        Raises:
            Exception: If it can't be kept, whatever the cache raises.
        """
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


class FileComputation(Computation[Owner]):
    """The computation that makes a file. While it lasts, a mark beside the file says that it is not finished."""

    __slots__ = ("_mark", "_policy")

    def __init__(self, cache: SharedCache[Owner], policy: FileExists, name: str, owner: Owner) -> None:
        super().__init__(cache.computations, name, owner)
        self._policy = policy
        self._mark = FileMark(policy.path)

    async def take(self, call: CachedCall) -> Hit | FileComputation[Owner]:
        """Mark the file as unfinished and return this computation; return the path if another process has made it."""
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
        """Remove the mark, and hand the path to those who wait."""
        self._mark.remove()
        known = self._policy.known_while_marked()
        self.end(End.GIVEN_UP if known is None else known)

    def end_round(self) -> None:
        """End where the call has returned the next target of a loop: the file is made."""
        self._mark.remove()
        self.end(End.GIVEN_UP)

    def give_up(self) -> None:
        """End without a value; a file that is there stays marked, as it may be written in part."""
        self._mark.leave()
        super().give_up()


class SharedCache(Generic[Owner]):
    """A cache backend, and the computations under way by the text of their keys."""

    def __init__(self, backend: CacheBackend) -> None:
        self.backend = backend
        self.computations: dict[str, Computation[Owner]] = {}
        self._look: Callable[[CacheKey], Hit | None] | None = _optional_method(
            backend, "look", instead_of="get"
        )
        self.keep: Callable[[CacheKey, object, float | None], None] | None = _optional_method(
            backend, "keep", instead_of="put"
        )
        self.encode: Callable[[CacheKey, object, float | None], EncodedValue] | None = _optional_method(
            backend, "encode", instead_of="put"
        )
        self.keeps_objects = type(backend) is InMemoryCacheBackend and self.encode is None

    def look(self, policy: CachePolicy, call: CachedCall) -> Hit | None:
        """Return a value that can be had without waiting. `None` says nothing: ask `find` then.

        Raises:
            UncacheableError: If an argument has no canonical form.
        """
        if self._look is None or type(policy) is not ByInputs:
            return None
        key = policy.key(call)
        hit = None if key is None or key.digest in self.computations else self._look(key)
        return hit if hit is None or hit.is_good_for(policy.ttl) else None

    def begin(self, policy: CachePolicy, call: CachedCall, owner: Owner) -> Hit | Computation[Owner] | None:
        """Return the value, or the computation that `owner` has to end, where that can be told without waiting.

        `None` says nothing: ask `find` then. For calls that the event loop makes by itself, `Computation.keep` may
        follow in the same turn.

        Raises:
            UncacheableError: If an argument has no canonical form.
        """
        files = digests_made()
        found = self.value_or_key(policy, call)
        if not isinstance(found, CacheKey):
            return found
        check = None if digests_made() == files else _check_of(policy, call, found)
        return CacheComputation(self, found, policy.ttl, owner, check)

    def answers_now(self, policy: CachePolicy) -> bool:
        """Tell whether `value_or_key` may have an answer for calls with this policy."""
        return self.keep is not None and self._look is not None and type(policy) is ByInputs

    def value_or_key(self, policy: CachePolicy, call: CachedCall) -> Hit | CacheKey | None:
        """Return the value, or the key to keep it by, where that can be told without waiting; as `begin`.

        Raises:
            UncacheableError: If an argument has no canonical form.
        """
        if self.keep is None or self._look is None or type(policy) is not ByInputs:
            return None
        key = policy.key(call)
        if key is None or key.digest in self.computations:
            return None
        hit = self._look(key)
        return hit if hit is not None and hit.is_good_for(policy.ttl) else key

    def computation(self, key: CacheKey, ttl: float | None, owner: Owner) -> Computation[Owner] | None:
        """Return the computation of a key that `owner` goes on with; `None` if somebody else has begun one."""
        return None if key.digest in self.computations else CacheComputation(self, key, ttl, owner, None)

    async def find(
        self, policy: CachePolicy, call: CachedCall, owner: Owner, is_own: Callable[[Owner], bool]
    ) -> Hit | Computation[Owner] | None:
        """Return the value, or the computation that `owner` has to end, or `None` for a call without the cache.

        Waits while another call computes the same key. Where `is_own` says that `owner` is itself a part of that call,
        waiting would never end: such a call goes without the cache. A backend that fails costs the hit and not the
        call; the computation has the `problem`.

        Raises:
            UncacheableError: If an argument has no canonical form.
        """
        if isinstance(policy, FileExists):
            return await self._find_file(policy, call, owner, is_own)
        known = policy.known(call)
        if known is not None:
            return known
        files = digests_made()
        key = policy.key(call)
        if key is None:
            return None
        check = None if digests_made() == files else _check_of(policy, call, key)
        while True:
            computation = self.computations.get(key.digest)
            if computation is not None:
                if is_own(computation.owner) and not computation.is_over:
                    return None
                end = await computation.wait()
                if end is End.ALONE:
                    return None
                hit = await self._hit_of(end, key)
                if hit is not None:
                    return hit
                continue
            # It is entered before the backend is asked, so that two callers can't both miss.
            computation = CacheComputation(self, key, policy.ttl, owner, check)
            try:
                hit = await self.backend.get(key)
            except Exception as problem:  # noqa: BLE001 - a store that can't be read costs time, not the value
                computation.problem = problem
                return computation
            except BaseException:
                computation.give_up()
                raise
            if hit is None or not hit.is_good_for(policy.ttl):
                return computation
            computation.end(hit if self.encode is None else End.STORED)
            return hit

    async def _hit_of(self, end: Hit | EncodedValue | End, key: CacheKey) -> Hit | None:
        """Return the value for one of those who have waited: an object of its own, if the cache makes such."""
        if end is End.STORED:
            try:
                return await self.backend.get(key)
            except Exception:  # noqa: BLE001 - who computes next gets the same error, and reports it
                return None
        if isinstance(end, Hit):
            return end
        try:
            return None if isinstance(end, End) else Hit(end.copy(), 0.0)
        except CascadeError:  # it names something that has gone since, a file say
            return None

    async def _find_file(
        self, policy: FileExists, call: CachedCall, owner: Owner, is_own: Callable[[Owner], bool]
    ) -> Hit | Computation[Owner] | None:
        name = f"file {policy.place}"
        while True:
            known = policy.known(call)
            if known is not None:
                return known
            computation = self.computations.get(name)
            if computation is None:
                return await FileComputation(self, policy, name, owner).take(call)
            if is_own(computation.owner) and not computation.is_over:
                return None
            end = await computation.wait()
            if isinstance(end, Hit):
                return end


def _optional_method(backend: CacheBackend, name: str, instead_of: str) -> Any:
    """Return an optional method of a cache that the engine may call in place of another one; `None` if it may not.

    A class may build on one that has it, and do otherwise in the other method alone. Then that one is what counts.
    """
    has_it, has_other = _level(backend, name), _level(backend, instead_of)
    return (
        getattr(backend, name) if has_it is not None and (has_other is None or has_it <= has_other) else None
    )


def _level(backend: CacheBackend, name: str) -> int | None:
    """Return where an object's method comes from: 0 is the object itself, then its classes from the nearest one on."""
    owners = [getattr(backend, "__dict__", {}), *map(vars, type(backend).__mro__)]
    return next((level for level, owner in enumerate(owners) if name in owner), None)


def _check_of(policy: CachePolicy, call: CachedCall, key: CacheKey) -> Callable[[], None]:
    """Return what checks that the files in the arguments are what they were when the key was made."""

    def check() -> None:
        now = policy.key(call)
        if now != key:
            parts = () if now is None else now.parts
            changed = [part.name for part, other in zip(key.parts, parts, strict=False) if part != other]
            raise FileChangedError(call.task.name, tuple(filter(None, changed)))

    return check
