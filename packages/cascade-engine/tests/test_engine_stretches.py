"""Calls of plain trees that need more than their arguments: resources, slots, amounts, a second attempt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from itertools import pairwise
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Engine, MessageBus, TaskExecutionFinished, TaskExecutionStarted, TaskRetrying

MANY = 200


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task
def same(value: int) -> int:
    return value


async def steps_of(engine: Engine, target: object) -> tuple[object, int]:
    """Run a target; return its value, and how many asyncio tasks were made for it."""
    loop = asyncio.get_running_loop()
    made: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **settings: Any) -> Any:
        made.append(work)
        return asyncio.Task(work, loop=loop, **settings)

    loop.set_task_factory(factory)
    try:
        return await engine.run(target), len(made)
    finally:
        loop.set_task_factory(None)


async def test_a_resource_is_opened_once_while_all_calls_wait() -> None:
    """However many calls take a resource of the run, one asyncio task opens it for all of them, and it is kept open."""
    opened: list[str] = []

    @cs.resource
    async def number() -> AsyncIterator[int]:
        opened.append("opened")
        await asyncio.sleep(0)
        yield 1
        opened.append("released")

    @cs.task
    def plus(value: int, more: int = cs.inject("number")) -> int:
        return value + more

    async with Engine() as engine:
        engine.register(number)
        value, tasks = await steps_of(engine, total([plus(each) for each in range(MANY)]))
    assert value == sum(range(MANY)) + MANY
    assert opened == ["opened", "released"]
    assert tasks <= 4  # the run's own, the one that keeps resources, the one that waits for it


async def test_a_resource_that_fails_to_open_is_a_failed_attempt() -> None:
    """What a provider raises is the first attempt of the first call that wants it; the next one may succeed."""
    tried: list[int] = []
    bus = MessageBus()
    retries: list[TaskRetrying] = []
    bus.subscribe(TaskRetrying, retries.append)

    @cs.resource
    def number() -> Iterator[int]:
        tried.append(1)
        if len(tried) == 1:
            raise ConnectionError("not yet")
        yield 1

    @cs.task(retry=2)
    def plus(value: int, more: int = cs.inject("number")) -> int:
        return value + more

    async with Engine(bus=bus) as engine:
        engine.register(number)
        assert await engine.run(total([plus(each) for each in range(MANY)])) == sum(range(MANY)) + MANY
    assert (len(tried), len(retries)) == (2, 1)


async def test_a_call_beside_those_that_wait_for_a_resource_is_made() -> None:
    """A provider may wait for a call that does not take it: that one is not held up."""
    reached = asyncio.Event()

    @cs.resource
    async def number() -> AsyncIterator[int]:
        await reached.wait()
        yield 1

    @cs.task
    def plus(value: int, more: int = cs.inject("number")) -> int:
        return value + more

    @cs.task
    def reach() -> int:
        reached.set()
        return 0

    async with Engine() as engine:
        engine.register(number)
        target = total([*(plus(each) for each in range(MANY)), reach()])
        assert await asyncio.wait_for(engine.run(target), 10) == sum(range(MANY)) + MANY


@pytest.mark.parametrize("is_by_keyword", [False, True])
@pytest.mark.parametrize("takes_resource", [False, True])
async def test_each_call_is_told_of_however_it_takes_its_arguments(
    is_by_keyword: bool, takes_resource: bool
) -> None:
    """Whoever watches hears of each call and of its end, also of those that take a resource or keywords."""

    @cs.resource
    def number() -> Iterator[int]:
        yield 1

    @cs.task
    def plus(value: int, more: int) -> int:
        return value + more

    def one() -> cs.LazyResult[int]:
        return cs.inject("number") if takes_resource else same(1)

    def target() -> Any:
        values = [same(each) for each in range(MANY)]
        return total([plus(each, more=one()) if is_by_keyword else plus(each, one()) for each in values])

    told: Counter[tuple[type, str]] = Counter()
    bus, timeline = MessageBus(), cs.Timeline()
    for kind in (TaskExecutionStarted, TaskExecutionFinished):
        bus.subscribe(kind, lambda event: told.update([(type(event), event.task_name)]))
    async with Engine(bus=bus, timeline=timeline) as engine:
        engine.register(number)
        for _ in range(3):
            told.clear()
            assert await engine.run(target()) == sum(range(MANY)) + MANY
            assert told[TaskExecutionStarted, "plus"] == told[TaskExecutionFinished, "plus"] == MANY
            calls = [call for call in timeline.runs[-1].calls() if call.task == "plus"]
            assert len(calls) == MANY
            assert all(before.ended <= after.ended for before, after in pairwise(calls))


async def test_only_the_call_that_fails_is_made_again() -> None:
    """A retry concerns its own call; all others are made once."""
    made: Counter[int] = Counter()

    @cs.task
    def shaky(value: int) -> int:
        made[value] += 1
        if value == 7 and made[value] < 3:
            raise ValueError("not yet")
        return value

    async with Engine() as engine:
        for _ in range(4):
            made.clear()
            target = total([shaky(each).with_retry(2) for each in range(MANY)])
            assert await engine.run(target) == sum(range(MANY))
            assert made == Counter({**dict.fromkeys(range(MANY), 1), 7: 3})


@pytest.mark.parametrize("policies", [{"max_concurrency": 1}, {"system_resources": {"gpu": 1}}])
async def test_plain_calls_wait_for_what_others_hold(policies: Any) -> None:
    """While another run holds the only slot or all of an amount, no call of a plain tree is made; then all are."""
    let_go = asyncio.Event()
    holds = asyncio.Event()
    made: list[int] = []

    def limited(lazy: cs.LazyResult[Any]) -> cs.LazyResult[Any]:
        return lazy.with_constraints(gpu=1) if "system_resources" in policies else lazy

    @cs.task
    def hold() -> Awaitable[int]:
        async def wait() -> int:
            holds.set()
            await let_go.wait()
            return 1

        return wait()

    @cs.task
    def note(value: int) -> int:
        made.append(value)
        return value

    async with Engine(**policies) as engine:
        holding = asyncio.create_task(engine.run(limited(hold())))
        await holds.wait()
        waiting = asyncio.create_task(engine.run(total([limited(note(each)) for each in range(MANY)])))
        for _ in range(20):
            await asyncio.sleep(0)
        assert made == []
        let_go.set()
        assert await waiting == sum(range(MANY))
        assert await holding == 1


async def test_a_run_that_is_cancelled_while_its_calls_wait_leaves_nothing() -> None:
    """A run that waits for a slot may be cancelled; the slot then goes to whoever comes next."""
    let_go = asyncio.Event()

    @cs.task
    async def hold() -> int:
        await let_go.wait()
        return 1

    async with Engine(max_concurrency=1) as engine:
        holding = asyncio.create_task(engine.run(hold()))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(engine.run(total([same(each) for each in range(MANY)])))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        let_go.set()
        assert await holding == 1
        assert await engine.run(total([same(1), same(2)])) == 3
