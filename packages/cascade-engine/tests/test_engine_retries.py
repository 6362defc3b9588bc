"""Claims about retries: how often, after which waits, and what is never called again."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from support.loops import now

import cascade as cs
from cascade.runtime import (
    Engine,
    MessageBus,
    TaskCancelledError,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
)


class StopAllError(BaseException):
    """No `Exception`."""


def flaky(failures: int, error: BaseException | None = None) -> tuple[cs.Task[int], list[float]]:
    """Make a task that fails that many times, and the list of the times at which it is called."""
    times: list[float] = []

    @cs.task
    async def flaky() -> int:
        times.append(asyncio.get_running_loop().time())
        if len(times) <= failures:
            raise error or ValueError(f"failure {len(times)}")
        return len(times)

    return flaky, times


async def run_and_hear(target: cs.LazyResult[Any]) -> tuple[Any, list[TaskRetrying]]:
    heard: list[TaskRetrying] = []
    bus = MessageBus()
    bus.subscribe(TaskRetrying, heard.append)

    async with Engine(bus=bus) as engine:
        value = await engine.run(target)
    return value, heard


@pytest.mark.virtual_time
async def test_max_attempts_counts_the_retries() -> None:
    """`with_retry(max_attempts=3)` allows three calls after the first: three failures are survived."""
    task, times = flaky(failures=3)
    assert await cs.arun(task().with_retry(max_attempts=3)) == 4
    assert len(times) == 4


@pytest.mark.virtual_time
async def test_the_last_failure_comes_out() -> None:
    """When all `1 + max_attempts` calls have failed, the last one's own exception comes out."""
    task, times = flaky(failures=9)
    with pytest.raises(ValueError, match="failure 3"):
        await cs.arun(task().with_retry(max_attempts=2))
    assert len(times) == 3


@pytest.mark.virtual_time
async def test_by_default_there_are_three_retries_without_waits() -> None:
    """`with_retry()` retries three times, at once."""
    task, times = flaky(failures=9)
    with pytest.raises(ValueError, match="failure 4"):
        await cs.arun(task().with_retry())
    assert times == [0.0] * 4


@pytest.mark.virtual_time
async def test_no_retries_is_one_call() -> None:
    """`max_attempts=0` makes the call once."""
    task, times = flaky(failures=1)
    with pytest.raises(ValueError, match="failure 1"):
        await cs.arun(task().with_retry(max_attempts=0))
    assert len(times) == 1


@pytest.mark.virtual_time
async def test_waits_grow_by_the_backoff() -> None:
    """The wait before retry k is `delay * backoff ** (k - 1)` seconds; events and the clock agree."""
    task, times = flaky(failures=4)
    _, heard = await run_and_hear(task().with_retry(max_attempts=4, delay=2.0, backoff=3.0))
    assert [event.delay for event in heard] == [2.0, 6.0, 18.0, 54.0]
    assert times == pytest.approx([0.0, 2.0, 8.0, 26.0, 80.0])


@pytest.mark.virtual_time
async def test_waits_end_at_max_delay() -> None:
    """No wait is longer than `max_delay`."""
    task, times = flaky(failures=4)
    _, heard = await run_and_hear(task().with_retry(max_attempts=4, delay=2.0, backoff=3.0, max_delay=7.0))
    assert [event.delay for event in heard] == [2.0, 6.0, 7.0, 7.0]
    assert times == pytest.approx([0.0, 2.0, 8.0, 15.0, 22.0])


@pytest.mark.virtual_time
async def test_waits_without_end_are_no_overflow() -> None:
    """A backoff too large for a float is cut by `max_delay` like any other."""
    task, _ = flaky(failures=3)
    _, heard = await run_and_hear(task().with_retry(max_attempts=3, delay=1.0, backoff=1e300, max_delay=5.0))
    assert [event.delay for event in heard] == [1.0, 5.0, 5.0]


@pytest.mark.virtual_time
async def test_jitter_spreads_to_both_sides() -> None:
    """With `jitter=0.5` waits lie from half to one and a half of the delay, and on both sides of it."""
    random.seed(5)
    task, _ = flaky(failures=50)
    _, heard = await run_and_hear(task().with_retry(max_attempts=50, delay=10.0, jitter=0.5))
    delays = [event.delay for event in heard]
    assert all(5.0 <= delay <= 15.0 for delay in delays)
    assert min(delays) < 8.0
    assert max(delays) > 12.0


@pytest.mark.virtual_time
async def test_only_the_exceptions_of_on_are_retried() -> None:
    """An exception that is not of `on` comes out of the first call; one that is, or is below it, is retried."""
    task, times = flaky(1, KeyError("k"))
    with pytest.raises(KeyError):
        await cs.arun(task().with_retry(on=(ValueError, OSError)))
    assert len(times) == 1
    task, times = flaky(1, FileNotFoundError("f"))
    assert await cs.arun(task().with_retry(on=(ValueError, OSError))) == 2


@pytest.mark.virtual_time
async def test_base_exceptions_are_never_retried() -> None:
    """What is no `Exception` comes out of the first call."""
    task, times = flaky(1, StopAllError("now"))
    with pytest.raises(StopAllError, match="now"):
        await cs.arun(task().with_retry())
    assert len(times) == 1


