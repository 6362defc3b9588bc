"""Pruning: removes entries of a cache, and the values in its value store that no entry points to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from cascade.adapters.cache.cached_values import YOUNG_SECONDS, CachedValues
from cascade.adapters.values.value_pointer import ValuePointer
from cascade.spec.errors import SpecError
from cascade.spec.late_dataclasses import dataclass


class HeldEntry(NamedTuple):
    """An entry of a cache: the digest of its key, its times in seconds, and the size of its value in bytes.

    `pointer` is that of a large value in a value store.
    """

    digest: str
    stored_at: float
    expires_at: float | None
    size: int
    pointer: ValuePointer | None


@runtime_checkable
class Prunable(Protocol):
    """A cache whose entries can be listed and removed. `large` are its values in a value store, if it was given one."""

    @property
    def large(self) -> CachedValues | None:
        """Its large values."""

    async def held(self) -> list[HeldEntry]:
        """Return all entries.

        Raises:
            StoreError: If the store can't be read.
        """

    async def drop(self, entries: Sequence[HeldEntry]) -> list[HeldEntry]:
        """Remove entries; return those that were removed. One that was put again meanwhile stays.

        Raises:
            StoreError: If the store can't be written.
        """


@dataclass(frozen=True, slots=True)
class PruneRule:
    """Which entries go: those that were put before a time, in seconds since the epoch, and have more bytes than this.

    An entry that has expired goes in any case. With neither bound no other one does.
    """

    before: float | None = None
    larger_than: int | None = None

    def takes(self, entry: HeldEntry, now: float) -> bool:
        """Tell whether an entry goes."""
        if entry.expires_at is not None and entry.expires_at <= now:
            return True
        if self.before is None and self.larger_than is None:
            return False
        is_old = self.before is None or entry.stored_at < self.before
        return is_old and (self.larger_than is None or entry.size > self.larger_than)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many entries were removed, how many values that no entry points to, and how many bytes both had."""

    entries: int
    values: int
    size: int


async def prune(cache: Prunable, rule: PruneRule, *, dry_run: bool = False) -> Pruned:
    """Remove the entries that a rule takes, with their values, and values that no entry points to.

    A value that no entry points to stays if it is younger than an hour: its entry may be about to be written.
    With `dry_run` nothing is removed.

    Raises:
        SpecError: If entries point into a value store, and the cache was given none.
        StoreError: If a store can't be read or written.
    """
    large, now = cache.large, time.time()
    # Listed first: what is put meanwhile is in the list of entries below, or is young.
    there = [] if large is None else await large.names()
    held = await cache.held()
    if large is None and any(entry.pointer is not None for entry in held):
        raise SpecError("a cache with values in a value store", "give its URL too, --values URL")
    taken = [entry for entry in held if rule.takes(entry, now)]
    if not dry_run:
        taken = await cache.drop(taken)
    pointed = {entry.pointer.name for entry in held if entry.pointer is not None}
    left = {
        name: size for name, put_at, size in there if name not in pointed and put_at < now - YOUNG_SECONDS
    }
    if large is not None and not dry_run:
        await large.delete([*(entry.pointer.name for entry in taken if entry.pointer is not None), *left])
    return Pruned(len(taken), len(left), sum(entry.size for entry in taken) + sum(left.values()))
