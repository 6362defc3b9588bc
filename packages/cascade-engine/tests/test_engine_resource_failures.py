"""Claims about resources when something fails: rolled back, all released, and the first error comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from support.loops import now

import cascade as cs
from cascade.runtime import Engine, MessageBus, ResourceReleased, ResourceYieldError


@cs.task
def fail(db: object = cs.inject("db")) -> None:
    raise ValueError("the task's")


@cs.task
def use(db: object = cs.inject("db")) -> object:
    return db


@pytest.mark.parametrize("scope", ["run", "task"])
def test_a_failure_is_thrown_into_the_generator(scope: str) -> None:
    """A `with transaction():` inside a provider sees the failure and rolls back."""
    log: list[str] = []

    @contextmanager
    def transaction() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            log.append(f"rollback after {error}")
            raise
        else:
            log.append("commit")

    @cs.resource(scope=scope)
    def db() -> Iterator[None]:
        with transaction():
            yield

    with pytest.raises(ValueError, match="the task's"):
        cs.run(fail(), resources=[db])
    assert log == ["rollback after the task's"]
    cs.run(use(), resources=[db])
    assert log == ["rollback after the task's", "commit"]


@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_failure_comes_out_even_if_it_is_swallowed(kind: str, scope: str) -> None:
    """A provider that catches the failure and goes on does not hide it."""

    @cs.resource(name="db", scope=scope)
    def plain() -> Iterator[None]:
        with suppress(ValueError):
            yield

    @cs.resource(name="db", scope=scope)
    async def later() -> AsyncIterator[None]:
        try:
            yield
        except ValueError:
            await asyncio.sleep(0)

    with pytest.raises(ValueError, match="the task's"):
        cs.run(fail(), resources=[plain if kind == "sync" else later])


def broken(name: str, log: list[str], scope: str = "run") -> Any:
    @cs.resource(name=name, scope=scope)
    def provider() -> Iterator[str]:
        try:
            yield name
        finally:
            log.append(name)
            raise OSError(f"release of {name}")

    return provider


@pytest.mark.parametrize("scope", ["run", "task"])
def test_a_failing_release_does_not_stop_the_others(scope: str) -> None:
    """When releases fail, all others are still released; the first error comes out and the rest is in its notes."""
    log: list[str] = []

    @cs.task
    def three(a: str = cs.inject("a"), b: str = cs.inject("b"), c: str = cs.inject("c")) -> str:
        return a + b + c

    resources = [broken(name, log, scope) for name in "abc"]
    with pytest.raises(OSError, match="release of c") as caught:
        cs.run(three(), resources=resources)
    assert log == ["c", "b", "a"]
    notes = " ".join(caught.value.__notes__)
    assert "while releasing resource 'c'" in notes
    assert "release of b" in notes
    assert "release of a" in notes


@pytest.mark.parametrize("scope", ["run", "task"])
def test_a_failing_release_does_not_hide_the_failure(scope: str) -> None:
    """The task's own exception comes out; what the release raised is noted on it."""
    log: list[str] = []
    with pytest.raises(ValueError, match="the task's") as caught:
        cs.run(fail(), resources=[broken("db", log, scope)])
    assert log == ["db"]
    assert "release of db" in " ".join(caught.value.__notes__)


@pytest.mark.parametrize("scope", ["run", "task"])
def test_an_error_raised_from_the_failure_is_not_lost(scope: str) -> None:
    """What a provider raises `from` the failure is noted on the failure, too."""

    @cs.resource(scope=scope)
    def db() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise OSError("rollback failed") from error

    with pytest.raises(ValueError, match="the task's") as caught:
        cs.run(fail(), resources=[db])
    assert "rollback failed" in " ".join(caught.value.__notes__)


async def test_a_failing_release_is_told() -> None:
    """`ResourceReleased` tells what the release raised."""
    heard: list[ResourceReleased] = []
    bus = MessageBus()
    bus.subscribe(ResourceReleased, heard.append)

    async def main() -> None:
        async with Engine(bus=bus) as engine:
            engine.register(broken("db", []))
            await engine.run(use())

    with pytest.raises(OSError, match="release of db"):
        await main()
    assert [event.error for event in heard] == ["OSError: release of db"]


