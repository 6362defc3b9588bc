"""Claims about embedding: no global state, no output, nobody's loop but the caller's, and everything closed."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from support.clock import spend, still_clock

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import (
    Engine,
    EngineClosedError,
    EngineLoopError,
    Event,
    RequirementError,
    RunningLoopError,
)

request_id: ContextVar[int] = ContextVar("request_id", default=0)


@cs.task
def give(value: object = 1) -> object:
    return value


@cs.task
async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@cs.task(mode="thread")
def thread_name() -> str:
    return threading.current_thread().name


@pytest.mark.virtual_time
async def test_an_engine_runs_in_a_running_loop() -> None:
    """`await engine.run(target)` runs in the loop that runs already, and in no other."""
    loops: list[object] = []

    @cs.task
    async def note() -> int:
        loops.append(asyncio.get_running_loop())
        return 5

    loops.append(asyncio.get_running_loop())
    assert await Engine().run(note()) == 5
    assert loops[0] is loops[1]


@pytest.mark.virtual_time
async def test_arun_is_for_running_loops() -> None:
    """`await cs.arun(target)` gives the value in a running loop."""
    assert await cs.arun(give(2)) == 2


@pytest.mark.virtual_time
async def test_run_refuses_a_running_loop() -> None:
    """`cs.run` in a running loop raises and names what to write instead."""
    with pytest.raises(RunningLoopError, match=r"await cs\.arun\(target\)"):
        cs.run(give())


async def test_a_second_event_loop_is_refused() -> None:
    """An engine that serves one loop refuses another at the same time, says so, and serves it afterwards."""
    engine = Engine()
    serving, tried = threading.Event(), threading.Event()

    @cs.task
    async def until_tried() -> str:
        serving.set()
        while not tried.is_set():  # noqa: ASYNC110 - the other loop has no way to wake this one
            await asyncio.sleep(0.001)
        return "served"

    served: list[str] = []
    first = threading.Thread(target=lambda: served.append(asyncio.run(engine.run(until_tried()))))
    first.start()
    assert serving.wait(20)
    try:
        with pytest.raises(EngineLoopError, match="another event loop; make an Engine for each loop"):
            await engine.run(give())
    finally:
        tried.set()
        first.join()
    assert served == ["served"]
    assert await engine.run(give(3)) == 3


@pytest.mark.virtual_time
async def test_a_hundred_runs_do_not_see_each_other() -> None:
    """A hundred runs on one engine, each with its own parameters, context and failures, don't mix."""
    seen: dict[int, set[object]] = {}

    @cs.task
    async def hop(value: int, times: int) -> int | cs.LazyResult[int]:
        await asyncio.sleep(value % 3)
        seen.setdefault(request_id.get(), set()).add(value)
        return hop(value, times - 1) if times else value

    @cs.task
    def check(values: list[int], wanted: int) -> int:
        if wanted % 7 == 0:
            raise ValueError(wanted)
        assert values == [wanted] * 3
        return wanted

    number = cs.Param("number", type=int)
    target = check([hop(number, times) for times in range(3)], number)

    async def one(engine: Engine, value: int) -> object:
        request_id.set(value)
        try:
            return await engine.run(target, params={"number": value})
        except ValueError as error:
            return error.args[0] * -1

    async def main() -> list[object]:
        async with Engine(max_concurrency=20) as engine:
            return await asyncio.gather(*(one(engine, value) for value in range(100)))

    assert await main() == [-value if value % 7 == 0 else value for value in range(100)]
    assert seen == {value: {value} for value in range(100)}


async def test_async_with_ends_the_threads() -> None:
    """The threads that an engine made end with its `async with` block, and not before."""
    async with Engine() as engine:
        name = await engine.run(thread_name())
        assert name in {each.name for each in threading.enumerate()}
    assert name not in {each.name for each in threading.enumerate()}


async def test_async_with_leaves_what_was_handed_in() -> None:
    """An executor and a cache that were handed in belong to who made them: closing the engine leaves them open."""
    executor, cache = LocalExecutor(), InMemoryCacheBackend()
    async with Engine(executor=executor, cache_backend=cache) as engine:
        name = await engine.run(thread_name())
        await engine.run(give(4).with_cache(cs.ByInputs()))
    assert name in {each.name for each in threading.enumerate()}
    async with Engine(cache_backend=cache) as engine:
        assert await engine.run(give(4).with_cache(cs.ByInputs())) == 4
    await executor.close()


@pytest.mark.virtual_time
async def test_a_closed_engine_says_so() -> None:
    """A run on a closed engine is refused."""
    async with Engine() as engine:
        pass
    with pytest.raises(EngineClosedError, match="closed"):
        await engine.run(give())


