"""Stores that fail: a state or a cache whose Nth call raises, to test what a workflow does then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cascade.adapters.store_urls import state_from_url
from cascade.spec.durable import DurableStateBackend, RunRecord
from cascade.spec.errors import StoreError
from cascade.spec.protocols import CacheBackend, CacheEntry, CacheKey, Hit, StateBackend

T = TypeVar("T")


class Failure:
    """Says when a store fails: at its Nth call, counted from 1; with `stays`, at all later calls too.

    With `after` the store does what it was asked for and fails then, as if its answer was lost on the way.
    """

    def __init__(self, at: int, *, after: bool = False, stays: bool = False) -> None:
        self._left = at
        self._after = after
        self._stays = stays

    async def met_by(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that may fail, and return its value.

        Raises:
            StoreError: If this is the call that fails.
        """
        self._left -= 1
        fails = self._left == 0 or (self._stays and self._left < 0)
        problem = StoreError("failing", "it fails as the test has asked for")
        if fails and not self._after:
            raise problem
        value = await call()
        if fails:
            raise problem
        return value


def failing_state(
    state: str | Callable[..., StateBackend], at: int, *, after: bool = False, stays: bool = False
) -> Callable[..., StateBackend]:
    """Return a state for `cs.run(state=...)` that fails at the Nth call to its store; see `Failure`.

    `state` is the URL of a store, or a function that makes the backend of a run, given `run_id=`. Calls are `open`,
    each `commit`, and `close`. A `close` that fails gives up the run all the same: nobody could take it otherwise.
    """
    make = state_from_url(state) if isinstance(state, str) else state
    failure = Failure(at, after=after, stays=stays)
    failing: Callable[..., Any] = _FailingState  # it gets the methods of the protocol below
    return lambda run_id: failing(make(run_id=run_id), failure)


class _FailingState:
    """Passes every call on to a state; those to the store may fail."""

    def __init__(self, state: DurableStateBackend, failure: Failure) -> None:
        self._state = state
        self._failure = failure

    async def open(self, anew: bool = False) -> RunRecord | None:
        return await self._failure.met_by(lambda: self._state.open(anew))

    async def commit(self) -> None:
        await self._failure.met_by(self._state.commit)

    async def close(self) -> None:
        await self._state.close()
        await self._failure.met_by(_nothing)


async def _nothing() -> None: ...


def _handed_on(name: str) -> Callable[..., object]:
    def hand_on(self: _FailingState, *args: object, **kwargs: object) -> object:
        return getattr(self._state, name)(*args, **kwargs)

    return hand_on


for _name in set(DurableStateBackend.__dict__) | set(StateBackend.__dict__):
    if not _name.startswith("_") and _name not in _FailingState.__dict__:
        setattr(_FailingState, _name, _handed_on(_name))


class FailingCache:
    """A cache backend that fails at its Nth call; see `Failure`. Calls are `get`, `put` and `entries`."""

    def __init__(self, cache: CacheBackend, at: int, *, after: bool = False, stays: bool = False) -> None:
        self._cache = cache
        self._failure = Failure(at, after=after, stays=stays)

    async def get(self, key: CacheKey) -> Hit | None:
        return await self._failure.met_by(lambda: self._cache.get(key))

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        await self._failure.met_by(lambda: self._cache.put(key, value, ttl))

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        return await self._failure.met_by(lambda: self._cache.entries(task, limit))

    async def close(self) -> None:
        """Close the cache behind this one; never fails of itself."""
        await self._cache.close()
