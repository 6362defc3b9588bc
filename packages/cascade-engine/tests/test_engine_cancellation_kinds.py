"""Claims about where a cancellation comes from, and where it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.clock import spend
from support.loops import now

import cascade as cs
from cascade.adapters.state import InMemoryStateBackend
from cascade.runtime import (
    Engine,
    Event,
    MessageBus,
    ResourceAcquired,
    ResourceCancelledError,
    ResourceReleased,
    RunFinished,
    RunStarted,
    Status,
    TaskBlocked,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)


@cs.task
def give(value: Any = None, *others: Any) -> Any:
    return value


@cs.task
async def sleep(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


@cs.resource(name="pool")
async def slow_pool() -> AsyncIterator[int]:
    await asyncio.sleep(0)
    try:
        yield 1
    finally:
        await asyncio.sleep(0)


class Kept(InMemoryStateBackend):
    """A state that is not the built-in one, so that every call goes through frames."""


def trees() -> dict[str, Callable[[], Any]]:
    return {
        "plain": lambda: give(1),
        "coroutines": lambda: give(1, sleep(0), sleep(1)),
        "resource": lambda: give(1, cs.inject("pool")),
        "policies": lambda: give(1, sleep(1).with_retry(1), sleep(0).with_timeout(9)),
        "cached": lambda: give(1, sleep(1).with_cache(cs.ByInputs())),
        "map": lambda: give(1, sleep.map([0, 1, 2])),
        "thread": lambda: cs.task(mode="thread")(lambda: 1)(),
    }


@pytest.mark.virtual_time
@pytest.mark.parametrize("tree", list(trees()))
@pytest.mark.parametrize("state", [InMemoryStateBackend, Kept], ids=["built-in", "state"])
async def test_a_cancel_scope_around_a_run_works_at_every_await(tree: str, state: Any) -> None:
    """Whenever `anyio` cancels the scope around `arun`, the scope ends there, and the run has ended in order."""

    async def main() -> None:
        for turns in range(60):
            bus, events = MessageBus(), list[Event]()
            bus.subscribe(Event, events.append)
            value = None
            with anyio.CancelScope() as scope:
                _cancel_after(turns, scope)
                async with Engine(bus=bus, state_backend_cls=state) as engine:
                    engine.register(slow_pool)
                    value = await engine.run(trees()[tree]())
            assert value == 1 or scope.cancelled_caught, turns
            assert asyncio.all_tasks() == {asyncio.current_task()}
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            if events:
                assert isinstance(events[-1], RunFinished)
            opened = [type(event) for event in events]
            assert opened.count(ResourceAcquired) == opened.count(ResourceReleased)
            if value == 1 and turns > 40:
                return

    await main()


def _cancel_after(turns: int, scope: anyio.CancelScope) -> None:
    loop = asyncio.get_running_loop()
    if turns:
        loop.call_soon(_cancel_after, turns - 1, scope)
    else:
        scope.cancel()


async def test_move_on_after() -> None:
    """`anyio.move_on_after` around a run moves on, and the task that was cut short has ended."""
    ended: list[int] = []

    @cs.task
    async def long() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    with anyio.move_on_after(0.01) as scope:
        await cs.arun(long())
    assert scope.cancelled_caught
    assert ended == [1]


@pytest.mark.virtual_time
@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("tree", ["plain", "coroutines", "resource", "policies"])
async def test_the_callers_own_cancellation_comes_out(turns: int, tree: str) -> None:
    """Whoever is cancelled in a run is cancelled with the message that was given."""
    engine = Engine()
    engine.register(slow_pool)
    running = asyncio.create_task(engine.run(trees()[tree]()))
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled = running.cancel("because of this")
    try:
        assert await running == 1
        assert not cancelled
    except asyncio.CancelledError as error:
        assert error.args == ("because of this",)  # noqa: PT017 - it may come out or not
        assert running.cancelled()


@pytest.mark.virtual_time
async def test_a_failure_that_came_first_comes_out() -> None:
    """Who is cancelled while a run cleans up after a failure gets the failure."""

    @cs.task
    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)

    @cs.task
    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("first")

    running = asyncio.create_task(cs.arun([stubborn(), fail()]))
    await asyncio.sleep(3)
    running.cancel()
    with pytest.raises(ValueError, match="first"):
        await running


@pytest.mark.virtual_time
@pytest.mark.parametrize("failure", [None, "raises"])
async def test_a_cancelled_run_says_so(failure: str | None) -> None:
    """The events of a cancelled run, and of its calls under way, have the status `Cancelled`."""
    bus, events = MessageBus(), list[Any]()
    bus.subscribe(Event, events.append)

    @cs.task
    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            if failure:
                raise ValueError("while it ended")

    async with Engine(bus=bus) as engine:
        running = asyncio.create_task(engine.run([work(), work().with_retry(), give(work)]))
        await asyncio.sleep(1)
        running.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await running
    assert isinstance(events[-1], RunFinished)
    assert (events[-1].status, events[-1].error) == ("Cancelled", "CancelledError: enough")
    ends = [event.status for event in events if isinstance(event, TaskExecutionFinished)]
    assert ends == [Status.SUCCEEDED, *[Status.FAILED if failure else Status.CANCELLED] * 2]


@pytest.mark.virtual_time
async def test_closing_an_engine_cancels_its_runs() -> None:
    """A run of an engine that is closed ends with a cancellation that says why."""
    engine = Engine()
    running = asyncio.create_task(engine.run(sleep(1000)))
    await asyncio.sleep(1)
    await engine.close()
    with pytest.raises(asyncio.CancelledError, match="the engine is closed"):
        await running


@pytest.mark.parametrize("turns", range(4))
async def test_closing_is_seen_through(turns: int, tmp_path: Path) -> None:
    """Who is cancelled while an engine closes raises that when all is closed: no thread of it is left."""
    engine = Engine(cache=f"sqlite:///{tmp_path / 'cache.db'}")
    assert await engine.run(cs.task(mode="thread")(lambda: 1)().with_cache(cs.ByInputs())) == 1
    closing = asyncio.create_task(engine.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    if closing.cancel("enough"):
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await closing
    await engine.close()


# Cancellations that are aimed at a resource


def group_resource(kind: str, scope: str, log: list[str]) -> Any:
    """Return a resource that yields a task group: what is started in it fails after a second."""

    async def fail() -> None:
        await asyncio.sleep(1)
        raise OSError("the group's")

    @cs.resource(name="group", scope=scope)
    async def with_asyncio() -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield 1
        log.append("went on")

    @cs.resource(name="group", scope=scope)
    async def with_anyio() -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            yield 1
        log.append("went on")

    return with_asyncio if kind == "asyncio" else with_anyio


@cs.task
async def hold(seconds: float, log: list[str], group: int = cs.inject("group")) -> int:
    try:
        await asyncio.sleep(seconds)
    finally:
        log.append(f"held {seconds:g}")
    return group


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("kind", ["asyncio", "anyio"])
@pytest.mark.parametrize("retried", [False, True])
async def test_a_task_group_of_a_resource_fails(kind: str, scope: str, retried: bool) -> None:
    """When a task group inside a resource fails, the run fails at once with the group, siblings and all released."""
    log: list[str] = []

    @cs.resource
    def db() -> Iterator[int]:
        try:
            yield 1
        finally:
            log.append("db")

    @cs.task
    async def sibling(db: int = cs.inject("db")) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            log.append("sibling")

    async def main() -> None:
        async with Engine() as engine:
            engine.register(db)
            engine.register(group_resource(kind, scope, log))
            target = hold(500, log)
            await engine.run([sibling(), target.with_retry(on=OSError) if retried else target])

    with pytest.raises(ExceptionGroup) as caught:
        await main()
    assert [str(each) for each in caught.value.exceptions] == ["the group's"]
    assert now() == 1.0
    assert sorted(log) == ["db", "held 500", "sibling"]


@pytest.mark.virtual_time
async def test_a_group_of_a_call_is_retried() -> None:
    """The group that a call's own resource raises is that attempt's failure, and may be retried."""
    log: list[str] = []

    async def main() -> None:
        async with Engine() as engine:
            engine.register(group_resource("asyncio", "task", log))
            await engine.run(hold(50, log).with_retry(2))

    with pytest.raises(ExceptionGroup):
        await main()
    assert log == ["held 50"] * 3
    assert now() == 3.0


@pytest.mark.virtual_time
async def test_a_group_that_fails_while_another_resource_opens() -> None:
    """The run fails with the group also if the keeper is about to open something else."""
    log: list[str] = []

    @cs.resource
    async def slow() -> AsyncIterator[int]:
        await asyncio.sleep(100)
        yield 2

    async def main() -> None:
        async with Engine() as engine:
            engine.register(slow)
            engine.register(group_resource("asyncio", "run", log))
            await engine.run([hold(500, log), give(1, cs.inject("slow"))])

    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        await main()
    assert [str(each) for each in caught.value.exceptions] == ["the group's"]
    assert now() == 1.0


@pytest.mark.virtual_time
async def test_a_keeper_that_is_cancelled_ends_the_run() -> None:
    """Whoever cancels the asyncio task of a shared resource ends the run with an error that names the resource."""
    tasks: list[asyncio.Task[Any]] = []

    @cs.resource(name="group")
    async def group() -> AsyncIterator[int]:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        yield 1

    @cs.task
    async def cancel_it(group: int = cs.inject("group")) -> None:
        await asyncio.sleep(1)
        tasks[0].cancel("out of the blue")
        await asyncio.sleep(1000)

    async def main() -> None:
        async with Engine() as engine:
            engine.register(group)
            await engine.run(cancel_it())

    with pytest.raises(ResourceCancelledError, match="'group'") as caught:
        await main()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert now() == 1.0


@pytest.mark.virtual_time
async def test_whoever_cancels_every_task_cancels_the_run() -> None:
    """A run in which each asyncio task is cancelled at once raises `CancelledError`."""
    log: list[str] = []

    engine = Engine()
    engine.register(group_resource("asyncio", "run", log))
    running = asyncio.create_task(engine.run([hold(500, log), sleep(500)]))
    await asyncio.sleep(0.5)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel("all of them")
    with pytest.raises(asyncio.CancelledError, match="all of them"):
        await running
    assert log == ["held 500"]


# Listeners


EVENTS = [
    RunStarted,
    TaskExecutionStarted,
    TaskExecutionFinished,
    TaskSkipped,
    TaskRetrying,
    TaskBlocked,
    ResourceAcquired,
    ResourceReleased,
    RunFinished,
]


def everything(seen: list[int]) -> Any:
    """Return a tree with every kind of event."""

    @cs.task
    async def flaky() -> int:
        await asyncio.sleep(0)
        seen.append(1)
        if len(seen) < 2:
            raise ValueError("again")
        return 1

    return [
        give(1, cs.inject("pool")),
        give(give(1).run_if(give(False), otherwise=3)),
        flaky().with_retry(),
        sleep(1).with_constraints(gpu=1),
        sleep(1).with_constraints(gpu=1),
        cs.task(lambda: give(2))(),
        give.map([1, 2]),
    ]


async def run_with(bus: MessageBus, released: list[str], run: Any = None) -> Any:
    @cs.resource
    async def pool() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            released.append("pool")

    async with Engine(bus=bus, system_resources={"gpu": 1}) as engine:
        engine.register(pool)
        return await engine.run(everything([]) if run is None else run)


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("error", [asyncio.CancelledError("x"), GeneratorExit(), ValueError()], ids=repr)
async def test_what_a_listener_raises_stops_nothing(kind: type[Event], error: BaseException) -> None:
    """Whatever a listener raises, `CancelledError` included: it is logged, and the run goes on."""
    bus, heard, released = MessageBus(), list[Event](), list[str]()

    def broken(event: Event) -> None:
        raise error

    bus.subscribe(kind, broken)
    bus.subscribe(kind, heard.append)
    assert len(await run_with(bus, released)) == 7
    assert heard
    assert released == ["pool"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("error", [KeyboardInterrupt("x"), SystemExit(3)], ids=repr)
async def test_a_listener_may_end_the_run(kind: type[Event], error: BaseException) -> None:
    """`KeyboardInterrupt` and `SystemExit` of a listener come out, after all calls have ended and all is released."""
    bus, events, released = MessageBus(), list[Event](), list[str]()

    def interrupt(event: Event) -> None:
        raise error

    bus.subscribe(Event, events.append)
    bus.subscribe(kind, interrupt)

    with pytest.raises(type(error)) as caught:
        await run_with(bus, released)
    assert caught.value is error
    kinds = [type(event) for event in events]
    assert kinds.count(ResourceAcquired) == len(released)
    assert kinds[-1] is RunFinished
    assert kinds.count(RunFinished) == 1
    started = [event.task_id for event in events if isinstance(event, TaskExecutionStarted)]
    finished = [event.task_id for event in events if isinstance(event, TaskExecutionFinished)]
    skipped = [event.task_id for event in events if isinstance(event, TaskSkipped)]
    assert sorted(started) == sorted(finished)
    assert len(set(skipped)) == len(skipped)
    assert not set(started) & set(skipped)


@pytest.mark.virtual_time
@pytest.mark.parametrize("make", ["plain", "loop", "chain", "coroutines", "map"])
@pytest.mark.parametrize("kind", [TaskExecutionStarted, TaskExecutionFinished, RunFinished])
async def test_an_interrupt_of_a_listener_ends_any_way_of_running(make: str, kind: type[Event]) -> None:
    """An endless loop, a plain tree and coroutines end alike, and soon: with the stretch of calls told of."""
    calls: list[int] = []
    pause = 0.02 if kind is not RunFinished and make in ("chain", "map") else 0  # longer than a time slice

    @cs.task
    def count(number: int) -> Any:
        calls.append(number)
        if pause:
            spend(pause)  # so that the events of a call come before the next one
        return count(number + 1) if make == "loop" and number < 100_000 else number

    chain = count(0)
    for _ in range(100):
        chain = count(chain)
    targets = {
        "plain": count(1),
        "loop": count(1),
        "chain": chain,
        "coroutines": [sleep(1), sleep(1000)],
        "map": count.map(range(100)),
    }
    bus = MessageBus()

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    bus.subscribe(kind, interrupt)

    with pytest.raises(KeyboardInterrupt):
        await run_with(bus, [], targets[make])
    if kind is not RunFinished:
        assert len(calls) <= 2


@pytest.mark.virtual_time
async def test_an_interrupt_counts_for_more_than_a_failure() -> None:
    """`SystemExit` of a listener that hears of a failure is what comes out, with the failure in its notes."""
    bus = MessageBus()

    def leave(event: TaskExecutionFinished) -> None:
        if event.error:
            raise SystemExit(4)

    bus.subscribe(TaskExecutionFinished, leave)

    @cs.task
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(SystemExit) as caught:
        await run_with(bus, [], fail())
    assert caught.value.code == 4


def test_all_listeners_hear_of_what_one_interrupts() -> None:
    """`publish` calls every handler before it raises an interrupt."""
    bus, heard = MessageBus(), list[Event]()

    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    bus.subscribe(Event, interrupt)
    bus.subscribe(Event, heard.append)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Event("r"))
    assert heard == [Event("r")]


@pytest.mark.virtual_time
async def test_a_preview_may_raise_anything() -> None:
    """What a preview raises is logged, `CancelledError` included; `KeyboardInterrupt` ends the run."""
    for error in (ValueError(), asyncio.CancelledError(), KeyboardInterrupt()):
        bus, heard = MessageBus(), list[TaskExecutionFinished]()
        bus.subscribe(TaskExecutionFinished, heard.append)

        def preview(value: object, error: BaseException = error) -> str:
            raise error

        async def main() -> Any:
            async with Engine(bus=bus, preview=preview) as engine:  # noqa: B023
                return await engine.run(give(1))

        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                await main()
        else:
            assert await main() == 1
        assert heard[0].result_preview is None
