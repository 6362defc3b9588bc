"""Claims about value stores of caches: large values are there, entries point to them, and pruning removes both."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.value_stores import MemoryValues

import cascade as cs
from cascade.adapters.cache import SqliteCacheBackend
from cascade.adapters.cache.pruning import Prunable, Pruned, PruneRule, prune
from cascade.adapters.store_urls import cache_factory, cache_from_url
from cascade.adapters.values import FileValueStore, KeptValues
from cascade.runtime.why import Verdict, explain
from cascade.spec import CacheKey, SpecError
from cascade.spec.errors import StoreError

CALLS: list[int] = []
OVER = 1_000
LARGE = b"x" * 5_000
HOUR = 3600.0


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.clear()


@cs.task(cache=cs.ByInputs())
def load(number: int) -> bytes:
    CALLS.append(number)
    return bytes([number]) * 5_000


def key(name: str) -> CacheKey:
    return CacheKey(name, "task", ())


def opened(url: str, store: Any) -> Any:
    """Open the cache in a store with this value store."""
    options: dict[str, Any] = {} if store is None else {"values": KeptValues(store, OVER)}
    return cache_factory(url, **options)()


def ask(url: str, store: Any, *asked: Callable[[Any], Any]) -> list[Any]:
    """Open a cache, await what functions of it give, one after the other, and close it."""

    async def main() -> list[Any]:
        cache = opened(url, store)
        try:
            return [await each(cache) for each in asked]
        finally:
            await cache.close()

    return asyncio.run(main())


def put(name: str, value: object = LARGE, ttl: float | None = None) -> Callable[[Any], Any]:
    return lambda cache: cache.put(key(name), value, ttl)


def get(name: str) -> Callable[[Any], Any]:
    return lambda cache: cache.get(key(name))


def prune_with(rule: PruneRule, *, dry_run: bool = False) -> Callable[[Any], Any]:
    def asked(cache: Any) -> Any:
        assert isinstance(cache, Prunable)
        return prune(cache, rule, dry_run=dry_run)

    return asked


def test_a_large_value_is_in_the_value_store(every_url: str) -> None:
    """In each kind of cache: a later process, with the same value store, has a hit, and calls nothing."""
    store = MemoryValues()
    for _ in range(2):
        assert cs.run(load(3), cache=every_url, values=store, values_over=OVER) == bytes([3]) * 5_000
    assert CALLS == [3]
    assert len(store.kept) == 1


def test_a_small_value_is_in_the_cache(url: str) -> None:
    """A value up to the bound makes no object."""
    store = MemoryValues()
    _, hit = ask(url, store, put("a", 5), get("a"))
    assert hit.value == 5
    assert not store.kept


@pytest.mark.parametrize("harm", ["removed", "changed", "unreadable", "no value store"])
def test_a_value_that_can_not_be_read_is_no_hit(url: str, harm: str) -> None:
    """Such a value is computed again, and put again."""
    store = MemoryValues()
    ask(url, store, put("a"))
    (name,) = store.kept
    if harm == "removed":
        store.kept.clear()
    elif harm == "changed":
        store.kept[name] = (0.0, store.kept[name][1][:-1] + b"y")
    elif harm == "unreadable":
        store.fails_at, store.calls = 1, []
    assert ask(url, None if harm == "no value store" else store, get("a")) == [None]
    store.fails_at = 0
    _, hit = ask(url, store, put("a"), get("a"))
    assert hit.value == LARGE


def test_a_value_store_that_fails_costs_the_entry_alone(url: str) -> None:
    """A value that can't be written is not cached; the run has its value all the same."""
    store = MemoryValues(fails_at=1)
    assert cs.run(load(3), cache=url, values=store, values_over=OVER) == bytes([3]) * 5_000
    store.fails_at = 0
    assert cs.run(load(3), cache=url, values=store, values_over=OVER) == bytes([3]) * 5_000
    assert CALLS == [3, 3]


