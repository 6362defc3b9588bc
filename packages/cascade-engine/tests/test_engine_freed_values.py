"""Claims about values during a run: one that nothing needs any more is freed, and not kept until the run ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Engine, Event, MessageBus

ALIVE: weakref.WeakSet[Any] = weakref.WeakSet()
MOST = [0]


class Big:
    """A value that is counted while it lives."""

    def __init__(self) -> None:
        ALIVE.add(self)
        MOST[0] = max(MOST[0], len(ALIVE))


@cs.task
def load(*given: Any) -> Any:
    return Big()


@cs.task
def change(value: Any) -> Any:
    assert isinstance(value, Big)
    return Big()


@cs.task
async def load_later(number: int) -> Any:
    for _ in range(3 * number):
        await asyncio.sleep(0)
    return Big()


@cs.task
async def change_later(value: Any) -> Any:
    assert isinstance(value, Big)
    await asyncio.sleep(0)
    return Big()


@cs.task
def reduce(value: Any) -> int:
    assert isinstance(value, Big)
    return 1


@cs.task
def total(*values: int) -> int:
    return sum(values)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Nothing is freed but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def most_alive(build: Any, heard: bool, wanted: object) -> list[int]:
    """Run targets of one structure, new and known; return how many values lived at the same time in each run."""
    bus = MessageBus()
    if heard:
        bus.subscribe(Event, lambda event: None)

    async def main() -> list[int]:
        counts = []
        async with Engine(bus=bus) as engine:
            for _ in range(5):
                MOST[0] = 0
                assert await engine.run(build()) == wanted
                assert not ALIVE
                counts.append(MOST[0])
        return counts

    return asyncio.run(main())


def chain(length: int, change: Any) -> Any:
    lazy = load()
    for _ in range(length):
        lazy = change(lazy)
    return reduce(lazy)


heard = pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])


@heard
@pytest.mark.parametrize("length", [20, 60])
def test_a_pipeline_holds_a_handful_of_values(length: int, heard: bool) -> None:
    """Each step of a chain needs the value of the one before, and no other is kept."""
    assert max(most_alive(lambda: chain(length, change), heard, 1)) <= 4


def test_a_long_pipeline_holds_few_values() -> None:
    """A long chain of short calls looks back from time to time."""
    assert max(most_alive(lambda: chain(2000, change), False, 1)) <= 2 * 128


def test_coroutines_hold_a_handful_of_values() -> None:
    """In a tree with coroutines a value is freed when the last call that takes it has ended."""
    assert max(most_alive(lambda: chain(50, change_later), False, 1)) <= 4
    pairs = most_alive(lambda: total(*[reduce(load_later(n)) for n in range(50)]), False, 50)
    assert max(pairs) <= 10


@heard
def test_a_shared_value_lives_as_long_as_somebody_needs_it(heard: bool) -> None:
    """A value that several calls take is there for the last of them, also if it is taken twice by one."""

    @cs.task
    def same(*values: Any) -> bool:
        return len(values) == 3 and all(isinstance(each, Big) for each in values)

    def build() -> Any:
        first = load()
        return same(first, change(first), first)

    assert max(most_alive(build, heard, True)) == 2


@heard
def test_a_failure_behind_freed_values_is_a_failure_as_any_other(heard: bool) -> None:
    """A call that fails late in a chain is retried with its own input, and the others are not made again."""
    tries: list[int] = []

    @cs.task
    def flaky(value: Any) -> Any:
        tries.append(1)
        assert isinstance(value, Big)
        if len(tries) % 3:
            raise ValueError("again")
        return value

    def build() -> Any:
        return reduce(change(flaky(change(change(load()))).with_retry(2)))

    assert most_alive(build, heard, 1)
    assert len(tries) == 15

    @cs.task
    def grow(value: Any) -> Any:
        assert isinstance(value, Big)
        return change(load())

    assert most_alive(lambda: reduce(grow(change(change(load())))), heard, 1)
