"""Judging: what a cache has for one call, and why it has nothing. Nothing is computed, and nothing put."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from cascade.graph.path import StructurePath
from cascade.runtime.events import SkipReason
from cascade.runtime.explaining.key_differences import Change, KeyDifference, closest, key_differences
from cascade.runtime.frames.map_runs import Items
from cascade.spec.errors import UncacheableError
from cascade.spec.policies.caching import FileExists
from cascade.spec.protocols import CacheBackend, CachedCall, CacheEntry, CacheKey, CachePolicy, Hit
from cascade.spec.task import Task

ENTRIES = 1000
"""The last entries of a task that a call is compared with."""


class Verdict(StrEnum):
    """What would become of a node if the workflow ran now.

    `EXISTS` and `MISSING`: its policy knows the value without the cache, as `FileExists` does of a file that is there,
    or knows that it is not there. `UNCACHEABLE`: an argument can't be part of a key. `INPUT` and `GATHERED` are the
    nodes of inputs and of `gather`, of routers and of items: their values are always at hand. `UNKNOWN`: a task has to
    run first. `FAILS`: code of the workflow's own raises before the call, a key without a route for one.
    """

    HIT = "hit"
    MISS = "miss"
    EXISTS = "exists"
    MISSING = "missing"
    UNCACHEABLE = "uncacheable"
    NOT_CACHED = "not cached"
    INPUT = "input"
    GATHERED = "gathered"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and what it rests on. Times are in seconds of the cache's clock.

    `stored_at` and `expires_at` are those of the hit or, for a miss, of the entry that `differences` compares with; no
    entry means that the task has never been seen. `argument` can't be in a key because it is of type `kind`; `kind` is
    the error's where the verdict is `FAILS`. `reason` is that of a skip.
    """

    verdict: Verdict
    stored_at: float | None = None
    expires_at: float | None = None
    differences: tuple[KeyDifference, ...] = ()
    argument: str = ""
    kind: str = ""
    reason: SkipReason | None = None


class Before(NamedTuple):
    """A task that has to run before something can be known: its node and its name."""

    node: str
    task: str


@dataclass(frozen=True, slots=True)
class ItemCount:
    """How many items a map has, and of how many the value is there; `first` is the first index where it is not."""

    total: int
    hits: int
    first: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would become of one node, by its id, its task's name and its place.

    The answer of a map is that of its first item without a value. `until` names tasks that have to run first, the
    first ones if there are many: of an `UNKNOWN` node before there is an answer, of any other before it is known
    whether the node is wanted at all, being behind a condition or a router. A task that has to run may yet be skipped
    where what it waits for is.
    """

    node: str
    task: str
    place: StructurePath
    answer: Answer
    until: tuple[Before, ...] = ()
    items: ItemCount | None = None

    @property
    def verdict(self) -> Verdict:
        """The answer in a word."""
        return self.answer.verdict


class Judge:
    """Asks one cache about calls; the entries of each task are read once."""

    def __init__(self, cache: CacheBackend, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock
        self._entries: dict[str, list[CacheEntry]] = {}

    async def call(self, policy: CachePolicy, call: CachedCall) -> tuple[Answer, Hit | None]:
        """Return what there is for a call, and the value if there is one.

        Raises:
            StoreError: If the cache can't be read.
        """
        answer, key, hit = await self._look_up(policy, call)
        return await self._dated(answer, key, policy.ttl), hit

    async def items(
        self, policy: CachePolicy, task: Task[Any], items: Items
    ) -> tuple[Answer, ItemCount, Hit | None]:
        """Return what there is for the items of a map: the list of all values, if each is there.

        Raises:
            StoreError: If the cache can't be read.
        """
        values: list[object] = []
        first: tuple[int, Answer, CacheKey | None] | None = None
        for index in range(items.size):
            answer, key, hit = await self._look_up(policy, CachedCall(task, *items.arguments(index)))
            if hit is not None:
                values.append(hit.value)
            elif first is None:
                first = index, answer, key
        if first is None:
            return Answer(Verdict.HIT), ItemCount(items.size, items.size, None), Hit(values)
        index, answer, key = first
        return (
            await self._dated(answer, key, policy.ttl),
            ItemCount(items.size, len(values), index),
            None,
        )

    async def _look_up(
        self, policy: CachePolicy, call: CachedCall
    ) -> tuple[Answer, CacheKey | None, Hit | None]:
        try:
            known = policy.known(call)
            key = policy.key(call) if known is None else None
        except UncacheableError as problem:
            return Answer(Verdict.UNCACHEABLE, argument=problem.argument, kind=problem.kind), None, None
        except Exception as error:  # noqa: BLE001 - a policy may be the user's own; in a run the call fails with it
            return failure(error), None, None
        if known is not None:
            return Answer(Verdict.EXISTS), None, known
        if key is None:
            kept = isinstance(policy, FileExists)
            return Answer(Verdict.MISSING if kept else Verdict.NOT_CACHED), None, None
        hit = await self._cache.get(key)
        if hit is not None and not hit.is_good_for(policy.ttl):
            hit = None
        return Answer(Verdict.MISS if hit is None else Verdict.HIT), key, hit

    async def _dated(self, answer: Answer, key: CacheKey | None, ttl: float | None) -> Answer:
        """Return the answer with the entry that it rests on, and the time that it is good for under this `ttl`."""
        if key is None:
            return answer
        now = self._clock()
        entries = [_limited(entry, ttl) for entry in await self._entries_of(key.task)]
        if answer.verdict is Verdict.HIT:
            entry = next((each for each in entries if each.key.digest == key.digest), None)
        else:
            entry = closest(entries, key, now)
        if entry is None:
            return answer
        differences: tuple[KeyDifference, ...] = ()
        if answer.verdict is Verdict.MISS:
            differences = tuple(key_differences(entry, key, now)) or (KeyDifference(Change.VALUE),)
        return replace(
            answer, stored_at=entry.stored_at, expires_at=entry.expires_at, differences=differences
        )

    async def _entries_of(self, task: str) -> list[CacheEntry]:
        if task not in self._entries:
            self._entries[task] = await self._cache.entries(task, ENTRIES)
        return self._entries[task]


def _limited(entry: CacheEntry, ttl: float | None) -> CacheEntry:
    ends = [
        each
        for each in (entry.expires_at, None if ttl is None else entry.stored_at + ttl)
        if each is not None
    ]
    return replace(entry, expires_at=min(ends, default=None))


def failure(error: Exception) -> Answer:
    """Return the answer for a node that fails before its call; of the error only the kind is told, not the values."""
    return Answer(Verdict.FAILS, kind=type(error).__name__)