def test_the_value_is_there_before_its_entry(url: str) -> None:
    """If a process ends between the two, there is no entry: it points to nothing that is not there."""
    store = MemoryValues(fails_at=1, after=True)
    with pytest.raises(StoreError):
        ask(url, store, put("a"))
    assert len(store.kept) == 1
    store.fails_at = 0
    assert ask(url, store, get("a")) == [None]


def test_pruning_takes_what_the_rule_names(every_url: str) -> None:
    """In each kind of cache: old, large ones go with their values; a dry run says the same and removes nothing."""
    store = MemoryValues()
    ask(every_url, store, put("small", 1), put("large"), put("larger", LARGE * 3))
    now = time.time()
    rules = {
        PruneRule(): set(),
        PruneRule(before=now - HOUR): set(),
        PruneRule(larger_than=10_000): {"larger"},
        PruneRule(before=now + HOUR, larger_than=1_000): {"large", "larger"},
        PruneRule(before=now + HOUR): {"small", "large", "larger"},
    }
    gone: set[str] = set()
    for rule, named in rules.items():
        dry, done = ask(every_url, store, prune_with(rule, dry_run=True), prune_with(rule))
        assert dry == done
        assert done.entries == len(named - gone)
        gone |= named
        hits = ask(every_url, store, *map(get, ("small", "large", "larger")))
        assert [hit is None for hit in hits] == [name in gone for name in ("small", "large", "larger")]
        assert len(store.kept) == 2 - len(gone & {"large", "larger"})


def test_pruning_says_how_many_bytes(url: str) -> None:
    """The size is that of the values, wherever they are."""
    store = MemoryValues()
    ask(url, store, put("small", 1), put("large"))
    size = sum(len(data) for _, data in store.kept.values())
    (pruned,) = ask(url, store, prune_with(PruneRule(larger_than=OVER)))
    assert pruned == Pruned(1, 0, size)


def test_an_expired_entry_goes_in_any_case(url: str) -> None:
    """It can't be a hit any more."""
    store = MemoryValues()
    ask(url, store, put("a", LARGE, 1e-6), put("b"))
    assert ask(url, store, prune_with(PruneRule()))[0].entries == 1
    assert len(store.kept) == 1


def test_a_value_that_no_entry_points_to_goes_when_it_is_an_hour_old(url: str) -> None:
    """A younger one stays: its entry may be about to be written. So does one that an entry points to."""
    store = MemoryValues()
    ask(url, store, put("a"), put("b", LARGE * 2))
    (kept, left) = sorted(store.kept, key=lambda name: len(store.kept[name][1]))
    ask(url, store, put("b", 1))  # its old value has no entry now
    assert ask(url, store, prune_with(PruneRule())) == [Pruned(0, 0, 0)]
    for name, (_, data) in store.kept.items():
        store.kept[name] = (time.time() - 2 * HOUR, data)
    size = len(store.kept[left][1])
    dry, pruned = ask(url, store, prune_with(PruneRule(), dry_run=True), prune_with(PruneRule()))
    assert dry == pruned == Pruned(0, 1, size)
    assert [*store.kept] == [kept]
    assert left not in store.kept


def test_a_replaced_value_goes_with_the_next_one(url: str) -> None:
    """A key that is put again and again keeps no values of more than an hour ago."""
    store = MemoryValues()
    for number in range(4):
        ask(url, store, put("a", bytes([number]) * 5_000))
        for name, (_, data) in store.kept.items():
            store.kept[name] = (time.time() - 2 * HOUR, data)
    assert len(store.kept) == 1
    assert ask(url, store, get("a"))[0].value == bytes([3]) * 5_000


