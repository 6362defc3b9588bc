"""Claims about inline calls in trees that have other things too: each is made by the run itself, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from support.clock import spend, still_clock

import cascade as cs
from cascade.runtime import Engine, SkipReason
from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted, TaskRetrying, TaskSkipped

SIZE = 300


@cs.task
def one(value: int) -> int:
    return value


@cs.task
def pair(value: int, chosen: int) -> int:
    return value


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task
def true() -> bool:
    return True


@cs.task(cache=cs.ByInputs())
def kept(value: int) -> int:
    return value


@cs.task
async def awaited(value: int) -> int:
    await asyncio.sleep(0)
    return value


@cs.task(mode="thread")
def threaded(value: int) -> int:
    return value


def flaky(fails: Callable[[int], bool]) -> Any:
    """Return a task whose call fails once for the values that are told."""
    failed: set[int] = set()

    @cs.task(retry=1)
    def tried(value: int) -> int:
        if fails(value) and value not in failed:
            failed.add(value)
            raise ValueError(value)
        return value

    return tried


def of_each(call: Callable[[int], Any]) -> Any:
    return total([call(value) for value in range(SIZE)])


def ordered() -> Any:
    first = one(0)
    return of_each(lambda value: one(value).after(first))


def conditional() -> Any:
    condition = true()
    return of_each(lambda value: one(value).run_if(condition))


def routed() -> Any:
    router = cs.Router(true(), {True: one(1), False: one(2)})
    return of_each(lambda value: pair(value, router))


def with_constraints() -> Any:
    first = one(0)
    return of_each(lambda value: one(value).with_constraints(gpu=1).after(first))


def beside(other: Callable[[int], Any]) -> Any:
    """Return a tree in which three calls are of another kind."""
    first = one(0)
    return of_each(lambda value: other(value) if value % 100 == 50 else one(value).after(first))


async def tasks_made(target: Any) -> int:
    """Run a tree; return how many asyncio tasks were made for it."""
    made: list[Coroutine[Any, Any, Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **settings: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **settings)

    async with Engine(system_resources={"gpu": 1}) as engine:
        asyncio.get_running_loop().set_task_factory(factory)
        try:
            assert await engine.run(target) == sum(range(SIZE))
        finally:
            asyncio.get_running_loop().set_task_factory(None)
    return len(made)


OWN = 4
"""So many asyncio tasks a run has of its own at most, whatever the size of its tree."""


@pytest.mark.parametrize(
    ("make", "awaiting"),
    [
        (ordered, 0),
        (conditional, 0),
        (routed, 0),
        (with_constraints, 0),
        (lambda: of_each(kept), 0),
        (lambda: of_each(flaky(lambda value: value % 100 == 50)), 3),
        (lambda: beside(flaky(lambda value: True)), 3),
        (lambda: beside(awaited), 3),
        (lambda: beside(threaded), 3),
    ],
    ids=[
        "after",
        "run_if",
        "router",
        "constraints",
        "cache",
        "retries",
        "retries, after",
        "coroutines",
        "threads",
    ],
)
async def test_only_what_awaits_has_an_asyncio_task(make: Callable[[], Any], awaiting: int) -> None:
    """An inline call needs none, whatever stands beside it in its tree; one whose retry fires has one for that."""
    assert await tasks_made(make()) <= awaiting + OWN


@pytest.mark.parametrize("make", [ordered, conditional, routed, with_constraints, lambda: beside(awaited)])
async def test_each_call_is_told_of_once_and_in_order(make: Callable[[], Any]) -> None:
    """A listener hears that each call starts and then that it ends; what a call waits for has ended before."""
    events: list[Any] = []
    async with Engine(system_resources={"gpu": 1}) as engine:
        engine.bus.subscribe(TaskExecutionStarted, events.append)
        engine.bus.subscribe(TaskExecutionFinished, events.append)
        engine.bus.subscribe(TaskSkipped, events.append)
        target = make()
        assert await engine.run(target) == sum(range(SIZE))
    started = [each.task_id for each in events if isinstance(each, TaskExecutionStarted)]
    ended = [each.task_id for each in events if isinstance(each, TaskExecutionFinished)]
    assert len(started) == len({*started}) >= SIZE
    assert sorted(started) == sorted(ended)
    assert events[-1 - len([each for each in events if isinstance(each, TaskSkipped)])].task_name == "total"


async def test_a_retry_that_fires_is_told_between_the_start_and_the_end_of_its_call() -> None:
    """Whatever other calls are made meanwhile, the events of one call come in their order."""
    events: list[Any] = []
    async with Engine() as engine:
        for kind in (TaskExecutionStarted, TaskRetrying, TaskExecutionFinished):
            engine.bus.subscribe(kind, events.append)
        assert await engine.run(of_each(flaky(lambda value: value == 150))) == sum(range(SIZE))
    (retried,) = [each.task_id for each in events if isinstance(each, TaskRetrying)]
    own = [type(each) for each in events if each.task_id == retried]
    assert own == [TaskExecutionStarted, TaskRetrying, TaskExecutionFinished]


async def test_calls_in_one_frame_give_the_event_loop_its_turns() -> None:
    """However many calls are ready, others have their turn when these have taken ten milliseconds."""
    turns: list[int] = []
    made: list[int] = []

    @cs.task
    def note(value: int) -> int:
        made.append(value)
        spend(0.001)
        return value

    async def others() -> None:
        while len(made) < SIZE:
            turns.append(len(made))
            await asyncio.sleep(0)

    condition = true()
    async with Engine() as engine:
        with still_clock():
            beside_it = asyncio.ensure_future(others())
            await engine.run(of_each(lambda value: note(value).run_if(condition)))
            await beside_it
    gaps = [later - before for before, later in pairwise(turns)]
    assert max(gaps) <= 12


async def test_a_call_that_fails_stops_those_that_are_left() -> None:
    """A failure without a retry ends the run: what never started is told as stopped."""
    made: list[int] = []
    skipped: list[Any] = []

    @cs.task
    def failing(value: int) -> int:
        made.append(value)
        if value == 5:
            raise ValueError(value)
        return value

    first = one(0)
    async with Engine() as engine:
        engine.bus.subscribe(TaskSkipped, skipped.append)
        with pytest.raises(ValueError, match="5") as failure:
            await engine.run(total([failing(value).after(first) for value in range(20)]))
    assert made == [0, 1, 2, 3, 4, 5]
    assert [each.reason for each in skipped] == [SkipReason.RUN_STOPPED] * 15
    assert "in task 'failing' at root.args.0[5]" in failure.value.__notes__[0]
