"""The conformance suite of cache backends: values by key, for their time."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import math
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from cascade.spec.errors import CascadeError
from cascade.spec.protocols import CacheBackend, CacheEntry, CacheKey, Hit, KeyPart, PartKind

_VALUES: tuple[object, ...] = (
    *(
        None,
        False,
        True,
        0,
        1,
        -1,
        2**63,
        2**64,
        -(2**200),
        0.0,
        1.5,
        math.inf,
        "",
        "text",
        "ä\x00\U0001f600",
    ),
    *(b"", b"\x00\xff", [], (), {}, set(), frozenset(), [None], (1, "1"), {"k": [1, (2, 3)]}, {1: 2, "1": 3}),
    *({1, 2}, frozenset({"a"}), datetime.date(2026, 2, 28), datetime.timedelta(microseconds=1)),
    datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC),
    decimal.Decimal("1.00"),
    uuid.UUID(int=7),
)
_TEXTS = (
    "a",
    "A",
    "aa",
    "a ",
    " a",
    "a/b",
    "a:b",
    "a\x00b",
    "ä",
    "a\u0308",
    "\U0001f600",
    "",
    "*",
    "a" * 5000,
)


class _Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _key(digest: str, task: str = "module.task", *parts: KeyPart) -> CacheKey:
    return CacheKey(digest, task, parts)


class CacheBackendConformance:
    """Tests for a `CacheBackend`. Subclass it and say in `make_backend` how to make an empty one.

    A backend may forget what it likes for want of room; the suite puts a handful of values of plain data, and expects
    these to be kept. Each test runs in an event loop of its own and closes its backend at the end. For a store whose
    bytes can be reached, write `damage` too.
    """

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        """Return an empty backend that takes the time, in seconds, from `clock`."""
        raise NotImplementedError("say in make_backend how to make a backend")

    async def damage(self, cache: CacheBackend, key: CacheKey) -> bool:
        """Change the stored bytes of a value in one place; return `False` where there are none to change."""
        return False

    def test_what_was_not_put_is_no_hit(self) -> None:
        """A key that nobody put gives `None`."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            assert await cache.get(_key("key")) is None

        self._run(check)

    def test_values_are_hits(self) -> None:
        """What was put is a `Hit` with an equal value of the same type; falsy values are hits like any other."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            for number, value in enumerate(_VALUES):
                await cache.put(_key(f"key {number}"), value, None)
            for number, value in enumerate(_VALUES):
                hit = await cache.get(_key(f"key {number}"))
                assert isinstance(hit, Hit)
                assert hit.value == value
                assert type(hit.value) is type(value)

        self._run(check)

    def test_numbers_keep_what_equality_does_not_see(self) -> None:
        """NaN is a hit, and `-0.0` keeps its sign."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("nan"), math.nan, None)
            await cache.put(_key("zero"), -0.0, None)
            nan, zero = await cache.get(_key("nan")), await cache.get(_key("zero"))
            assert nan is not None
            assert isinstance(nan.value, float)
            assert math.isnan(nan.value)
            assert zero is not None
            assert str(zero.value) == "-0.0"

        self._run(check)

    def test_big_values_are_kept_whole(self) -> None:
        """Megabytes of text and bytes, and long and deep lists come back as they were put."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            deep: list[Any] = []
            for _ in range(50):
                deep = [deep]
            values = ["ä" * 1_000_000, bytes(range(256)) * 10_000, list(range(50_000)), deep]
            for number, value in enumerate(values):
                await cache.put(_key(str(number)), value, None)
            for number, value in enumerate(values):
                assert await cache.get(_key(str(number))) == Hit(value)

        self._run(check)

    def test_keys_are_told_apart(self) -> None:
        """Keys are equal only as whole texts: case, length, composition and any character count."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            for number, text in enumerate(_TEXTS):
                await cache.put(_key(text), number, None)
            assert [await cache.get(_key(text)) for text in _TEXTS] == [
                Hit(number) for number in range(len(_TEXTS))
            ]

        self._run(check)

    def test_a_value_is_found_by_its_digest_alone(self) -> None:
        """Task and parts of a key tell what it was made of, and take no part in finding the value."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("digest", "module.one", KeyPart(PartKind.CODE, "", "1")), "value", None)
            assert await cache.get(_key("digest", "module.two")) == Hit("value")

        self._run(check)

    def test_a_later_value_replaces_an_earlier_one(self) -> None:
        """A key has one value, the last one put, with its own time to live."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), "first", None)
            await cache.put(_key("key"), "second", 10)
            assert await cache.get(_key("key")) == Hit("second")
            clock.now += 10
            assert await cache.get(_key("key")) is None
            await cache.put(_key("key"), "third", 10)
            await cache.put(_key("key"), "fourth", None)
            clock.now += 1000
            assert await cache.get(_key("key")) == Hit("fourth")

        self._run(check)

    def test_a_value_holds_for_its_time(self) -> None:
        """A value is a hit for less than `ttl` seconds after it was put, and never from then on."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("short"), 1, 0.5)
            await cache.put(_key("long"), 2, 60)
            clock.now += 0.25
            assert await cache.get(_key("short")) == Hit(1)
            clock.now += 0.25
            assert await cache.get(_key("short")) is None
            clock.now += 59.25
            assert await cache.get(_key("long")) == Hit(2)
            clock.now += 0.25
            assert await cache.get(_key("long")) is None

        self._run(check)

    def test_asking_does_not_prolong(self) -> None:
        """The time of a value counts from when it was put, and not from when it was asked for."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, 10)
            for _ in range(9):
                clock.now += 1
                assert await cache.get(_key("key")) == Hit(1)
            clock.now += 1
            assert await cache.get(_key("key")) is None

        self._run(check)

    def test_a_hit_tells_its_age(self) -> None:
        """The age of a hit is the seconds since it was put; so who takes it for a shorter time can tell."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, None)
            await cache.put(_key("other"), 1, 100)
            clock.now += 8
            for key in ("key", "other"):
                hit = await cache.get(_key(key))
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

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, 10)
            await cache.put(_key("ever"), 2, None)
            for back in (1, 100, 899):
                clock.now -= back
                assert await cache.get(_key("key")) is None
                assert await cache.get(_key("ever")) == Hit(2)
            clock.now += 1001
            assert await cache.get(_key("key")) == Hit(1)
            clock.now += 9
            assert await cache.get(_key("key")) is None

        self._run(check)

    def test_putting_again_prolongs(self) -> None:
        """A value that is put again holds for its time from then on."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, 10)
            clock.now += 9
            await cache.put(_key("key"), 1, 10)
            clock.now += 9
            assert await cache.get(_key("key")) == Hit(1)

        self._run(check)

    def test_without_a_time_a_value_does_not_age(self) -> None:
        """A value put with `ttl=None` is a hit after years."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, None)
            clock.now += 1e9
            assert await cache.get(_key("key")) == Hit(1)

        self._run(check)

    def test_many_may_ask_at_the_same_time(self) -> None:
        """Gets and puts of many calls at once don't disturb each other."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            async def use(number: int) -> Hit | None:
                await cache.put(_key(f"key {number}"), number, 60)
                return await cache.get(_key(f"key {number}"))

            assert await asyncio.gather(*map(use, range(64))) == [Hit(number) for number in range(64)]

        self._run(check)

    def test_many_may_put_one_key_at_the_same_time(self) -> None:
        """When many put one key at once, one of their values is kept, whole."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            values = [[number] * 1000 for number in range(16)]
            await asyncio.gather(*(cache.put(_key("key"), value, None) for value in values))
            hit = await cache.get(_key("key"))
            assert hit is not None
            assert hit.value in values

        self._run(check)

    def test_a_cancelled_put_does_no_harm(self) -> None:
        """After a put that was cancelled, the key has its value or none, and others go on."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            putting = asyncio.ensure_future(cache.put(_key("cancelled"), 1, None))
            await asyncio.sleep(0)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
            await cache.put(_key("key"), 2, None)
            assert await cache.get(_key("cancelled")) in (None, Hit(1))
            assert await cache.get(_key("key")) == Hit(2)

        self._run(check)

    def test_entries_tell_of_a_tasks_values(self) -> None:
        """The entries of a task are its own, the last put first, with key, parts and times."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            parts = (KeyPart(PartKind.CODE, "", "c0de"), KeyPart(PartKind.ARGUMENT, "größe", "f00d"))
            first, second = _key("first", "module.ä", *parts), _key("second", "module.ä")
            await cache.put(first, 1, None)
            clock.now += 5
            await cache.put(second, 2, 60)
            await cache.put(_key("third", "module.other"), 3, None)
            assert await cache.entries("module.ä") == [
                CacheEntry(second, 1005.0, 1065.0),
                CacheEntry(first, 1000.0, None),
            ]
            assert await cache.entries("module.nobody") == []

        self._run(check)

    def test_entries_are_as_many_as_asked_for(self) -> None:
        """`limit` bounds the entries; those put last are told."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            for number in range(10):
                clock.now += 1
                await cache.put(_key(str(number)), number, None)
            told = await cache.entries("module.task", limit=3)
            assert [entry.key.digest for entry in told] == ["9", "8", "7"]
            assert await cache.entries("module.task", limit=0) == []

        self._run(check)

    def test_a_key_has_one_entry(self) -> None:
        """A value that is put again has one entry, that of the last time, before those of other keys."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            for digest in ("key", "other", "key"):
                clock.now += 1
                await cache.put(_key(digest), 1, None)
            told = await cache.entries("module.task")
            assert [(entry.key.digest, entry.stored_at) for entry in told] == [
                ("key", 1003.0),
                ("other", 1002.0),
            ]

        self._run(check)

    def test_an_entry_that_is_shown_after_its_time_says_so(self) -> None:
        """An entry whose time is over may be shown; its time says that it is over, and its value is no hit."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, 10)
            clock.now += 11
            assert await cache.get(_key("key")) is None
            for entry in await cache.entries("module.task"):
                assert entry == CacheEntry(_key("key"), 1000.0, 1010.0)

        self._run(check)

    def test_a_damaged_value_is_no_hit(self) -> None:
        """A value whose bytes were changed in the store is no hit, the next put repairs it, and others are hits."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), ["value"], 60)
            await cache.put(_key("other"), ["other"], 60)
            if not await self.damage(cache, _key("key")):
                return
            assert await cache.get(_key("key")) is None
            assert await cache.get(_key("other")) == Hit(["other"])
            await cache.put(_key("key"), ["again"], 60)
            assert await cache.get(_key("key")) == Hit(["again"])

        self._run(check)

    def test_closing_twice_is_no_error(self) -> None:
        """A backend that is closed can be closed again."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, None)
            await cache.close()
            await cache.close()

        self._run(check)

    def test_a_closed_backend_does_not_hang(self) -> None:
        """What is asked of a closed backend is answered, or refused by a `CascadeError`."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            await cache.put(_key("key"), 1, None)
            await cache.close()
            async with asyncio.timeout(10):
                try:
                    assert await cache.get(_key("key")) in (None, Hit(1))
                    await cache.put(_key("key"), 2, None)
                    await cache.entries("module.task")
                except CascadeError:
                    pass

        self._run(check)

    def test_one_never_used_can_be_closed(self) -> None:
        """A backend that nothing was asked of can be closed."""

        async def check(cache: CacheBackend, clock: _Clock) -> None:
            pass

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
