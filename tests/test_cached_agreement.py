"""Claims about calls with a cache: one that answers at once, one that makes calls wait, and none give the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.codec import DataCodec
from cascade.runtime.bus import MessageBus
from cascade.runtime.events import TaskExecutionFinished
from cascade.spec import CacheKey, Hit

MADE: Counter[tuple[str, object]] = Counter()


class Waiting(InMemoryCacheBackend):
    """A cache that always makes its callers wait: a subclass is not asked for what it inherits."""

    async def get(self, key: CacheKey) -> Hit | None:
        await asyncio.sleep(0)
        return await super().get(key)

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        await asyncio.sleep(0)
        await super().put(key, value, ttl)


class OddError(Exception):
    """What a call raises."""


@cs.task
def doubled(x: Any) -> Any:
    MADE["doubled", repr(x)] += 1
    return [x, x]


@cs.task
def loose(x: Any) -> Any:
    MADE["loose", repr(x)] += 1
    return doubled(x).with_cache(cs.ByInputs()) if len(repr(x)) % 2 else x


@cs.task
async def slow(x: Any) -> Any:
    MADE["slow", repr(x)] += 1
    await asyncio.sleep(0)
    return (x,)


@cs.task
def late(x: Any) -> Any:
    """Return what is to be awaited, from a plain function."""
    MADE["late", repr(x)] += 1

    async def give() -> Any:
        return x

    return give()


@cs.task
def gathered(*parts: Any) -> Any:
    return list(parts)


TASKS = [doubled, loose, slow, late]


def tree(seed: int, size: int, policy: Callable[[], cs.ByInputs] | None) -> Any:
    """Return a random tree of calls of these tasks, many of them with equal arguments."""
    chance = random.Random(seed)
    known: list[Any] = [0, 1, "a", None, [1, 2]]
    for _ in range(size):
        task = chance.choice(TASKS)
        if chance.random() < 0.25:
            items = [chance.choice(known) for _ in range(chance.randrange(5))]
            call: Any = cs.map(task, [each for each in items if not isinstance(each, cs.LazyResult)])
        else:
            call = task(chance.choice(known[-6:]))
        is_cached = chance.random() < 0.8
        if policy is not None and is_cached:
            call = call.with_cache(policy())
        known.append(call)
    return gathered(*(each for each in known if isinstance(each, cs.LazyResult)))


def outcome(target: Any, engine: cs.Engine) -> tuple[object, Counter[tuple[str, object]]]:
    """Run a target twice on one engine; return both values, and the calls that were made."""
    MADE.clear()

    async def both() -> tuple[object, object]:
        return await engine.run(target), await engine.run(target)

    return asyncio.run(both()), Counter(MADE)


@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans())
def test_a_cache_changes_no_value_and_makes_equal_calls_once(seed: int, size: int, codec: bool) -> None:
    """Whatever the cache, both runs give what they give without; caches of all kinds make the same calls."""
    bare, _ = outcome(tree(seed, size, None), cs.Engine())
    used = DataCodec() if codec else None
    at_once, made = outcome(
        tree(seed, size, cs.ByInputs), cs.Engine(cache_backend=InMemoryCacheBackend(codec=used))
    )
    waiting, made_waiting = outcome(
        tree(seed, size, cs.ByInputs), cs.Engine(cache_backend=Waiting(codec=used))
    )
    assert at_once == waiting == bare
    assert made == made_waiting


@given(st.lists(st.integers(0, 3), max_size=8), st.booleans(), st.booleans())
def test_a_failed_call_leaves_nothing_in_the_cache(items: list[int], mapped: bool, listened: bool) -> None:
    """A call that raises is no value: it is made again, and its key is free for the next one."""
    failing = True
    made: list[int] = []

    @cs.task(cache=cs.ByInputs(), version="1")
    def odd(x: int) -> int:
        made.append(x)
        if failing and x == 3:
            raise OddError
        return x

    async def main() -> None:
        nonlocal failing
        bus = MessageBus()
        if listened:
            bus.subscribe(TaskExecutionFinished, lambda event: None)
        engine = cs.Engine(cache_backend=InMemoryCacheBackend(), bus=bus)

        def target() -> Any:
            return cs.map(odd, items) if mapped else gathered(*map(odd, items))

        failing = True
        if 3 in items:
            with pytest.raises(OddError):
                await engine.run(target())
        failing = False
        assert await engine.run(target()) == items
        counts = Counter(made)
        assert all(counts[each] == 1 for each in set(items) - {3})
        assert counts[3] == (2 if 3 in items else 0)
        before = len(made)
        assert await engine.run(target()) == items
        assert len(made) == before

    asyncio.run(main())