def test_caches_and_runs_may_share_a_value_store(tmp_path: Path) -> None:
    """Pruning one cache, of values however old, touches nothing of another one, nor of a run."""
    store = FileValueStore(tmp_path / "values")
    one, two = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db"
    for url in (one, two):
        ask(url, store, put("a"))
    cs.run(load(1), state=f"sqlite:///{tmp_path}/runs.db", run_id="r", values=store, values_over=OVER)
    for path in (tmp_path / "values").rglob("*"):
        os.utime(path, (0, 0))
    assert ask(one, store, prune_with(PruneRule(before=time.time() + HOUR)))[0].entries == 1
    assert ask(two, store, get("a"))[0].value == LARGE
    assert len([*store.names("caches")]) == 1
    assert len([*store.names("runs")]) == 1
    assert (
        cs.run(load(1), state=f"sqlite:///{tmp_path}/runs.db", run_id="r", values=store) == bytes([1]) * 5_000
    )
    assert CALLS == [1]


def test_values_can_not_be_forgotten_by_mistake(url: str) -> None:
    """A cache that has a value store is not pruned without it."""
    store = MemoryValues()
    ask(url, store, put("a"))
    with pytest.raises(SpecError, match="give its URL too, --values"):
        ask(url, None, prune_with(PruneRule(before=time.time() + HOUR)))
    assert ask(url, store, get("a"))[0].value == LARGE


def test_an_entry_that_was_put_again_stays(url: str) -> None:
    """An entry that somebody replaces while another one prunes is not removed."""
    store = MemoryValues()

    async def main() -> None:
        cache = opened(url, store)
        try:
            await cache.put(key("a"), 1, None)
            held = await cache.held()
            await cache.put(key("a"), 2, None)
            assert await cache.drop(held) == []
            hit = await cache.get(key("a"))
            assert hit.value == 2
        finally:
            await cache.close()

    asyncio.run(main())


def test_what_a_full_cache_drops_goes_from_the_value_store(tmp_path: Path) -> None:
    """A cache with bounds removes the oldest entries, with their values."""
    store = MemoryValues()

    async def main() -> None:
        cache = SqliteCacheBackend(
            tmp_path / "cache.db", values=KeptValues(store, OVER), max_bytes=20_000, max_entries=100
        )
        for number in range(40):
            await cache.put(key(f"k{number}"), bytes([number]) * 5_000, None)
        await cache.close()

    asyncio.run(main())
    assert 1 <= len(store.kept) <= 6


def test_values_beside_the_file_are_pruned_too(tmp_path: Path) -> None:
    """Without a value store, large values are in files beside an SQLite file; these go with their entries."""
    url = f"sqlite:///{tmp_path}/cache.db"
    ask(url, None, put("a", b"x" * 3_000_000), put("b", b"y" * 3_000_000))
    assert len([*FileValueStore.beside(tmp_path / "cache.db").names("")]) == 2
    assert ask(url, None, prune_with(PruneRule(larger_than=1_000_000)))[0].entries == 2
    assert not [*FileValueStore.beside(tmp_path / "cache.db").names("")]
    assert ask(url, None, get("a")) == [None]


def test_an_older_cache_can_be_pruned(url: str) -> None:
    """A cache that no value store was given to is pruned like any other."""
    cache = cache_from_url(url)
    assert isinstance(cache, Prunable)
    asyncio.run(cache.close())
    ask(url, None, put("a"), put("b"))
    assert ask(url, None, prune_with(PruneRule(before=time.time() + HOUR)))[0].entries == 2


@cs.task(cache=cs.ByInputs())
def size_of(data: bytes) -> int:
    return len(data)


def test_an_explanation_sees_large_values(url: str) -> None:
    """`explain` finds them with `values=`: also what takes them is known to be in the cache."""
    store = MemoryValues()
    cs.run(size_of(load(3)), cache=url, values=store, values_over=OVER)
    for values, verdicts in ((store, {Verdict.HIT}), (None, {Verdict.MISS, Verdict.UNKNOWN})):
        judgements = asyncio.run(explain(size_of(load(3)), url, values=values))
        assert {each.answer.verdict for each in judgements} <= verdicts, values
