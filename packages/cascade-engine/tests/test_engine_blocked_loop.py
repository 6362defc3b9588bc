"""Claims about functions that hold the event loop, on a clock that moves only while they do."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import spend, still_clock

import cascade as cs
from cascade.runtime import BlockedLoopWarning, Engine

LONG, SHORT = 0.13, 0.001


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with still_clock():
        yield


async def warnings_of(*targets: cs.LazyResult[Any], beside: bool = True) -> list[str]:
    """Run targets one after the other, perhaps with something else that waits, and return the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        waiting = asyncio.create_task(asyncio.sleep(3600)) if beside else None
        async with Engine() as engine:
            for target in targets:
                await engine.run(target)
        if waiting is not None:
            waiting.cancel()
    assert {each.category for each in caught} <= {BlockedLoopWarning}
    return [str(each.message) for each in caught]


async def test_the_second_offence_is_told_once() -> None:
    """A task that holds the loop is named at its second offence, once, with what to do about it."""

    @cs.task
    def hold(seconds: float) -> None:
        spend(seconds)

    assert await warnings_of(hold(LONG)) == []
    told = await warnings_of(hold(LONG), hold(LONG), hold(LONG))
    assert len(told) == 1
    assert "task 'hold' held the event loop for 0.1" in told[0]
    assert 'mode="thread"' in told[0]
    assert 'mode="process"' in told[0]


async def test_each_task_has_its_own_account() -> None:
    """Two tasks with one offence each are not told of."""

    def hold(seconds: float) -> None:
        spend(seconds)

    assert await warnings_of(cs.task(hold)(LONG), cs.task(hold)(LONG)) == []


async def test_nobody_is_told_when_nobody_waits() -> None:
    """A loop that has nothing else to do may be held."""

    @cs.task
    def hold(seconds: float) -> None:
        spend(seconds)

    assert await warnings_of(hold(LONG), hold(LONG), beside=False) == []


async def test_many_short_calls_are_no_offence() -> None:
    """Time is measured between the loop's turns: calls that take long only together are not told of."""

    @cs.task
    def brief(number: int) -> int:
        spend(SHORT)
        return number

    assert await warnings_of(brief.map(range(150)), brief.map(range(150))) == []


async def test_tasks_with_policies_are_measured_too() -> None:
    """An inline function with a retry policy holds the loop like any other."""

    @cs.task(retry=1)
    def hold(seconds: float) -> None:
        spend(seconds)

    told = await warnings_of(hold(LONG), hold(LONG))
    assert len(told) == 1
    assert "task 'hold'" in told[0]


def test_a_task_of_the_same_run_that_waits_counts(recwarn: pytest.WarningsRecorder) -> None:
    """What waits may be a part of the same run."""
    calls, enough = list[float](), asyncio.Event()

    @cs.task
    def hold(seconds: float) -> None:
        spend(seconds)
        calls.append(seconds)
        if len(calls) == 3:
            enough.set()

    @cs.task
    async def wait() -> None:
        await enough.wait()

    with pytest.warns(BlockedLoopWarning, match="task 'hold'"):
        cs.run([wait(), hold(LONG), hold(LONG), hold(LONG)])


def test_the_commit_of_the_run_itself_is_nobody_who_waits(tmp_path: Path) -> None:
    """A recorded run on a loop that has nothing else to do may hold it like any other."""

    @cs.task
    def hold(seconds: float) -> None:
        spend(seconds)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cs.run([hold(LONG) for _ in range(4)], state=f"sqlite:///{tmp_path}/runs.db", run_id="r")
