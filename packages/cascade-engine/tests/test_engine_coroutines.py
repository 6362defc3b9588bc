"""Claims about coroutines that need nothing but to be run, among them and among plain functions."""

from __future__ import annotations

import asyncio
import time
import warnings
from contextvars import ContextVar
from typing import Any

import pytest
from support.clock import spend
from support.loops import now

import cascade as cs
from cascade.runtime import (
    BlockedLoopWarning,
    Engine,
    Event,
    MessageBus,
    TaskCancelledError,
    TaskExecutionFinished,
    TaskExecutionStarted,
)

variable: ContextVar[int] = ContextVar("variable", default=0)


@cs.task
async def nap(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


@cs.task
def add(*values: int) -> int:
    return sum(values)


@pytest.mark.virtual_time
async def test_each_coroutine_starts_when_its_inputs_are_there() -> None:
    """There is no barrier between stages: the time is that of the longest way through the graph."""
    short = nap(nap(1, 1), 2)
    long = nap(add(short, nap(3, 2)), 4)
    assert await cs.arun([long, nap(7, 5), short]) == [4, 5, 2]
    assert now() == 7.0


def test_each_coroutine_has_a_copy_of_the_context() -> None:
    """What a coroutine sets is seen by no other; what the caller set is seen by all."""

    @cs.task
    async def swap(value: int) -> int:
        before = variable.get()
        variable.set(value)
        await asyncio.sleep(0)
        return before

    variable.set(7)
    assert cs.run([swap(1), swap(swap(2))]) == [7, 7]


def test_asyncio_tasks_are_named_after_the_tasks() -> None:
    """The asyncio task of a coroutine has the name of the task."""

    @cs.task(name="who")
    async def named() -> str:
        current = asyncio.current_task()
        assert current is not None
        return current.get_name()

    assert cs.run([named(), named()]) == ["who", "who"]


async def test_many_coroutines_leave_the_event_loop_its_turns() -> None:
    """While very many coroutines are made, others get their turn."""
    gaps: list[float] = []

    async def watch() -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0)
            gaps.append(time.monotonic() - before)
            before = time.monotonic()

    watching = asyncio.create_task(watch())
    async with Engine() as engine:
        target = cs.gather(*[nap(0, each) for each in range(2000)])
        await engine.run(target)
        gaps.clear()
        value: list[int] = await engine.run(cs.gather(*[nap(0, each) for each in range(20_000)]))
    watching.cancel()
    assert value == list(range(20_000))
    assert len(gaps) > 4


async def test_a_coroutine_cancelled_before_its_first_turn_ends_the_run() -> None:
    """Whoever cancels it from outside makes it fail; nothing hangs, and no coroutine is left that never ran."""
    begun: list[int] = []

    @cs.task
    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(1000)

    async with Engine() as engine:
        running = asyncio.create_task(engine.run([work(1), work(2), work(3)]))
        made: list[asyncio.Task[Any]] = []
        for _ in range(10):
            await asyncio.sleep(0)
            made = made or [each for each in asyncio.all_tasks() if each.get_name() == "work"]
            if len(made) == 3:
                made.pop().cancel()
        with pytest.raises(TaskCancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(begun) == 2


@pytest.mark.virtual_time
async def test_a_failure_among_coroutines_names_its_place() -> None:
    """The error has the task, its place and the run in a note, also where another tree stands in the target's place."""

    @cs.task
    async def fail(_: object) -> None:
        raise ValueError("no")

    @cs.task
    async def more() -> Any:
        return add(1, fail(nap(1)))

    for target in (add(1, fail(nap(1))), more()):
        with pytest.raises(ValueError, match="no") as caught:
            await cs.arun(target)
        assert len(caught.value.__notes__) == 1
        assert caught.value.__notes__[0].startswith("in task 'fail' at root.args.1, run ")


@pytest.mark.virtual_time
async def test_functions_among_coroutines_are_watched() -> None:
    """A function that holds the loop is named, also where coroutines run beside it."""

    @cs.task
    def hold(value: object) -> None:
        spend(0.13)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with Engine() as engine:
            for _ in range(2):
                await engine.run([hold(nap(0)), nap(0.3)])
    assert [each.category for each in caught] == [BlockedLoopWarning]
    assert "task 'hold'" in str(caught[0].message)


@pytest.mark.virtual_time
async def test_a_listener_that_comes_late_hears_what_follows() -> None:
    """What is under way when somebody subscribes is told of when it ends, what starts then from its start."""
    bus = MessageBus()
    heard: list[tuple[str, str]] = []

    def note(event: Event) -> None:
        if isinstance(event, TaskExecutionStarted):
            heard.append(("started", event.task_id))
        elif isinstance(event, TaskExecutionFinished):
            heard.append((f"finished after {event.duration >= 0}", event.task_id))

    async with Engine(bus=bus) as engine:
        running = asyncio.create_task(engine.run(add(nap(1, 1), nap(nap(2, 2), 3), nap(9, 4))))
        await asyncio.sleep(1.5)
        bus.subscribe(Event, note)
        result: int = await running
        value = result
    assert value == 8
    assert heard == [
        ("finished after True", "n4"),  # nap(2, 2)
        ("started", "n2"),
        ("finished after True", "n2"),
        ("finished after True", "n3"),  # nap(9, 4)
        ("started", "n0"),
        ("finished after True", "n0"),
    ]


async def test_what_a_late_listener_hears_of_is_measured_at_the_call() -> None:
    """However long others hold the event loop after it has ended."""
    bus, heard, gate = MessageBus(), list[TaskExecutionFinished](), asyncio.Event()

    @cs.task
    async def wait(seconds: float) -> None:
        await gate.wait()
        time.sleep(seconds)  # noqa: ASYNC251 - holds the event loop

    async with Engine(bus=bus) as engine:
        running = asyncio.create_task(engine.run([wait(0), wait(0.2)]))
        await asyncio.sleep(0.01)
        bus.subscribe(TaskExecutionFinished, heard.append)
        gate.set()
        await running
    first, second = (event.duration for event in heard if event.task_name == "wait")
    assert second - first > 0.1
