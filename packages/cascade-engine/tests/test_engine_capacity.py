"""Claims about capacity: all or nothing, first come first served, and given back on every way out."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from support.loops import pass_time

import cascade as cs
from cascade.runtime import Engine, MessageBus, RequirementError, TaskBlocked, TaskTimeoutError
from cascade.spec import PolicyError


class Timeline:
    """Tasks that take some seconds, and when each of them ran."""

    def __init__(self) -> None:
        self.ran: dict[str, tuple[float, float]] = {}
        self.order: list[str] = []

    def work(self, name: str, seconds: float = 1.0) -> cs.LazyResult[str]:
        made: cs.LazyResult[str] = self._work(name, seconds)
        return made

    @cs.task
    async def _work(self, name: str, seconds: float) -> str:
        began = asyncio.get_running_loop().time()
        self.order.append(name)
        await asyncio.sleep(seconds)
        self.ran[name] = (began, asyncio.get_running_loop().time())
        return name


@pytest.fixture
def line() -> Timeline:
    return Timeline()


@cs.task
def give(value: object) -> object:
    return value


@cs.task
async def fail_after(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise ValueError("failed")


@pytest.mark.virtual_time
async def test_what_fits_runs_at_the_same_time(line: Timeline) -> None:
    """Calls share what the engine has: two of 2 at a time, the others after them."""
    targets = [line.work(name).with_constraints(gpu=1) for name in "abcd"]
    assert await cs.arun(targets, system_resources={"gpu": 2}) == list("abcd")
    assert line.ran == {"a": (0, 1), "b": (0, 1), "c": (1, 2), "d": (1, 2)}


@pytest.mark.virtual_time
async def test_amounts_are_taken_all_or_nothing(line: Timeline) -> None:
    """A call that lacks one of its amounts holds none of the others."""
    targets = [
        line.work("cpu").with_constraints(cpu=1),
        line.work("both").with_constraints(cpu=1, gpu=1),
        line.work("other", 5).with_constraints(disk=1),
    ]

    async with Engine(system_resources={"cpu": 1, "gpu": 1, "disk": 1}) as engine:
        first = asyncio.create_task(engine.run(targets))
        await asyncio.sleep(0.5)
        # "both" waits for the cpu; were it holding the gpu, cancelling the first run would be needed here.
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await engine.run(line.work("gpu").with_constraints(gpu=1))
    assert line.ran == {"gpu": (0.5, 1.5)}


@pytest.mark.virtual_time
async def test_first_come_first_served(line: Timeline) -> None:
    """A small request does not overtake a large one that came before it for the same thing."""
    async with Engine(system_resources={"gpu": 2}) as engine:
        runs = []
        for name, amount in [("a", 1), ("b", 2), ("c", 1), ("d", 1)]:
            runs.append(asyncio.create_task(engine.run(line.work(name).with_constraints(gpu=amount))))
            await asyncio.sleep(0.1)
        await asyncio.gather(*runs)
    assert line.order == ["a", "b", "c", "d"]
    assert line.ran["b"][0] == pytest.approx(1.0)
    assert line.ran["c"][0] == line.ran["d"][0] == pytest.approx(2.0)


@pytest.mark.virtual_time
async def test_small_requests_that_keep_coming_do_not_starve_a_large_one(line: Timeline) -> None:
    """Who waits for a large amount is not overtaken by later calls that need less of it, and nothing else."""
    smalls = [f"small {number}" for number in range(6)]
    async with Engine(system_resources={"gpu": 2, "disk": 1}) as engine:

        def begin(name: str, **amounts: float) -> asyncio.Task[str]:
            return asyncio.create_task(engine.run(line.work(name).with_constraints(**amounts)))

        runs = [begin("first", gpu=1)]
        await asyncio.sleep(0.1)
        runs.append(begin("large", gpu=2, disk=1))
        for name in smalls:  # there is always one that could run if it were let past
            await asyncio.sleep(0.5)
            runs.append(begin(name, gpu=1))
        await asyncio.gather(*runs)
    assert line.ran["large"] == (1, 2)
    assert min(line.ran[name][0] for name in smalls) == 2
    assert line.order == ["first", "large", *smalls]


@pytest.mark.virtual_time
async def test_who_waits_for_something_else_is_not_held_up(line: Timeline) -> None:
    """A request that waits for one thing does not keep others from another."""
    targets = [
        line.work("a").with_constraints(gpu=1),
        line.work("b").with_constraints(gpu=1),
        line.work("c").with_constraints(disk=1),
    ]
    await cs.arun(targets, system_resources={"gpu": 1, "disk": 1})
    assert line.ran["c"] == (0, 1)


@pytest.mark.virtual_time
async def test_fractions_add_up(line: Timeline) -> None:
    """Amounts are exact: ten times 0.1 fit into 1, and three times 0.1 into 0.3."""
    targets = [line.work(str(number)).with_constraints(gpu=0.1) for number in range(10)]
    await cs.arun(targets, system_resources={"gpu": 1})
    assert {began for began, _ in line.ran.values()} == {0}
    line.ran.clear()
    targets = [line.work(str(number)).with_constraints(gpu=0.1) for number in range(3)]
    await cs.arun(targets, system_resources={"gpu": 0.3})
    assert len({began for began, _ in line.ran.values()}) == 1


@pytest.mark.virtual_time
async def test_nothing_is_an_amount(line: Timeline) -> None:
    """An amount of 0 is always met."""
    targets = [line.work("a").with_constraints(gpu=1), line.work("b").with_constraints(gpu=0)]
    await cs.arun(targets, system_resources={"gpu": 1})
    assert sorted(line.ran) == ["a", "b"]


@pytest.mark.virtual_time
async def test_amounts_may_be_lazy(line: Timeline) -> None:
    """An amount that is a lazy result is computed first and counts like a number."""
    targets = [line.work(name).with_constraints(gpu=give(2)) for name in "ab"]
    await cs.arun(targets, system_resources={"gpu": 3})
    assert sorted(line.ran.values()) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("amount", ["much", -1, None, True, float("nan")])
def test_a_lazy_amount_that_makes_no_sense_fails(amount: object) -> None:
    """A computed amount that is no number of 0 or more is an error that names the task and the amount."""
    target = give(1).with_constraints(gpu=give(amount))
    with pytest.raises(
        RequirementError, match="task 'give' needs an amount it can't have: an amount of 'gpu'"
    ):
        cs.run(target, system_resources={"gpu": 1})


def test_what_can_never_be_met_fails_before_anything_runs(line: Timeline) -> None:
    """A requirement above what the engine has in all is refused at once, naming task, amount and total."""
    targets = cs.sequence([line.work("a"), give(1).with_constraints(gpu=3)])
    with pytest.raises(
        RequirementError, match="task 'give' needs gpu=3, and the engine has 2 in all"
    ) as caught:
        cs.run(targets, system_resources={"gpu": 2})
    assert isinstance(caught.value, ValueError)
    assert not line.order


@pytest.mark.virtual_time
async def test_a_lazy_amount_that_can_never_be_met_fails() -> None:
    """A computed amount above the engine's is refused when it is known, and nobody waits for ever."""
    with pytest.raises(RequirementError, match="gpu=3"):
        await cs.arun(give(1).with_constraints(gpu=give(3)), system_resources={"gpu": 2})


