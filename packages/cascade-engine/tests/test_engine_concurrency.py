"""Claims about `max_concurrency`: it bounds calls across runs, and never ties a knot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.loops import now

import cascade as cs
from cascade.runtime import Engine
from cascade.spec import PolicyError

pytestmark = pytest.mark.virtual_time


class Gauge:
    """Tasks that take a second, and how many of them ran at one time."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0

    def work(self, *values: object) -> cs.LazyResult[int]:
        made: cs.LazyResult[int] = self._work(*values)
        return made

    @cs.task
    async def _work(self, *values: object) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(1)
        self.running -= 1
        return 1


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


@cs.task
def add(*values: int) -> int:
    return sum(values)


async def test_it_bounds_the_calls_of_a_run(gauge: Gauge) -> None:
    """At most so many calls run at one time."""
    async with Engine(max_concurrency=3) as engine:
        await engine.run([gauge.work() for _ in range(9)])
    assert gauge.most == 3
    assert now() == 3.0


async def test_it_bounds_the_calls_of_all_runs_together(gauge: Gauge) -> None:
    """Runs of one engine share the bound."""
    async with Engine(max_concurrency=3) as engine:
        await asyncio.gather(*(engine.run([gauge.work() for _ in range(3)]) for _ in range(4)))
    assert gauge.most == 3
    assert now() == 4.0


async def test_without_it_nothing_is_bound(gauge: Gauge) -> None:
    """By default all that is ready runs."""
    await cs.arun([gauge.work() for _ in range(100)])
    assert gauge.most == 100


async def test_it_bounds_the_items_of_maps(gauge: Gauge) -> None:
    """Items count like other calls, and the map itself takes no slot."""
    async with Engine(max_concurrency=2) as engine:
        await engine.run(cs.map(gauge.work, range(6)))
    assert gauge.most == 2


async def test_one_slot_is_enough_for_any_graph(gauge: Gauge) -> None:
    """With one slot everything runs: chains, diamonds, maps in maps, tail calls, conditions, constraints, caches."""
    below = gauge.work()

    @cs.task
    def loop(left: int) -> int | cs.LazyResult[int]:
        return loop(left - 1) if left else 1

    target = add(
        add(below, below),
        gauge.work(below).run_if(below),
        loop(20),
        add.partial(1)
        .map(cs.map(lambda x: cs.map(gauge.work, [x, x]), [1, 2]).run_if(add(0), otherwise=[1]))
        .after(below)
        .run_if(add(0), otherwise=1),
        gauge.work().with_constraints(gpu=add(1)).with_cache(cs.ByInputs()),
        gauge.work(1).with_retry().with_timeout(5),
    )

    async with Engine(max_concurrency=1, system_resources={"gpu": 1}) as engine:
        value = await asyncio.gather(engine.run(target), engine.run(target))
    assert list(value) == [7, 7]
    assert gauge.most == 1


async def test_a_run_inside_a_task_does_not_wait_for_its_own_slot(gauge: Gauge) -> None:
    """A run inside a task uses the slot of that task, at any depth."""
    async with Engine(max_concurrency=1) as engine:

        @cs.task
        async def level(depth: int) -> int:
            return int(await engine.run(level(depth - 1) if depth else gauge.work()))

        value = sum(await asyncio.gather(*(engine.run(level(10)) for _ in range(3))))
    assert value == 3
    assert gauge.most == 1


async def test_inline_functions_wait_for_a_slot(gauge: Gauge) -> None:
    """A plain `def` does not start while other calls hold all slots."""
    order: list[int] = []

    @cs.task
    def note() -> None:
        order.append(gauge.running)

    async with Engine(max_concurrency=1) as engine:
        working = asyncio.create_task(engine.run(gauge.work()))
        await asyncio.sleep(0.5)
        await engine.run(note())
        await working
    assert order == [0]


async def test_a_cancelled_run_leaves_its_slot(gauge: Gauge) -> None:
    """Cancelling runs that hold slots or wait for them leaves all slots free."""
    async with Engine(max_concurrency=2) as engine:
        runs = [asyncio.create_task(engine.run([gauge.work(), add(1)])) for _ in range(5)]
        await asyncio.sleep(0.5)
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        gauge.running = 0
        began = asyncio.get_running_loop().time()
        await engine.run([gauge.work(), gauge.work()])
        assert asyncio.get_running_loop().time() - began == 1.0


@pytest.mark.parametrize("bound", [0, -1, 1.5, True, "2"])
def test_the_bound_is_a_whole_number(bound: Any) -> None:
    """Anything but a whole number of 1 or more is refused."""
    with pytest.raises(PolicyError, match="max_concurrency"):
        Engine(max_concurrency=bound)