@pytest.mark.parametrize("scope", ["run", "task"])
def test_a_stop_iteration_of_a_task_is_no_error_of_the_release(scope: str) -> None:
    """Python makes a `RuntimeError` of a `StopAsyncIteration` that leaves a generator; a provider may let it out."""
    heard: list[ResourceReleased] = []
    bus = MessageBus()
    bus.subscribe(ResourceReleased, heard.append)

    @cs.resource(scope=scope)
    async def db() -> AsyncIterator[int]:
        yield 1

    @cs.task
    async def fail(value: int = cs.inject("db")) -> None:
        raise StopAsyncIteration(value)

    with pytest.raises(StopAsyncIteration):
        cs.run(fail(), resources=[db], bus=bus)
    assert [event.error for event in heard] == [None]


@pytest.mark.parametrize("scope", ["run", "task"])
def test_a_failing_acquisition_is_the_calls_failure(scope: str) -> None:
    """What a provider raises before its yield comes out of the run, and what was open before is released."""
    log: list[str] = []

    @cs.resource(name="pool", scope=scope)
    def pool() -> Iterator[str]:
        log.append("+pool")
        try:
            yield "pool"
        except ConnectionError:
            log.append("-pool")
            raise

    @cs.resource(name="db", scope=scope)
    def db(pool: str = cs.inject("pool")) -> Iterator[str]:
        raise ConnectionError("refused")
        yield pool

    with pytest.raises(ConnectionError, match="refused") as caught:
        cs.run(use(), resources=[pool, db])
    assert log == ["+pool", "-pool"]
    assert any("task 'use'" in note for note in caught.value.__notes__)


def test_a_failed_acquisition_is_tried_again_by_a_retry() -> None:
    """A call that is retried asks the provider anew, whose first try failed."""
    tries: list[int] = []

    @cs.resource
    def db() -> Iterator[str]:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("refused")
        yield "db"

    assert cs.run(use().with_retry(max_attempts=2), resources=[db]) == "db"
    assert len(tries) == 3


@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_provider_that_never_yields_is_refused(kind: str, scope: str) -> None:
    """A provider without a value is an error that names the resource."""

    @cs.resource(name="db", scope=scope)
    def plain() -> Iterator[None]:
        yield from ()

    @cs.resource(name="db", scope=scope)
    async def later() -> AsyncIterator[None]:
        nothing: tuple[None, ...] = ()
        for each in nothing:
            yield each

    with pytest.raises(ResourceYieldError, match="resource 'db' yields nothing"):
        cs.run(use(), resources=[plain if kind == "sync" else later])


@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_provider_that_yields_twice_is_refused(kind: str, scope: str) -> None:
    """A provider with a second value is an error that names the resource, and is closed."""
    closed: list[str] = []

    @cs.resource(name="db", scope=scope)
    def plain() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("db")

    @cs.resource(name="db", scope=scope)
    async def later() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("db")

    with pytest.raises(ResourceYieldError, match="resource 'db' yields more than once"):
        cs.run(use(), resources=[plain if kind == "sync" else later])
    assert closed == ["db"]


