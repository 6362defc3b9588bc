"""The conformance suite of cache backends: values by key, for their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from cascade.spec.protocols import CacheBackend, Hit

_VALUES: tuple[object, ...] = ("text", 1, 0, False, None, "", [], {"k": [1, (2, 3)]})


class _Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CacheBackendConformance:
    """Tests for a `CacheBackend`. Subclass it and say in `make_backend` how to make an empty one.

    A backend may forget what it likes for want of room; the suite puts a handful of small values of plain data, and
    expects these to be kept. Each test runs in an event loop of its own and closes its backend at the end.
    """

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        """Return an empty backend that takes the time, in seconds, from `clock`."""
        raise NotImplementedError("say in make_backend how to make a backend")

    def test_what_was_not_put_is_no_hit(self) -> None:
        """A key that nobody put gives `None`."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            assert await cache.get("key") is None

        self._run(check)

    def test_values_are_hits(self) -> None:
        """What was put is a `Hit` with an equal value; `None` and other falsy values are hits like any other."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            for number, value in enumerate(_VALUES):
                await cache.put(f"key {number}", value, None)
            for number, value in enumerate(_VALUES):
                hit = await cache.get(f"key {number}")
                assert isinstance(hit, Hit)
                assert hit.value == value
                assert type(hit.value) is type(value)

        self._run(check)

    def test_keys_are_told_apart(self) -> None:
        """Keys are equal only as whole texts: case, length and any character count."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            keys = ["a", "A", "aa", "a ", " a", "a/b", "a:b", "a\x00b", "ä", ""]
            for number, key in enumerate(keys):
                await cache.put(key, number, None)
            assert [await cache.get(key) for key in keys] == [Hit(number) for number in range(len(keys))]

        self._run(check)

    def test_a_later_value_replaces_an_earlier_one(self) -> None:
        """A key has one value, the last one put, with its own time to live."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put("key", "first", None)
            await cache.put("key", "second", 10)
            assert await cache.get("key") == Hit("second")
            clock.now += 10
            assert await cache.get("key") is None

        self._run(check)

    def test_a_value_holds_for_its_time(self) -> None:
        """A value is a hit for less than `ttl` seconds after it was put, and never from then on."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put("short", 1, 0.5)
            await cache.put("long", 2, 60)
            clock.now += 0.25
            assert await cache.get("short") == Hit(1)
            clock.now += 0.25
            assert await cache.get("short") is None
            clock.now += 59.25
            assert await cache.get("long") == Hit(2)
            clock.now += 0.25
            assert await cache.get("long") is None

        self._run(check)

    def test_asking_does_not_prolong(self) -> None:
        """The time of a value counts from when it was put, and not from when it was asked for."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put("key", 1, 10)
            for _ in range(9):
                clock.now += 1
                assert await cache.get("key") == Hit(1)
            clock.now += 1
            assert await cache.get("key") is None

        self._run(check)

    def test_putting_again_prolongs(self) -> None:
        """A value that is put again holds for its time from then on."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put("key", 1, 10)
            clock.now += 9
            await cache.put("key", 1, 10)
            clock.now += 9
            assert await cache.get("key") == Hit(1)

        self._run(check)

    def test_without_a_time_a_value_does_not_age(self) -> None:
        """A value put with `ttl=None` is a hit after years."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put("key", 1, None)
            clock.now += 1e9
            assert await cache.get("key") == Hit(1)

        self._run(check)

    def test_many_may_ask_at_the_same_time(self) -> None:
        """Gets and puts of many calls at once don't disturb each other."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            async def use(number: int) -> Hit | None:
                await cache.put(f"key {number}", number, 60)
                return await cache.get(f"key {number}")

            assert await asyncio.gather(*map(use, range(20))) == [Hit(number) for number in range(20)]

        self._run(check)

    def _run(self, check: Callable[[CacheBackend, _Clock], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            clock = _Clock()
            cache = self.make_backend(clock)
            try:
                await check(cache, clock)
            finally:
                await cache.close()

        asyncio.run(main())