@pytest.mark.virtual_time
async def test_closing_ends_the_runs_under_way() -> None:
    """Closing an engine cancels its runs and waits for them, one that has only just been asked for among them."""
    ended: list[str] = []

    @cs.task
    async def long() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            ended.append("long")

    engine = Engine()
    running = asyncio.create_task(engine.run(long()))
    await asyncio.sleep(1)
    just_asked = asyncio.create_task(engine.run(long()))
    closing = asyncio.create_task(engine.close())
    await closing
    assert ended == ["long"]
    results = await asyncio.gather(running, just_asked, return_exceptions=True)
    assert [type(each) for each in results] == [asyncio.CancelledError] * 2


def test_nothing_is_printed_or_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Runs that succeed, fail, retry and skip write nothing and log nothing, and set up no logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    @cs.task
    def fail() -> None:
        raise ValueError("no")

    with caplog.at_level(logging.DEBUG):
        cs.run([give(), sleep(0), thread_name(), give().run_if(give(0), otherwise=2)])
        for on_failure in ("stop", "finish"):
            with pytest.raises((ValueError, ExceptionGroup)):
                cs.run([fail().with_retry(), sleep(0)], on_failure=on_failure)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("cascade")]
    assert (list(root.handlers), root.level) == (handlers, level)


@pytest.mark.virtual_time
async def test_engines_share_nothing() -> None:
    """Resources, capacity and listeners of one engine are unknown to another."""
    heard: list[object] = []

    @cs.resource
    def db() -> Any:
        yield 1

    async with Engine(system_resources={"gpu": 1}) as first, Engine() as second:
        first.register(db)
        first.bus.subscribe(Event, heard.append)
        with pytest.raises(LookupError):
            second.get_resource_provider("db")
        with pytest.raises(RequirementError):
            await second.run(give().with_constraints(gpu=1))
        await second.run(give())
    assert not heard


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_a_loop_with_eager_tasks_will_do() -> None:
    """An engine runs in a loop whose tasks begin at once."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    async with Engine(system_resources={"gpu": 1}, max_concurrency=2) as engine:
        value = await engine.run(
            [
                sleep(0),
                give(1).with_retry(),
                give(2).with_constraints(gpu=1),
                thread_name().with_cache(cs.ByInputs()),
            ]
        )
    assert value[:3] == [0, 1, 2]


@pytest.mark.virtual_time
async def test_a_workflow_function_can_be_run() -> None:
    """`run` takes a function that returns the target, and the inputs that it declares count."""

    def workflow() -> cs.LazyResult[object]:
        cs.Param("unused", default=1)
        return give(cs.Param("used", type=int))

    assert await cs.arun(workflow, params={"used": 4, "unused": 2}) == 4


async def test_short_runs_that_follow_each_other_leave_the_event_loop_its_turns() -> None:
    """Runs that need no waiting, one after another for a long time, let others have their turn every 10 ms or so."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    @cs.task
    def take_5_ms() -> None:
        spend(0.005)

    counting = asyncio.create_task(count())
    with still_clock():
        async with Engine() as engine:
            for _ in range(100):
                await engine.run(take_5_ms())
    counting.cancel()
    assert 30 <= turns <= 70


async def test_a_run_that_only_computes_serves_its_loop_alone_too() -> None:
    """While a plain function runs on the engine, another loop in another thread is refused."""
    engine = Engine()
    refused: list[BaseException] = []

    def from_elsewhere() -> None:
        try:
            asyncio.run(engine.run(give(2)))
        except EngineLoopError as error:
            refused.append(error)

    @cs.task
    def busy() -> int:
        other = threading.Thread(target=from_elsewhere)
        other.start()
        other.join()
        return len(refused)

    assert await engine.run(busy()) == 1
    assert await engine.run(give(3)) == 3


async def test_what_a_plain_run_sets_stays_in_it() -> None:
    """A context variable that an inline task sets is seen by the run's later tasks and not by the caller."""

    @cs.task
    def set_it(value: int) -> int:
        before = request_id.get()
        request_id.set(value)
        return before

    @cs.task
    def read_it(_: object) -> int:
        return request_id.get()

    async with Engine() as engine:
        found = await engine.run(read_it(set_it(5))), request_id.get()
    assert found == (5, 0)


def test_lists_and_dicts_are_gathered() -> None:
    """`cs.run([a, b])` and `cs.run({"x": a})` give a list and a dict of the values."""
    assert cs.run([give(1), give(2)]) == [1, 2]
    assert cs.run({"x": give(1), "y": [give(2)]}) == {"x": 1, "y": [2]}