def test_what_the_engine_does_not_declare_fails_before_anything_runs(line: Timeline) -> None:
    """A requirement that the engine does not declare is refused, naming what it declares and the remedy."""
    targets = cs.sequence([line.work("a"), give(1).with_constraints(tpu=give(1))])
    with pytest.raises(
        RequirementError, match=r"needs tpu, which the engine does not declare \(it declares gpu\)"
    ):
        cs.run(targets, system_resources={"gpu": 2})
    assert not line.order


@pytest.mark.parametrize("total", [-1, "many", float("inf")])
def test_totals_are_numbers(total: Any) -> None:
    """An engine's amounts are finite numbers of 0 or more."""
    with pytest.raises(PolicyError, match="'gpu'"):
        Engine(system_resources={"gpu": total})


@pytest.mark.virtual_time
async def test_slots_come_back_after_a_failure(line: Timeline) -> None:
    """A call that fails gives back what it held before the next one starts."""
    async with Engine(system_resources={"gpu": 1}) as engine:
        failing = asyncio.create_task(engine.run(fail_after(1).with_constraints(gpu=1)))
        await asyncio.sleep(0.5)
        following = asyncio.create_task(engine.run(line.work("b").with_constraints(gpu=1)))
        with pytest.raises(ValueError, match="failed"):
            await failing
        await following
    assert line.ran["b"] == (1, 2)


@pytest.mark.virtual_time
async def test_slots_come_back_after_a_timeout(line: Timeline) -> None:
    """A call that runs out of time gives back what it held."""
    async with Engine(system_resources={"gpu": 1}) as engine:
        with pytest.raises(TaskTimeoutError):
            await engine.run(line.work("a", 60).with_timeout(1).with_constraints(gpu=1))
        await engine.run(line.work("b").with_constraints(gpu=1))
    assert line.ran == {"b": (1, 2)}


@pytest.mark.virtual_time
async def test_slots_come_back_after_cancellation(line: Timeline) -> None:
    """A run that is cancelled gives back what it held, and what it waited for goes to the next."""
    async with Engine(system_resources={"gpu": 1}) as engine:
        holding = asyncio.create_task(engine.run(line.work("a", 60).with_constraints(gpu=1)))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(engine.run(line.work("b").with_constraints(gpu=1)))
        third = asyncio.create_task(engine.run(line.work("c").with_constraints(gpu=1)))
        await asyncio.sleep(1)
        waiting.cancel()
        holding.cancel()
        await asyncio.gather(waiting, holding, return_exceptions=True)
        await third
    assert line.ran == {"c": (2, 3)}


