"""Claims about why a value in a cache is no hit."""

from __future__ import annotations

import pytest

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.runtime.explaining.key_differences import Change, KeyDifference, closest, key_differences
from cascade.spec import CachedCall, CacheEntry, CacheKey, KeyPart, PartKind


@cs.task
def load(city: str, days: int = 7) -> None: ...


def key(version: str = "", **arguments: object) -> CacheKey:
    found = cs.ByInputs(version=version).key(CachedCall(load, (), arguments))
    assert found is not None
    return found


def with_code(found: CacheKey, code: str) -> CacheKey:
    parts = (KeyPart(PartKind.CODE, "", code), *found.parts[1:])
    return CacheKey(found.digest + code, found.task, parts)


@pytest.mark.parametrize(
    ("new", "reasons"),
    [
        (key(city="Oslo"), []),
        (key(city="Rome"), [(Change.ARGUMENT, "city")]),
        (key(city="Rome", days=3), [(Change.ARGUMENT, "city"), (Change.ARGUMENT, "days")]),
        (key("2", city="Oslo", days=3), [(Change.VERSION, ""), (Change.ARGUMENT, "days")]),
        (with_code(key(city="Oslo"), "new"), [(Change.CODE, "")]),
        (CacheKey("other", key(city="Oslo").task, key(city="Oslo").parts), [(Change.KEY, "")]),
    ],
)
def test_what_has_changed_is_told(new: CacheKey, reasons: list[tuple[Change, str]]) -> None:
    """Code, version and arguments that are other than they were are told by name, in this order."""
    entry = CacheEntry(key(city="Oslo"), 0.0, None)
    assert key_differences(entry, new, 100.0) == [KeyDifference(*reason) for reason in reasons]


def test_what_has_expired_is_told() -> None:
    """An entry of the very key is no hit from the moment on at which its time is over."""
    entry = CacheEntry(key(city="Oslo"), 0.0, 60.0)
    assert key_differences(entry, key(city="Oslo"), 59.9) == []
    assert key_differences(entry, key(city="Oslo"), 60.0) == [KeyDifference(Change.EXPIRED)]


async def test_the_closest_entry_is_that_of_the_nearest_call() -> None:
    """Of the entries of a task, the one with the fewest differences is compared with."""
    cache = InMemoryCacheBackend()
    for city, days in [("Oslo", 7), ("Rome", 3), ("Bern", 1)]:
        await cache.put(key(city=city, days=days), None, None)
    found = closest(await cache.entries(str(load.reference)), key(city="Rome", days=7), 0.0)
    assert found is not None
    assert key_differences(found, key(city="Rome", days=7), 0.0) in (
        [KeyDifference(Change.ARGUMENT, "city")],
        [KeyDifference(Change.ARGUMENT, "days")],
    )
    assert closest([], key(city="Rome"), 0.0) is None


def test_an_entry_of_the_very_key_is_the_closest() -> None:
    """An entry that has expired tells more than one of another call that was put later."""
    old = CacheEntry(key(city="Oslo"), 0.0, 60.0)
    other = CacheEntry(key(city="Rome"), 70.0, None)
    assert closest([other, old], key(city="Oslo"), 80.0) is old
