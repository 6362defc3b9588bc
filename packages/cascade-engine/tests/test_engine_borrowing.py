"""Claims about runs inside tasks: they borrow what the tasks hold, and no order of serving makes them wait for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import cascade as cs
from cascade.runtime import Engine

pytestmark = pytest.mark.virtual_time

NEVER = 1e6
"""Seconds of a clock that jumps: who waits for so long waits for ever."""


@dataclass
class Shape:
    """One call: what it needs while it runs, and the runs that it starts inside, together or one after another."""

    needs: dict[str, float]
    inner: list[Shape] = field(default_factory=list)
    together: bool = True

    @property
    def size(self) -> int:
        return 1 + sum(each.size for each in self.inner)


def shapes(most: dict[str, float], depth: int) -> st.SearchStrategy[Shape]:
    """Calls that need no more than `most`; what runs inside needs no more of a thing than its nearest holder has."""
    needs = st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(_parts(most[name])) for name in sorted(most)}
    )
    if not depth:
        return st.builds(Shape, needs)
    return needs.flatmap(
        lambda own: st.builds(
            Shape, st.just(own), st.lists(shapes(most | own, depth - 1), max_size=3), st.booleans()
        )
    )


def _parts(amount: float) -> list[float]:
    return sorted({amount, amount / 2, min(amount, 1)})


async def run_all(engine: Engine, roots: list[Shape]) -> list[int]:
    """Run each shape as a run of its own, all at once; each gives the number of its calls."""

    @cs.task
    async def call(shape: Shape) -> int:
        await asyncio.sleep(0.1)
        inner = [start(each) for each in shape.inner]
        counts = await asyncio.gather(*inner) if shape.together else [await each for each in inner]
        await asyncio.sleep(0.1)
        return 1 + sum(counts)

    async def start(shape: Shape) -> int:
        target = call(shape)
        made: int = await engine.run(target.with_constraints(**shape.needs) if shape.needs else target)
        return made

    async with asyncio.timeout(NEVER):
        return await asyncio.gather(*(start(shape) for shape in roots))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # a clock that goes on is as good as a new one
@given(
    roots=st.lists(shapes({"cpu": 4, "gpu": 2, "memory": 1}, 3), min_size=1, max_size=3),
    concurrency=st.sampled_from([None, 1, 2, 3]),
)
async def test_runs_inside_tasks_come_to_an_end(roots: list[Shape], concurrency: int | None) -> None:
    """Whatever runs inside a task and needs no more than the task holds gets it, in any shape of nesting."""
    totals = {"cpu": 4, "gpu": 2, "memory": 1}
    async with Engine(system_resources=totals, max_concurrency=concurrency) as engine:
        value = await run_all(engine, roots)
    assert value == [shape.size for shape in roots]


@pytest.mark.parametrize("concurrency", [1, 2, 3])
@pytest.mark.parametrize("deep", [2, 3])
@pytest.mark.parametrize("wide", [2, 3])
async def test_nested_runs_on_few_slots(concurrency: int, deep: int, wide: int) -> None:
    """Runs inside runs, deep and wide, end on an engine of one slot and of few."""

    def shape(depth: int) -> Shape:
        return Shape({}, [shape(depth - 1) for _ in range(wide)] if depth else [])

    async with Engine(max_concurrency=concurrency) as engine:
        value = await run_all(engine, [shape(deep)])
    assert value == [sum(wide**level for level in range(deep + 1))]


async def test_a_borrower_is_not_held_up_by_one_who_waits_for_its_lender() -> None:
    """A request that fits is served though one before it wants the same and more: more is held above this one."""
    async with Engine(system_resources={"cpu": 3, "gpu": 2}) as engine:
        holder = Shape({"gpu": 1, "cpu": 1}, [Shape({"cpu": 2})])  # asks for a cpu more than it holds
        greedy = Shape({"gpu": 1}, [Shape({"gpu": 2, "cpu": 1})])  # waits for what `holder` has
        slow = Shape({"gpu": 1, "cpu": 1}, [Shape({}, [Shape({"cpu": 2})])])
        value = await run_all(engine, [greedy, holder]) + await run_all(engine, [greedy, slow])
    assert value == [2, 2, 2, 3]


async def test_a_run_on_another_engine_borrows_nothing() -> None:
    """A run that a task starts on another engine waits there like everybody else, whatever its task holds."""
    order: list[str] = []

    @cs.task
    async def work(name: str) -> None:
        order.append(name)
        await asyncio.sleep(1)

    async with Engine(system_resources={"gpu": 1}) as engine, Engine(system_resources={"gpu": 1}) as other:

        def begin(name: str) -> asyncio.Task[None]:
            return asyncio.create_task(other.run(work(name).with_constraints(gpu=1)))

        @cs.task
        async def holder() -> None:
            await asyncio.sleep(0.5)
            await begin("from inside")

        holding = asyncio.create_task(engine.run(holder().with_constraints(gpu=1)))
        first = begin("first")
        await asyncio.sleep(0.1)
        await asyncio.gather(holding, first, begin("second"))
    assert order == ["first", "second", "from inside"]


async def test_a_large_borrower_is_not_starved_by_those_who_hold_nothing() -> None:
    """While a run inside a task waits for more than the task holds, no new outer call gets what it waits for."""
    order: list[str] = []

    async with Engine(system_resources={"gpu": 3}) as engine:

        @cs.task
        async def work(name: str, seconds: float) -> None:
            order.append(name)
            await asyncio.sleep(seconds)

        @cs.task
        async def outer() -> None:
            await asyncio.sleep(0.5)
            await engine.run(work("inner", 1).with_constraints(gpu=3))

        stream = [work(f"small {n}", 1 + n / 10).with_constraints(gpu=1) for n in range(6)]
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.run(outer().with_constraints(gpu=1)))
            group.create_task(engine.run(stream))
    assert order == ["small 0", "small 1", "inner", "small 2", "small 3", "small 4", "small 5"]


@pytest.mark.parametrize("holders", [1, 2])
async def test_what_is_lent_when_its_holder_ends_comes_back_with_the_borrower(holders: int) -> None:
    """A run that outlives the task it borrows from keeps what it has until its own end, and then all of it is free."""
    order: list[str] = []

    async with Engine(system_resources={"gpu": 2}) as engine:

        @cs.task
        async def work(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        begun: list[asyncio.Task[Any]] = []

        @cs.task
        async def leave(depth: int) -> None:
            inner = leave(depth - 1) if depth else work("lent", 5)
            begun.append(asyncio.create_task(engine.run(inner.with_constraints(gpu=2))))
            await asyncio.sleep(1)

        await engine.run(leave(holders - 1).with_constraints(gpu=2))
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.run(work("next", 1).with_constraints(gpu=1)))
            group.create_task(engine.run(work("all", 1).with_constraints(gpu=2)))
        await asyncio.gather(*begun)
    assert order == ["lent", "next", "all"]


@pytest.mark.parametrize("between", [{}, {"cpu": 1}])
async def test_borrowing_reaches_through_runs_between(between: dict[str, int]) -> None:
    """What a task holds is lent to runs inside runs inside it, those of another engine and of no needs among them."""
    engine = cs.Engine(system_resources={"gpu": 1})
    middle = cs.Engine(system_resources=between) if between else engine

    @cs.task
    async def inner() -> int:
        return 1

    @cs.task
    async def nested() -> Any:
        return await engine.run(inner().with_constraints(gpu=1))

    @cs.task
    async def outer() -> Any:
        return await middle.run(nested().with_constraints(**between) if between else nested())

    async with asyncio.timeout(10):
        assert await engine.run(outer().with_constraints(gpu=1)) == 1


async def test_what_is_lent_stays_taken_until_the_borrower_ends() -> None:
    """A run that outlives the task it was begun in keeps what it borrowed; nobody else gets it as well."""
    engine, under_way, most = cs.Engine(system_resources={"gpu": 1}), 0, 0
    background: list[asyncio.Task[Any]] = []

    @cs.task
    async def holds() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1

    @cs.task
    async def leaves_one_behind() -> None:
        background.append(asyncio.create_task(engine.run(holds().with_constraints(gpu=1))))
        await asyncio.sleep(0.01)

    await engine.run(leaves_one_behind().with_constraints(gpu=1))
    await engine.run(holds().with_constraints(gpu=1))
    await asyncio.gather(*background)
    assert most == 1
