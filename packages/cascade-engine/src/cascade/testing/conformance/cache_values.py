"""The part of the suite of cache backends about values: what was put is there, whole, for its key alone."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import math
import uuid

from cascade.spec.protocols import CacheBackend, Hit, KeyPart, PartKind
from cascade.testing.conformance.cache_parts import CacheParts, Clock, key_for

VALUES: tuple[object, ...] = (
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
TEXTS = (
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


class CacheValues(CacheParts):
    """Values come back as they were put, however many calls use the cache at the same time."""

    def test_what_was_not_put_is_no_hit(self) -> None:
        """A key that nobody put gives `None`."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            assert await cache.get(key_for("key")) is None

        self._run(check)

    def test_values_are_hits(self) -> None:
        """What was put is a `Hit` with an equal value of the same type; falsy values are hits like any other."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            for number, value in enumerate(VALUES):
                await cache.put(key_for(f"key {number}"), value, None)
            for number, value in enumerate(VALUES):
                hit = await cache.get(key_for(f"key {number}"))
                assert isinstance(hit, Hit)
                assert hit.value == value
                assert type(hit.value) is type(value)

        self._run(check)

    def test_numbers_keep_what_equality_does_not_see(self) -> None:
        """NaN is a hit, and `-0.0` keeps its sign."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("nan"), math.nan, None)
            await cache.put(key_for("zero"), -0.0, None)
            nan, zero = await cache.get(key_for("nan")), await cache.get(key_for("zero"))
            assert nan is not None
            assert isinstance(nan.value, float)
            assert math.isnan(nan.value)
            assert zero is not None
            assert str(zero.value) == "-0.0"

        self._run(check)

    def test_big_values_are_kept_whole(self) -> None:
        """Megabytes of text and bytes, and long and deep lists come back as they were put."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            deep: list[object] = []
            for _ in range(50):
                deep = [deep]
            values = ["ä" * 1_000_000, bytes(range(256)) * 10_000, list(range(50_000)), deep]
            for number, value in enumerate(values):
                await cache.put(key_for(str(number)), value, None)
            for number, value in enumerate(values):
                assert await cache.get(key_for(str(number))) == Hit(value)

        self._run(check)

    def test_keys_are_told_apart(self) -> None:
        """Keys are equal only as whole texts: case, length, composition and any character count."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            for number, text in enumerate(TEXTS):
                await cache.put(key_for(text), number, None)
            assert [await cache.get(key_for(text)) for text in TEXTS] == [
                Hit(number) for number in range(len(TEXTS))
            ]

        self._run(check)

    def test_a_value_is_found_by_its_digest_alone(self) -> None:
        """Task and parts of a key tell what it was made of, and take no part in finding the value."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            await cache.put(key_for("digest", "module.one", KeyPart(PartKind.CODE, "", "1")), "value", None)
            assert await cache.get(key_for("digest", "module.two")) == Hit("value")

        self._run(check)

    def test_many_may_ask_at_the_same_time(self) -> None:
        """Gets and puts of many calls at once don't disturb each other."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            async def use(number: int) -> Hit | None:
                await cache.put(key_for(f"key {number}"), number, 60)
                return await cache.get(key_for(f"key {number}"))

            assert await asyncio.gather(*map(use, range(64))) == [Hit(number) for number in range(64)]

        self._run(check)

    def test_many_may_put_one_key_at_the_same_time(self) -> None:
        """When many put one key at once, one of their values is kept, whole."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            values = [[number] * 1000 for number in range(16)]
            await asyncio.gather(*(cache.put(key_for("key"), value, None) for value in values))
            hit = await cache.get(key_for("key"))
            assert hit is not None
            assert hit.value in values

        self._run(check)

    def test_a_cancelled_put_does_no_harm(self) -> None:
        """After a put that was cancelled, the key has its value or none, and others go on."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            putting = asyncio.ensure_future(cache.put(key_for("cancelled"), 1, None))
            await asyncio.sleep(0)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
            await cache.put(key_for("key"), 2, None)
            assert await cache.get(key_for("cancelled")) in (None, Hit(1))
            assert await cache.get(key_for("key")) == Hit(2)

        self._run(check)

    def test_what_needs_no_waiting_does_the_same(self) -> None:
        """With `look` and `keep`, where a cache has them: what one way puts the other one finds, until it expires."""

        async def check(cache: CacheBackend, clock: Clock) -> None:
            look, keep = getattr(cache, "look", None), getattr(cache, "keep", None)
            if look is None:
                return
            assert look(key_for("key")) is None
            for number, value in enumerate(VALUES):
                await cache.put(key_for(f"put {number}"), value, None)
                if keep is not None:
                    keep(key_for(f"kept {number}"), value, None)
            for number, value in enumerate(VALUES):
                for name in ("put", "kept") if keep is not None else ("put",):
                    found = look(key_for(f"{name} {number}"))
                    assert found == await cache.get(key_for(f"{name} {number}")) == Hit(value)
                    assert type(found.value) is type(value)
            if keep is not None:
                keep(key_for("short"), 1, 10)
                assert look(key_for("short")) == Hit(1)
                clock.now += 10
                assert look(key_for("short")) is None is await cache.get(key_for("short"))

        self._run(check)
