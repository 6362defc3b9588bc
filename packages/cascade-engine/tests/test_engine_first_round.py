"""Runs that their first round ends have no parts: whatever else comes up goes on as in any other run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar

import pytest

import cascade as cs
from cascade.runtime import Event, RunFinished, RunStarted

MET = 5
"""How often a structure is met before its code is certainly written."""

ACT = ContextVar("ACT", default="double")


@cs.task
def act(number: int) -> object:
    """Do what the test says."""
    return ACTS[ACT.get()](number)


@cs.task
def last(number: int) -> int:
    return number + 1


def _raise(number: int) -> object:
    raise ValueError(number)


def _interrupt(number: int) -> object:
    raise KeyboardInterrupt(number)


def _set_context(number: int) -> object:
    ACT.set("raise")
    return number


async def _later(number: int) -> int:
    await asyncio.sleep(0)
    return 3 * number


ACTS: dict[str, Callable[[int], object]] = {
    "double": lambda number: 2 * number,
    "raise": _raise,
    "interrupt": _interrupt,
    "tree": last,
    "chain": lambda number: last(last(number)),
    "await": _later,
    "set": _set_context,
}


@pytest.fixture
async def engine() -> AsyncIterator[cs.Engine]:
    """An engine that knows the structure of one call."""
    async with cs.Engine() as engine:
        for number in range(MET):
            assert await engine.run(act(number)) == 2 * number
        yield engine


@pytest.mark.parametrize(
    ("what", "value"), [("double", 14), ("tree", 8), ("chain", 9), ("await", 21), ("set", 7)]
)
async def test_a_known_call_gives_what_it_gives_in_any_run(engine: cs.Engine, what: str, value: int) -> None:
    """A value, a returned tree and an awaitable come out; what a call sets in its context stays in the run."""
    for _ in range(3):
        ACT.set(what)
        assert await engine.run(act(7)) == value
        assert ACT.get() == what


async def test_a_failure_is_raised_with_its_notes(engine: cs.Engine) -> None:
    """The error of a first call names the task, as that of any other call does, and the engine goes on."""
    ACT.set("raise")
    with pytest.raises(ValueError, match="7") as caught:
        await engine.run(act(7))
    assert any("act" in note for note in caught.value.__notes__)
    ACT.set("double")
    assert await engine.run(act(7)) == 14


async def test_an_interrupt_ends_the_run(engine: cs.Engine) -> None:
    """What ends the program comes out of a first call unchanged."""
    ACT.set("interrupt")
    with pytest.raises(KeyboardInterrupt):
        await engine.run(act(7))


async def test_who_subscribes_during_the_first_call_hears_the_end() -> None:
    """A listener that comes while a run goes on hears its end, and all of the next run."""
    bus = cs.MessageBus()
    heard: list[Event] = []

    @cs.task
    def subscribe(now: bool) -> bool:
        if now:
            bus.subscribe(RunStarted, heard.append)
            bus.subscribe(RunFinished, heard.append)
        return now

    async with cs.Engine(bus=bus) as engine:
        for _ in range(MET):
            await engine.run(subscribe(False))
        assert await engine.run(subscribe(True))
        assert type(heard[-1]) is RunFinished
        heard.clear()
        await engine.run(subscribe(False))
        assert [type(event) for event in heard] == [RunStarted, RunFinished]


async def test_short_runs_leave_others_their_turn(engine: cs.Engine) -> None:
    """Runs that follow each other give the event loop its turn, though each one ends in its first round."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for _ in range(1_000_000):
        await engine.run(act(1))
        if turns >= 3:
            break
    counting.cancel()
    assert turns >= 3


async def test_settings_are_checked_though_the_call_is_known(engine: cs.Engine) -> None:
    """A run that is given something beside its target is checked as ever."""
    with pytest.raises(cs.CascadeError, match="no parameter"):
        await engine.run(act(1), params={"other": 1})
    with pytest.raises(cs.CascadeError, match="nothing is recorded"):
        await engine.run(act(1), run_id="a", restart=True)
