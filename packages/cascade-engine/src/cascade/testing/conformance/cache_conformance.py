"""The conformance suite of cache backends: values are found by their keys, until they expire."""

from __future__ import annotations

import asyncio

from cascade.spec.errors import CascadeError
from cascade.spec.protocols import CacheBackend, CacheEntry, Hit, KeyPart, PartKind
from cascade.testing.conformance.cache_parts import Clock, key_for
from cascade.testing.conformance.cache_times import CacheTimes
from cascade.testing.conformance.cache_values import CacheValues


class CacheBackendConformance(CacheValues, CacheTimes):
    """Tests for a `CacheBackend`. Subclass it and say in `make_backend` how to make an empty one.

    A backend may drop values if it has no room. The suite puts a few values of plain data at a time, and expects that
    these are kept. Each test runs in an event loop of its own, and closes its backend at the end. If the test can reach
    the stored bytes, write `damage` too.
    """

    def test_entries_tell_of_a_tasks_values(self) -> None:
        """The entries of a task are its own, the last put first, with key, parts and times."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            parts = (KeyPart(PartKind.CODE, "", "c0de"), KeyPart(PartKind.ARGUMENT, "größe", "f00d"))
            first, second = key_for("first", "module.ä", *parts), key_for("second", "module.ä")
            await cache.put(first, 1, None)
            clock.now += 5
            await cache.put(second, 2, 60)
            await cache.put(key_for("third", "module.other"), 3, None)
            assert await cache.entries("module.ä") == [
                CacheEntry(second, 1005.0, 1065.0),
                CacheEntry(first, 1000.0, None),
            ]
            assert await cache.entries("module.nobody") == []

        self._run(check)

    def test_entries_are_as_many_as_asked_for(self) -> None:
        """`limit` bounds the entries; those put last are returned."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            for number in range(10):
                clock.now += 1
                await cache.put(key_for(str(number)), number, None)
            found = await cache.entries("module.task", limit=3)
            assert [entry.key.digest for entry in found] == ["9", "8", "7"]
            assert await cache.entries("module.task", limit=0) == []

        self._run(check)

    def test_a_key_has_one_entry(self) -> None:
        """A value that is put again has one entry, that of the last time, before those of other keys."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            for digest in ("key", "other", "key"):
                clock.now += 1
                await cache.put(key_for(digest), 1, None)
            found = await cache.entries("module.task")
            assert [(entry.key.digest, entry.stored_at) for entry in found] == [
                ("key", 1003.0),
                ("other", 1002.0),
            ]

        self._run(check)

    def test_an_entry_that_is_shown_after_its_time_says_so(self) -> None:
        """An entry whose time is over may be shown; its time says that it is over, and its value is no hit."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, 10)
            clock.now += 11
            assert await cache.get(key_for("key")) is None
            for entry in await cache.entries("module.task"):
                assert entry == CacheEntry(key_for("key"), 1000.0, 1010.0)

        self._run(check)

    def test_a_damaged_value_is_no_hit(self) -> None:
        """A value whose bytes were changed in the store is no hit, the next put repairs it, and others are hits."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), ["value"], 60)
            await cache.put(key_for("other"), ["other"], 60)
            if not await self.damage(cache, key_for("key")):
                return
            assert await cache.get(key_for("key")) is None
            assert await cache.get(key_for("other")) == Hit(["other"])
            await cache.put(key_for("key"), ["again"], 60)
            assert await cache.get(key_for("key")) == Hit(["again"])

        self._run(check)

    def test_closing_twice_is_no_error(self) -> None:
        """A backend that is closed can be closed again."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, None)
            await cache.close()
            await cache.close()

        self._run(check)

    def test_a_closed_backend_does_not_hang(self) -> None:
        """What is asked of a closed backend is answered, or refused by a `CascadeError`."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, None)
            await cache.close()
            async with asyncio.timeout(10):
                try:
                    assert await cache.get(key_for("key")) in (None, Hit(1))
                    await cache.put(key_for("key"), 2, None)
                    await cache.entries("module.task")
                except CascadeError:
                    pass

        self._run(check)

    def test_one_never_used_can_be_closed(self) -> None:
        """A backend that nothing was asked of can be closed."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            pass

        self._run(check)