def test_with_finish_the_group_is_thrown_in() -> None:
    """With `on_failure="finish"` a provider of the run sees the group of all failures."""
    seen: list[BaseException] = []

    @cs.resource
    def db() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(error)
            raise

    with pytest.raises(ExceptionGroup) as caught:
        cs.run([fail(), fail()], resources=[db], on_failure="finish")
    assert seen == [caught.value]
    assert len(caught.value.exceptions) == 2


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["run", "task"])
async def test_resources_are_released_when_the_caller_cancels(scope: str) -> None:
    """Cancelling the run throws the cancellation into its providers, which may still await, and waits for them."""
    log: list[str] = []

    @cs.resource(scope=scope)
    async def db() -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            log.append("released")
            raise

    @cs.task
    async def wait(db: None = cs.inject("db")) -> None:
        await asyncio.sleep(1000)

    running = asyncio.create_task(cs.arun(wait(), resources=[db]))
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log == ["released"]
    assert now() == 6.0


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["run", "task"])
async def test_cancelling_ends_an_acquisition(scope: str) -> None:
    """A provider that is still opening when the run is cancelled is cancelled too."""
    log: list[str] = []

    @cs.resource(scope=scope)
    async def db() -> AsyncIterator[None]:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            log.append("gave up")
            raise
        yield

    running = asyncio.create_task(cs.arun(use(), resources=[db]))
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log == ["gave up"]
    assert now() == 1.0


@pytest.mark.virtual_time
async def test_what_waits_to_be_opened_is_not_opened_any_more_when_the_run_ends() -> None:
    """Resources of the run are opened one after the other; those whose turn comes after its end are never opened."""
    opened: list[str] = []

    @cs.resource
    async def slow() -> AsyncIterator[None]:
        opened.append("slow")
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)
        yield

    @cs.resource
    def next_one() -> Iterator[None]:
        opened.append("next")
        yield

    @cs.task
    async def takes(resource: None) -> None: ...

    calls = [takes(cs.inject("slow")), takes(cs.inject("next_one"))]
    running = asyncio.create_task(cs.arun(calls, resources=[slow, next_one]))
    await asyncio.sleep(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert opened == ["slow"]


@pytest.mark.virtual_time
async def test_a_failure_elsewhere_ends_an_acquisition() -> None:
    """A sibling's failure does not wait for a provider that is still opening."""

    @cs.resource
    async def db() -> AsyncIterator[None]:
        await asyncio.sleep(1000)
        yield

    @cs.task
    async def fail_soon() -> None:
        await asyncio.sleep(1)
        raise KeyError("sibling")

    with pytest.raises(KeyError):
        await cs.arun([use(), fail_soon()], resources=[db])
    assert now() == 1.0


@pytest.mark.virtual_time
async def test_cancelling_again_does_not_cut_a_release_short() -> None:
    """A release is never left half done, however often the caller cancels."""
    log: list[str] = []

    @cs.resource
    async def db() -> AsyncIterator[None]:
        yield
        await asyncio.sleep(10)
        log.append("released")

    running = asyncio.create_task(cs.arun(use(), resources=[db]))
    for _ in range(3):
        await asyncio.sleep(1)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log == ["released"]


@pytest.mark.virtual_time
async def test_a_provider_that_swallows_the_cancellation_does_not_start_its_task() -> None:
    """The call that a cancelled run wanted the resource for is not made."""
    opening, called = asyncio.Event(), False

    @cs.resource(scope="task")
    async def stubborn() -> Any:
        opening.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        yield 1

    @cs.task
    async def uses(value: Any = cs.inject("stubborn")) -> None:
        nonlocal called
        called = True
        await asyncio.sleep(60)

    engine = cs.Engine()
    engine.register(stubborn)
    run = asyncio.create_task(engine.run(uses()))
    await opening.wait()
    run.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await run
    assert not called


def test_resources_close_in_order_when_the_loop_is_shut_down() -> None:
    """A run in the background that `asyncio.run` cancels with everything else throws its failure into providers."""
    thrown: list[type[BaseException]] = []

    @cs.resource
    async def held() -> Any:
        try:
            yield 1
        except BaseException as error:
            thrown.append(type(error))
            raise

    @cs.task
    async def waits(value: Any = cs.inject("held")) -> None:
        await asyncio.sleep(60)

    async def main() -> asyncio.Task[Any]:
        engine = cs.Engine()
        engine.register(held)
        run = asyncio.create_task(engine.run(waits()))
        await asyncio.sleep(0.02)
        return run

    assert asyncio.run(main()).cancelled()
    assert thrown == [asyncio.CancelledError]
