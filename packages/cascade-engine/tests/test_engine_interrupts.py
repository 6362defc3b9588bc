"""Claims about exceptions that mean more than a failure: interrupts, exits, and those that Python has a use for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Engine

KINDS = ["inline", "thread", "async", "retried", "map item"]


def task_that_raises(error: BaseException, kind: Any) -> cs.LazyResult[Any]:
    def plain(x: object = None) -> None:
        raise error

    async def later(x: object = None) -> None:
        await asyncio.sleep(0)
        raise error

    if kind == "map item":
        return cs.task(plain).map(x=[1])
    if kind == "retried":
        return cs.task(plain)().with_retry()
    return cs.task(later)() if kind == "async" else cs.task(mode=kind)(plain)()


class Log:
    """What ended around a failing task."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def sibling(self) -> Any:
        return self._sibling()

    @cs.task
    async def _sibling(self, db: object = cs.inject("db")) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            self.lines.append("sibling")

    def resource(self) -> Any:
        @cs.resource
        def db() -> Iterator[None]:
            try:
                yield
            except BaseException as error:
                self.lines.append(type(error).__name__)
                raise

        return db


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=["interrupt", "exit"])
def test_interrupts_end_the_run_in_order(kind: str, error: BaseException) -> None:
    """`KeyboardInterrupt` and `SystemExit` from a task come out when siblings have ended and resources are released."""
    log = Log()

    @cs.task
    async def soon() -> None:
        await asyncio.sleep(0.01)

    target = [log.sibling(), task_that_raises(error, kind).after(soon())]
    with pytest.raises(type(error)) as caught:
        cs.run(target, resources=[log.resource()])
    assert caught.value is error
    assert log.lines == ["sibling", type(error).__name__]


@pytest.mark.parametrize("kind", KINDS)
def test_finishing_does_not_go_on_after_an_interrupt(kind: str) -> None:
    """What is no `Exception` ends the run at once, with `on_failure="finish"` too, and is in no group."""
    log = Log()
    with pytest.raises(KeyboardInterrupt):
        cs.run(
            [log.sibling(), task_that_raises(KeyboardInterrupt(), kind)],
            resources=[log.resource()],
            on_failure="finish",
        )


def test_a_signal_cancels_the_run() -> None:
    """Ctrl-C while a run waits: siblings end, resources are released, and `KeyboardInterrupt` comes out."""
    log = Log()

    @cs.task
    async def press() -> None:
        await asyncio.sleep(0.01)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(1000)

    with pytest.raises(KeyboardInterrupt):
        cs.run([log.sibling(), press()], resources=[log.resource()])
    assert log.lines == ["sibling", "CancelledError"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [StopIteration(5), StopAsyncIteration(5)], ids=["stop", "async stop"])
def test_stop_iteration_is_an_error_like_any_other(kind: str, error: Exception) -> None:
    """`StopIteration` from a task never passes for an end: it comes out, as itself or as the cause of what does."""
    log = Log()
    with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)) as caught:
        cs.run([log.sibling(), task_that_raises(error, kind)], resources=[log.resource()])
    assert error in (caught.value, caught.value.__cause__)
    with pytest.raises(ExceptionGroup) as group:
        cs.run(cs.gather(task_that_raises(error, kind)), on_failure="finish")
    [inner] = group.value.exceptions
    assert error in (inner, inner.__cause__)


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_an_async_iterator_comes_out_as_itself(kind: str) -> None:
    """`StopAsyncIteration` from a task comes out of `cs.run` as the task raised it."""
    error = StopAsyncIteration(5)
    with pytest.raises(StopAsyncIteration) as caught:
        cs.run(task_that_raises(error, kind))
    assert caught.value is error


def test_generator_exit_is_an_error_like_any_other() -> None:
    """`GeneratorExit` from a task comes out."""
    with pytest.raises(GeneratorExit):
        cs.run(task_that_raises(GeneratorExit(), "inline"))


@pytest.mark.virtual_time
async def test_an_engine_serves_on_after_an_interrupt() -> None:
    """A run that ended in an exception of any kind leaves the engine whole."""

    class StopAllError(BaseException):
        pass

    async with Engine(system_resources={"gpu": 1}) as engine:
        with pytest.raises(StopAllError):
            await engine.run(task_that_raises(StopAllError(), "inline").with_constraints(gpu=1))
        value = await engine.run(cs.gather().with_constraints(gpu=1))
    assert value == []