@pytest.mark.virtual_time
async def test_cancellation_is_never_retried() -> None:
    """A call that ends in `CancelledError` is not made again."""
    task, times = flaky(1, asyncio.CancelledError())
    with pytest.raises(TaskCancelledError):
        await cs.arun(task().with_retry())
    assert len(times) == 1


@pytest.mark.virtual_time
async def test_cancelling_ends_the_wait() -> None:
    """A run that is cancelled while a call waits for its retry ends at once, and the call is not made again."""
    task, times = flaky(failures=9)

    running = asyncio.create_task(cs.arun(task().with_retry(delay=1000.0)))
    await asyncio.sleep(10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert now() == 10.0
    assert len(times) == 1


@pytest.mark.virtual_time
async def test_a_failure_elsewhere_ends_the_wait() -> None:
    """A sibling's failure ends the wait for a retry."""
    task, times = flaky(failures=9)

    @cs.task
    async def fail() -> None:
        await asyncio.sleep(10)
        raise KeyError("sibling")

    with pytest.raises(KeyError):
        await cs.arun([task().with_retry(delay=1000.0), fail()])
    assert now() == 10.0
    assert len(times) == 1


@pytest.mark.parametrize("mode", ["inline", "thread"])
async def test_plain_functions_are_retried_wherever_they_run(mode: Any) -> None:
    """A plain `def` is retried inline and in a thread alike."""
    calls: list[int] = []

    @cs.task(mode=mode, retry=2)
    def fragile() -> int:
        calls.append(len(calls))
        if len(calls) < 3:
            raise OSError("busy")
        return len(calls)

    assert await cs.arun(fragile()) == 3


@pytest.mark.virtual_time
async def test_the_task_itself_may_set_the_policy() -> None:
    """`@cs.task(retry=...)` holds for every call, and `with_retry` replaces it for one."""
    calls: list[int] = []

    @cs.task(retry=cs.RetryPolicy(max_attempts=2, on=ValueError))
    async def fail() -> None:
        calls.append(1)
        raise ValueError("always")

    with pytest.raises(ValueError, match="always"):
        await cs.arun(fail())
    assert len(calls) == 3
    with pytest.raises(ValueError, match="always"):
        await cs.arun(fail().with_retry(max_attempts=0))
    assert len(calls) == 4


@pytest.mark.virtual_time
async def test_retries_are_told() -> None:
    """`TaskRetrying` names the call, the retry's number, how many there may be, the wait and the error."""
    task, _ = flaky(failures=2)
    _, heard = await run_and_hear(task().with_retry(max_attempts=5, delay=1.0))
    told = [(each.task_id, each.task_name, each.attempt, each.max_attempts, each.error) for each in heard]
    assert told == [
        ("n0", "flaky", 1, 5, "ValueError: failure 1"),
        ("n0", "flaky", 2, 5, "ValueError: failure 2"),
    ]


@pytest.mark.virtual_time
async def test_all_attempts_are_one_call_to_listeners() -> None:
    """However often a call is retried, it starts once and finishes once."""
    task, _ = flaky(failures=2)
    heard: list[object] = []
    bus = MessageBus()
    bus.subscribe(TaskExecutionStarted, heard.append)
    bus.subscribe(TaskExecutionFinished, heard.append)

    async with Engine(bus=bus) as engine:
        await engine.run(task().with_retry())
    assert [type(event) for event in heard] == [TaskExecutionStarted, TaskExecutionFinished]


@pytest.mark.virtual_time
async def test_slots_are_free_between_attempts() -> None:
    """A call that waits for its retry holds no capacity: another one runs meanwhile."""
    task, times = flaky(failures=1)
    at: list[float] = []

    @cs.task
    async def other() -> None:
        at.append(asyncio.get_running_loop().time())

    targets = [task().with_retry(delay=100.0).with_constraints(gpu=1), other().with_constraints(gpu=1)]
    await cs.arun(targets, system_resources={"gpu": 1})
    assert times == [0.0, 100.0]
    assert at == [0.0]


@pytest.mark.virtual_time
async def test_the_returned_tree_is_not_covered() -> None:
    """Retries cover the function's own body: when the tree that it returned fails, it is not called again."""
    inner, inner_times = flaky(failures=9)
    calls: list[int] = []

    @cs.task
    async def outer() -> int | cs.LazyResult[int]:
        calls.append(1)
        return inner()

    with pytest.raises(ValueError, match="failure 1"):
        await cs.arun(outer().with_retry())
    assert (len(calls), len(inner_times)) == (1, 1)


@pytest.mark.virtual_time
async def test_the_returned_lazy_result_brings_its_own_policies() -> None:
    """The call that a task returns is retried by its own policy, not by that of the task that returned it."""
    inner, times = flaky(failures=2)

    @cs.task
    async def outer() -> int | cs.LazyResult[int]:
        return inner().with_retry(max_attempts=2)

    assert await cs.arun(outer()) == 3
    assert len(times) == 3
