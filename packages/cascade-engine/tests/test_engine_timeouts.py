"""Claims about timeouts: per attempt, never around a thread that still runs, refused where they could not fire."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support.loops import now, pass_time

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import InlineTimeoutError, TaskTimeoutError


class Blocker:
    """A function for threads that blocks until it is told to go on, and what is to be known of its calls."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = asyncio.Event()
        self.running = 0
        self.most = 0
        self.ended = 0
        self.loop = asyncio.get_running_loop()

    def __call__(self) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        self.loop.call_soon_threadsafe(self.began.set)
        assert self.go_on.wait(20)
        self.running -= 1
        self.ended += 1
        return self.ended


@cs.task
async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@pytest.mark.virtual_time
async def test_a_call_that_takes_too_long_fails() -> None:
    """A call is ended after its timeout; the error names the task and the seconds and is a `TimeoutError`."""
    with pytest.raises(TaskTimeoutError, match="task 'sleep' took longer than its timeout of 5 s") as caught:
        await cs.arun(sleep(60).with_timeout(5))
    assert isinstance(caught.value, TimeoutError)
    assert now() == 5.0


@pytest.mark.virtual_time
async def test_a_call_in_time_is_not_touched() -> None:
    """A call that takes less than its timeout gives its value."""
    assert await cs.arun(sleep(4).with_timeout(5)) == 4


@pytest.mark.virtual_time
async def test_the_timeout_is_per_attempt() -> None:
    """Each attempt has the whole timeout; what ran out of it is retried."""
    times: list[float] = []

    @cs.task(timeout=5, retry=2)
    async def slow() -> float:
        times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(60 if len(times) < 3 else 4)
        return times[-1]

    assert await cs.arun(slow()) == 10.0
    assert times == [0.0, 5.0, 10.0]


@pytest.mark.virtual_time
async def test_waiting_for_capacity_is_not_counted() -> None:
    """A timeout covers the call and not the wait for its slot."""
    targets = [sleep(4).with_timeout(5).with_constraints(gpu=1) for _ in range(3)]
    assert await cs.arun(targets, system_resources={"gpu": 1}) == [4, 4, 4]
    assert now() == 12.0


@pytest.mark.virtual_time
async def test_the_returned_tree_is_not_timed() -> None:
    """A timeout covers the function's own body and not the tree that it returns."""

    @cs.task
    async def outer() -> float | cs.LazyResult[float]:
        return sleep(60)

    assert await cs.arun(outer().with_timeout(5)) == 60


@pytest.mark.virtual_time
async def test_a_tasks_own_timeout_error_is_its_own() -> None:
    """A `TimeoutError` that the task raises itself comes out as it is."""

    @cs.task(timeout=5)
    async def fail() -> None:
        raise TimeoutError("the server's")

    with pytest.raises(TimeoutError, match="the server's") as caught:
        await cs.arun(fail())
    assert type(caught.value) is TimeoutError


def test_a_plain_function_inline_is_refused() -> None:
    """On an inline `def`, where it could never fire, a timeout is refused before anything runs; the remedy is named."""
    calls: list[int] = []

    @cs.task
    def work(x: object) -> int:
        calls.append(1)
        return 1

    with pytest.raises(InlineTimeoutError, match=r"task 'work'.*@cs\.task\(mode=\"thread\"\)"):
        cs.run(work(work(0)).with_timeout(5))
    assert not calls


@pytest.mark.stepped_time
async def test_a_function_in_a_thread_is_timed() -> None:
    """A `def` in a thread runs out of time; the run does not end before its thread has."""
    blocker = Blocker()
    block = cs.Task[int](blocker, name="block")
    executor = LocalExecutor(mode="thread")
    running = asyncio.create_task(cs.arun(block().with_timeout(5), executor=executor))
    await blocker.began.wait()
    await pass_time(100)
    assert not running.done()
    blocker.go_on.set()
    with pytest.raises(TaskTimeoutError):
        await running
    await executor.close()
    assert blocker.ended == 1


@pytest.mark.stepped_time
async def test_a_retry_waits_for_the_old_thread() -> None:
    """After a timeout in a thread the retry starts only when the old thread has ended: never two at a time."""
    blocker = Blocker()
    block = cs.Task[int](blocker, name="block")
    executor = LocalExecutor(mode="thread")
    target = block().with_timeout(5).with_retry(max_attempts=1)
    running = asyncio.create_task(cs.arun(target, executor=executor))
    await blocker.began.wait()
    await pass_time(100)
    assert (blocker.running, blocker.most) == (1, 1)
    blocker.go_on.set()
    value = await running
    await executor.close()
    assert value == 2
    assert blocker.most == 1