@pytest.mark.virtual_time
async def test_a_cancelled_waiter_does_not_block_those_behind_it(line: Timeline) -> None:
    """Withdrawing a large request lets a small one behind it go on at once."""
    async with Engine(system_resources={"gpu": 2}) as engine:
        holding = asyncio.create_task(engine.run(line.work("a", 10).with_constraints(gpu=1)))
        await asyncio.sleep(1)
        large = asyncio.create_task(engine.run(line.work("b").with_constraints(gpu=2)))
        await asyncio.sleep(1)
        small = asyncio.create_task(engine.run(line.work("c").with_constraints(gpu=1)))
        await asyncio.sleep(1)
        large.cancel()
        await small
        await asyncio.gather(large, holding, return_exceptions=True)
    assert line.ran["c"] == (3, 4)


@pytest.mark.stepped_time
async def test_a_cancelled_thread_keeps_its_slot_until_its_end(line: Timeline) -> None:
    """The slot of a thread task whose run is cancelled is held until the thread ends, and so is the run."""
    go_on = threading.Event()
    loop, began = asyncio.get_running_loop(), asyncio.Event()

    @cs.task(mode="thread")
    def block() -> None:
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(20)
        line.order.append("thread ended")

    async with Engine(system_resources={"gpu": 1}) as engine:
        blocking = asyncio.create_task(engine.run(block().with_constraints(gpu=1)))
        await began.wait()
        blocking.cancel()
        following = asyncio.create_task(engine.run(line.work("b").with_constraints(gpu=1)))
        await pass_time(10)
        assert not blocking.done()
        assert not line.order
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await blocking
        await pass_time(1)
        await following
    assert line.order == ["thread ended", "b"]


@pytest.mark.stepped_time
async def test_a_run_does_not_end_before_its_threads() -> None:
    """A sibling's failure comes out only after the thread tasks have ended."""
    go_on, ended = threading.Event(), list[int]()
    loop, began = asyncio.get_running_loop(), asyncio.Event()

    @cs.task(mode="thread")
    def block() -> None:
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(20)
        ended.append(1)

    @cs.task
    async def fail() -> None:
        await began.wait()
        raise ValueError("sibling")

    running = asyncio.create_task(cs.arun([block(), fail()]))
    await began.wait()
    await pass_time(5)
    assert not running.done()
    go_on.set()
    with pytest.raises(ValueError, match="sibling"):
        await running
    assert ended


@pytest.mark.virtual_time
async def test_slots_are_free_before_the_returned_tree_starts(line: Timeline) -> None:
    """What a call holds is given back before the tree that it returned starts, which may need the same."""

    @cs.task
    async def outer() -> str | cs.LazyResult[str]:
        return line.work("inner").with_constraints(gpu=1)

    assert await cs.arun(outer().with_constraints(gpu=1), system_resources={"gpu": 1}) == "inner"


@pytest.mark.virtual_time
async def test_inline_functions_hold_slots_too() -> None:
    """A plain `def` with constraints runs, one after the other."""
    targets = [give(number).with_constraints(gpu=1) for number in range(5)]
    assert await cs.arun(targets, system_resources={"gpu": 1}) == list(range(5))


@pytest.mark.virtual_time
async def test_waiting_is_told(line: Timeline) -> None:
    """`TaskBlocked` names the call that waits and what it waits for; one that does not wait is not told of."""
    heard: list[TaskBlocked] = []
    bus = MessageBus()
    bus.subscribe(TaskBlocked, heard.append)

    async with Engine(bus=bus, system_resources={"gpu": 1}) as engine:
        await engine.run([line.work("a").with_constraints(gpu=1), line.work("b").with_constraints(gpu=1)])
    assert [event.task_name for event in heard] == ["_work"]
    assert "gpu=1" in heard[0].reason


@pytest.mark.virtual_time
async def test_a_run_inside_a_task_borrows_what_the_task_holds(line: Timeline) -> None:
    """A run inside a task may use what that task holds, ten levels deep, and so does not wait for itself."""
    async with Engine(system_resources={"gpu": 1}, max_concurrency=1) as engine:

        @cs.task
        async def level(depth: int) -> int:
            if not depth:
                return 0
            return 1 + int(await engine.run(level(depth - 1).with_constraints(gpu=1)))

        value = await asyncio.gather(*(engine.run(level(10).with_constraints(gpu=1)) for _ in range(3)))
    assert value == [10, 10, 10]


@pytest.mark.virtual_time
async def test_what_is_borrowed_is_not_there_twice(line: Timeline) -> None:
    """Calls of an inner run share what the task holds and what is free, and no more than that."""
    async with Engine(system_resources={"gpu": 2}) as engine:

        @cs.task
        async def outer() -> None:
            await engine.run([line.work(name).with_constraints(gpu=1) for name in "abcd"])

        await engine.run(outer().with_constraints(gpu=1))
    assert sorted(line.ran.values()) == [(0, 1), (0, 1), (1, 2), (1, 2)]
