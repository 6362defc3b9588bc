"""The part of the suite of cache backends about time: when values expire."""

from __future__ import annotations

from cascade.spec.protocols import CacheBackend, Hit
from cascade.testing.conformance.cache_parts import CacheParts, Clock, key_for


class CacheTimes(CacheParts):
    """A value is valid for its time to live, from when it was put, by the clock of the test."""

    def test_a_later_value_replaces_an_earlier_one(self) -> None:
        """A key has one value, the last one put, with its own time to live."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), "first", None)
            await cache.put(key_for("key"), "second", 10)
            assert await cache.get(key_for("key")) == Hit("second")
            clock.now += 10
            assert await cache.get(key_for("key")) is None
            await cache.put(key_for("key"), "third", 10)
            await cache.put(key_for("key"), "fourth", None)
            clock.now += 1000
            assert await cache.get(key_for("key")) == Hit("fourth")

        self._run(check)

    def test_a_value_holds_for_its_time(self) -> None:
        """A value is a hit for less than `ttl` seconds after it was put, and never from then on."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("short"), 1, 0.5)
            await cache.put(key_for("long"), 2, 60)
            clock.now += 0.25
            assert await cache.get(key_for("short")) == Hit(1)
            clock.now += 0.25
            assert await cache.get(key_for("short")) is None
            clock.now += 59.25
            assert await cache.get(key_for("long")) == Hit(2)
            clock.now += 0.25
            assert await cache.get(key_for("long")) is None

        self._run(check)

    def test_asking_does_not_prolong(self) -> None:
        """The time of a value counts from when it was put, and not from when it was asked for."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, 10)
            for _ in range(9):
                clock.now += 1
                assert await cache.get(key_for("key")) == Hit(1)
            clock.now += 1
            assert await cache.get(key_for("key")) is None

        self._run(check)

    def test_a_hit_tells_its_age(self) -> None:
        """The age of a hit is the seconds since it was put; so who takes it for a shorter time can tell."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, None)
            await cache.put(key_for("other"), 1, 100)
            clock.now += 8
            for key in ("key", "other"):
                hit = await cache.get(key_for(key))
                assert hit is not None
                assert hit.age == 8
                assert (hit.is_good_for(None), hit.is_good_for(8), hit.is_good_for(8.5)) == (
                    True,
                    False,
                    True,
                )

        self._run(check)

    def test_a_value_of_the_future_does_not_hold(self) -> None:
        """When the clock is set back, a value with a time to live is no hit until it is reached; one without is."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, 10)
            await cache.put(key_for("ever"), 2, None)
            for back in (1, 100, 899):
                clock.now -= back
                assert await cache.get(key_for("key")) is None
                assert await cache.get(key_for("ever")) == Hit(2)
            clock.now += 1001
            assert await cache.get(key_for("key")) == Hit(1)
            clock.now += 9
            assert await cache.get(key_for("key")) is None

        self._run(check)

    def test_putting_again_prolongs(self) -> None:
        """A value that is put again holds for its time from then on."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, 10)
            clock.now += 9
            await cache.put(key_for("key"), 1, 10)
            clock.now += 9
            assert await cache.get(key_for("key")) == Hit(1)

        self._run(check)

    def test_without_a_time_a_value_does_not_age(self) -> None:
        """A value put with `ttl=None` is a hit after years."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("key"), 1, None)
            clock.now += 1e9
            assert await cache.get(key_for("key")) == Hit(1)

        self._run(check)