@pytest.mark.stepped_time
async def test_a_timed_out_thread_keeps_its_slot() -> None:
    """The slot of a thread task that ran out of time is held until its thread has ended."""
    blocker = Blocker()
    block = cs.Task[int](blocker, name="block")
    seen: list[int] = []

    @cs.task
    async def next_one() -> None:
        seen.append(blocker.ended)

    async with cs.Engine(
        system_resources={"gpu": 1}, executor=(executor := LocalExecutor(mode="thread"))
    ) as engine:
        first = asyncio.create_task(engine.run(block().with_timeout(5).with_constraints(gpu=1)))
        await blocker.began.wait()
        second = asyncio.create_task(engine.run(next_one().with_constraints(gpu=1)))
        await pass_time(100)
        assert not seen
        blocker.go_on.set()
        await second
        with pytest.raises(TaskTimeoutError):
            await first
    await executor.close()
    assert seen == [1]


@pytest.mark.stepped_time
async def test_waiting_for_a_thread_is_not_counted() -> None:
    """A timeout does not begin while the call waits for a thread that another call has."""
    blocker = Blocker()
    block = cs.Task[int](blocker, name="block")
    executor = LocalExecutor(mode="thread", threads=1)
    first = asyncio.create_task(cs.arun(block(), executor=executor))
    await blocker.began.wait()
    second = asyncio.create_task(cs.arun(cs.task(lambda: 7)().with_timeout(5), executor=executor))
    await pass_time(100)
    assert not second.done()
    blocker.go_on.set()
    await first
    value = await second
    await executor.close()
    assert value == 7


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["task", "run"])
async def test_opening_what_a_call_takes_is_counted(scope: Any) -> None:
    """A timeout covers the opening of the call's resources, and the failure is released in order."""
    log: list[str] = []

    @cs.resource(scope=scope)
    async def slow() -> AsyncIterator[int]:
        try:
            await asyncio.sleep(60)
            yield 1
        finally:
            log.append("closed")

    @cs.task(timeout=5)
    async def use(slow: int = cs.inject("slow")) -> int:
        return slow

    with pytest.raises(TaskTimeoutError, match="task 'use' took longer than its timeout of 5 s"):
        await cs.arun(use(), resources=[slow])
    assert now() == 5.0
    assert log == ["closed"]


@pytest.mark.virtual_time
async def test_opening_and_calling_share_one_timeout() -> None:
    """What the opening took is not there any more for the call."""

    @cs.resource(scope="task")
    async def slow() -> AsyncIterator[int]:
        await asyncio.sleep(3)
        yield 1

    @cs.task(timeout=5)
    async def use(seconds: float, slow: int = cs.inject("slow")) -> float:
        await asyncio.sleep(seconds)
        return seconds

    assert await cs.arun(use(1), resources=[slow]) == 1
    with pytest.raises(TaskTimeoutError):
        await cs.arun(use(3), resources=[slow])


@pytest.mark.parametrize("target", ["map", "item of a map", "retried", "wrapped"])
def test_a_timeout_on_any_inline_function_is_refused(target: str) -> None:
    """The refusal holds for maps, retries and wrappers around an `async def`, which are plain functions too."""

    @cs.task
    def work(x: int) -> int:
        raise AssertionError(x)

    targets: dict[str, Any] = {
        "map": work.map(x=[1]).with_timeout(5),
        "item of a map": cs.map(lambda x: work(x).with_timeout(5), x=[1]),
        "retried": work(1).with_retry().with_timeout(5),
        "wrapped": cs.task(timeout=5)(lambda: asyncio.sleep(0))(),
    }
    with pytest.raises(InlineTimeoutError, match=r'write @cs\.task\(mode="thread"\)'):
        cs.run(targets[target])


def test_a_timeout_covers_what_holds_the_loop() -> None:
    """A provider that blocks past the call's timeout is noticed, though nothing let the limit expire meanwhile."""

    @cs.resource(scope="task")
    def slow() -> Iterator[int]:
        time.sleep(0.02)
        yield 1

    @cs.task(timeout=0.001)
    async def use(value: int = cs.inject(slow)) -> int:
        return value

    with pytest.raises(TaskTimeoutError, match="task 'use' took longer"):
        cs.run(use(), resources=[slow])
