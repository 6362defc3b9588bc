"""Claims about ending early: siblings are cancelled and awaited, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support.loops import now

import cascade as cs
from cascade.runtime import (
    Engine,
    Event,
    MessageBus,
    RunFinished,
    Status,
    TaskCancelledError,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskSkipped,
)


@cs.task
def add(*values: int) -> int:
    return sum(values)


@pytest.mark.virtual_time
async def test_siblings_are_cancelled_and_awaited() -> None:
    """One of 64 fails: the other 63 are cancelled and have really ended before the error comes out."""
    ended: list[int] = []

    @cs.task
    async def sibling(number: int) -> None:
        if number == 40:
            await asyncio.sleep(1)
            raise ValueError("number 40")
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(number)  # takes its time to end
            ended.append(number)

    with pytest.raises(ValueError, match="number 40"):
        await cs.arun([sibling(number) for number in range(64)])
    assert ended == [number for number in range(64) if number != 40]
    assert now() == 64.0


@pytest.mark.virtual_time
async def test_a_sibling_that_ignores_it_is_awaited() -> None:
    """A task that catches the cancellation and goes on is waited for."""
    ended: list[int] = []

    @cs.task
    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(20)
        ended.append(1)

    @cs.task
    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await cs.arun([stubborn(), fail()])
    assert (ended, now()) == ([1], 21.0)


@pytest.mark.virtual_time
async def test_what_a_cancelled_sibling_raises_does_not_hide_the_first_error() -> None:
    """The first failure comes out, whatever the siblings raise while they end."""

    @cs.task
    async def worse() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            raise KeyError("second")

    @cs.task
    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        await cs.arun([worse(), fail()])


@pytest.mark.virtual_time
async def test_nothing_new_starts_after_a_failure() -> None:
    """After the first failure nothing starts, what was ready included."""
    started: list[int] = []

    @cs.task
    def step(number: int, before: object = None) -> int:
        started.append(number)
        if number == 1:
            raise ValueError("no")
        return number

    with pytest.raises(ValueError, match="no"):
        await cs.arun([step(0), step(1), step(2), step(4, step(3))])
    assert started == [0, 1]


@pytest.mark.virtual_time
async def test_cancelling_a_run_from_outside() -> None:
    """Cancelling `engine.run` cancels what it runs, waits for that, and raises `CancelledError`."""
    ended: list[str] = []

    @cs.task
    async def work(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            ended.append(name)

    async with Engine() as engine:
        running = asyncio.create_task(engine.run([work("a"), work("b")]))
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert ended == ["a", "b"]
    assert now() == 6.0


@pytest.mark.virtual_time
async def test_a_callers_timeout_is_the_callers() -> None:
    """`asyncio.timeout` around a run raises `TimeoutError` there, after the run has ended."""
    ended: list[int] = []

    @cs.task
    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await cs.arun(work())
    assert ended


@pytest.mark.virtual_time
async def test_a_cancellation_that_comes_too_late_is_not_lost() -> None:
    """A run that is cancelled in the very turn in which it ends raises `CancelledError`, as any coroutine does."""
    async with Engine() as engine:
        for turns in range(12):
            running = asyncio.create_task(engine.run(add(1)))
            for _ in range(turns):
                await asyncio.sleep(0)
            cancelled = running.cancel()
            result = (await asyncio.gather(running, return_exceptions=True))[0]
            assert isinstance(result, asyncio.CancelledError) if cancelled else result == 1, turns


STRAY = ["inline", "thread", "async", "retried", "awaits a cancelled future", "cancels itself", "map item"]


def stray(way: str) -> cs.LazyResult[Any]:
    def plain(*given: int) -> None:
        raise asyncio.CancelledError("stray")

    async def later() -> None:
        raise asyncio.CancelledError("stray")

    async def wait() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel("stray")
        await future

    async def cancel_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("stray")
        await asyncio.sleep(1)

    if way == "map item":
        return cs.task(plain).map([1])
    if way in ("inline", "thread"):
        return cs.task(mode="thread" if way == "thread" else "inline")(plain)()
    if way == "retried":
        return cs.task(plain)().with_retry(3)
    if way == "async":
        return cs.task(later)()
    return cs.task(wait)() if way == "awaits a cancelled future" else cs.task(cancel_itself)()


@pytest.mark.virtual_time
@pytest.mark.parametrize("way", STRAY)
async def test_a_stray_cancellation_is_a_failure_of_its_task(way: str) -> None:
    """A task that raises `CancelledError` of its own fails with an error that names it; it is not retried."""
    bus, heard = MessageBus(), list[TaskExecutionFinished]()
    bus.subscribe(TaskExecutionFinished, heard.append)

    async def main() -> None:
        async with Engine(bus=bus) as engine:
            await engine.run([stray(way), add(1)])

    with pytest.raises(TaskCancelledError, match="was cancelled, and not by its run") as caught:
        await main()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert caught.value.__cause__.args == ("stray",)
    assert "in task" in caught.value.__notes__[0]
    assert {event.status for event in heard if event.error} == {Status.FAILED}


@pytest.mark.parametrize("way", STRAY)
async def test_a_run_that_finishes_goes_on_after_a_stray_cancellation(way: str) -> None:
    """With `on_failure="finish"` a stray cancellation is one failure among others."""
    ran: list[int] = []
    cancelled, bus = asyncio.Event(), MessageBus()
    bus.subscribe(TaskExecutionFinished, lambda event: cancelled.set() if event.error else None)

    @cs.task
    async def other() -> None:
        await cancelled.wait()
        ran.append(1)

    async with Engine(bus=bus) as engine:
        with pytest.raises(ExceptionGroup) as caught:
            await engine.run([stray(way), other()], on_failure="finish")
    assert [type(each) for each in caught.value.exceptions] == [TaskCancelledError]
    assert ran == [1]


class World:
    """A graph of forty nodes of all kinds on an engine with capacity, cache and resources; counts what is open."""

    def __init__(self) -> None:
        self.open = 0
        self.running = 0
        self.events: list[Event] = []

    def engine(self) -> Engine:
        bus = MessageBus()
        bus.subscribe(Event, self.events.append)
        engine = Engine(bus=bus, system_resources={"gpu": 2}, max_concurrency=3)
        engine.register(cs.resource(name="db")(self._provide))
        engine.register(cs.resource(name="tx", scope="task")(self._provide_later))
        return engine

    def _provide(self) -> Iterator[int]:
        self.open += 1
        try:
            yield 1
        finally:
            self.open -= 1

    async def _provide_later(self) -> AsyncIterator[int]:
        await asyncio.sleep(0)
        self.open += 1
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            self.open -= 1

    @cs.task
    async def _work(self, *values: int, db: int = cs.inject("db")) -> int:
        self.running += 1
        try:
            await asyncio.sleep(0)
            return sum(values) + db
        finally:
            self.running -= 1

    @cs.task
    def _loop(self, left: int, tx: int = cs.inject("tx")) -> int | cs.LazyResult[int]:
        following: cs.LazyResult[int] = self._loop(left - 1) if left else self._work(tx)
        return following

    @cs.task
    async def _flaky(self, seen: list[int]) -> int:
        await asyncio.sleep(0)
        seen.append(1)
        if len(seen) < 3:
            raise ValueError("again")
        return 1

    def target(self) -> cs.LazyResult[int]:
        first = [self._work(number).with_constraints(gpu=1) for number in range(8)]
        cached = [_keep(value).with_cache(cs.ByInputs()) for value in [*first, *first[:3]]]
        mapped = self._work.map(cached[:6]).with_constraints(gpu=add(1, 1))
        chosen = cs.Router(add(1), {0: self._work(99), 1: self._loop(3)})
        items = cs.map(lambda x: add(self._loop(2), self._work(x)).with_retry(), x=[1, 2])
        return add(
            cs.pipeline(mapped, [_total]),
            cs.pipeline(items, [_total]),
            chosen,
            *cached,
            self._flaky([]).with_retry(),
            self._work(1).run_if(first[0]).after(first[1]),
            self._work(2).run_if(add(0), otherwise=0),
        )


@cs.task
async def _keep(value: int) -> int | cs.LazyResult[int]:
    await asyncio.sleep(0)
    return _slow(value)


@cs.task
async def _slow(value: int) -> int:
    await asyncio.sleep(0)
    return value


@cs.task
def _total(values: list[int]) -> int:
    return sum(values)


@pytest.mark.virtual_time
async def test_cancelling_at_any_turn_leaves_nothing_behind() -> None:
    """Whenever a run of forty nodes of all kinds is cancelled, no task, slot, provider, key or event is left open."""

    async def main() -> None:
        reference = World()
        async with reference.engine() as engine:
            wanted = await engine.run(reference.target())
        for turns in range(1000):
            world = World()
            async with world.engine() as engine:
                target = world.target()
                running = asyncio.create_task(engine.run(target))
                for _ in range(turns):
                    await asyncio.sleep(0)
                running.cancel()
                result = (await asyncio.gather(running, return_exceptions=True))[0]
                assert asyncio.all_tasks() == {asyncio.current_task()}
                assert (world.open, world.running) == (0, 0)
                check_events(world.events)
                if not isinstance(result, asyncio.CancelledError):
                    assert result == wanted
                    return
                # All slots, keys and locks are free: the same target runs through on the same engine.
                assert await engine.run(target) == wanted
        raise AssertionError("the run does not end")

    await main()


def check_events(events: list[Event]) -> None:
    """Each call that started has finished, each other one is skipped, and the run has ended."""
    started = [event.task_id for event in events if isinstance(event, TaskExecutionStarted)]
    finished = [event.task_id for event in events if isinstance(event, TaskExecutionFinished)]
    skipped = [event.task_id for event in events if isinstance(event, TaskSkipped)]
    assert sorted(started) == sorted(finished)
    assert len(set(started)) == len(started)
    assert len(set(skipped)) == len(skipped)
    assert not set(started) & set(skipped)
    assert not events or isinstance(events[-1], RunFinished)


@pytest.mark.virtual_time
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("limit", [None, 60])
async def test_a_cancellation_in_the_last_turn_of_a_call_changes_nothing(
    limit: float | None, fails: bool
) -> None:
    """A call that is cancelled in the turn in which it ends has ended already: its value or its error stays."""

    @cs.task(timeout=limit)
    async def last() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("too late")
        if fails:
            raise ValueError("its own")
        return 6

    thread = cs.task(mode="thread")(lambda: 1)
    if not fails:
        assert await cs.arun([last(), thread()]) == [6, 1]
        return
    with pytest.raises(ValueError, match="its own"):
        await cs.arun([last(), thread()])
