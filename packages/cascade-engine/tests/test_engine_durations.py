"""Claims about the times that events tell: they are those of the call itself, however it is made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support.stores import unstored

import cascade as cs
from cascade.adapters.state import InMemoryStateBackend
from cascade.runtime import Engine, Event, MessageBus, TaskExecutionFinished, TaskExecutionStarted

CALL = 0.01
"""How long a call takes, in seconds."""

EXTRA = [0.0]
"""The time that calls have taken, beside that of the loop's clock."""


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let the clock go on where a call works, or the loop waits."""
    loop = asyncio.get_running_loop()
    EXTRA[0] = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: loop.time() + EXTRA[0])
    yield
    EXTRA[0] = 0.0


@cs.task
def work(number: int, *given: object) -> int:
    EXTRA[0] += CALL
    return number


@cs.task
async def work_later(number: int, *given: object) -> int:
    EXTRA[0] += CALL
    return number


@cs.task
def use(number: int, db: object = cs.inject("db")) -> int:
    EXTRA[0] += CALL
    return number


@cs.task
def use_async(number: int, tx: object = cs.inject("tx")) -> int:
    EXTRA[0] += CALL
    return number


@cs.resource
def db() -> Iterator[int]:
    EXTRA[0] += 5
    yield 1


@cs.resource(scope="task")
async def tx() -> AsyncIterator[int]:
    await asyncio.sleep(1)
    yield 1
    await asyncio.sleep(1)


class Kept(InMemoryStateBackend):
    """A state that is not the built-in one, so that every call goes through frames."""


numbers = range(10)
KINDS: dict[str, Callable[[], Any]] = {
    "plain": lambda: [work(n) for n in numbers],
    "retry": lambda: [work(n).with_retry(1) for n in numbers],
    "cache": lambda: [work(n).with_cache(cs.ByInputs()) for n in numbers],
    "constraints": lambda: [work(n).with_constraints(gpu=1) for n in numbers],
    "condition": lambda: [work(n).run_if(work(1)) for n in numbers],
    "resource": lambda: [use(n) for n in numbers],
    "resource with a retry": lambda: [use(n).with_retry(1) for n in numbers],
    "resource of the call": lambda: [use_async(n) for n in numbers],
    "coroutine": lambda: [work_later(n) for n in numbers],
    "coroutine with a timeout": lambda: [work_later(n).with_timeout(9) for n in numbers],
    "map": lambda: work.map(numbers),
    "map with a retry": lambda: work.map(numbers).with_retry(1),
    "loop": lambda: cs.task(lambda: work(1, work(2)))(),
}


# The end of a call is told when its own resources are released, for that may fail; another call may run meanwhile.
INLINE = [kind for kind in KINDS if "coroutine" not in kind and kind != "resource of the call"]


async def watched(kind: str, **engine: Any) -> list[Any]:
    """Run the calls of one kind; return the events of what they did."""
    bus, events = MessageBus(), list[Any]()
    bus.subscribe(Event, events.append)

    async with Engine(bus=bus, system_resources={"gpu": 20}, **engine) as made:
        made.register(db)
        made.register(tx)
        await made.run(KINDS[kind](), run_id="r")
    names = ("work", "work_later", "use", "use_async")
    return [event for event in events if getattr(event, "task_name", "") in names]


def of_a_map(event: Any) -> bool:
    return bool(event.task_id == "n0")


WAYS: dict[str, Callable[[], dict[str, Any]]] = {
    "alone": dict,
    "with a state": lambda: {"state_backend_cls": Kept},
    "recorded": lambda: {"state_backend_cls": unstored},
    "with a limit": lambda: {"max_concurrency": 3},
}


@pytest.mark.virtual_time
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("way", list(WAYS))
async def test_the_duration_of_a_call_is_its_own(kind: str, way: str) -> None:
    """Ten calls of 10 ms each tell 10 ms, with policies and resources too, whoever else runs meanwhile."""
    events = await watched(kind, **WAYS[way]())
    finished = [event for event in events if isinstance(event, TaskExecutionFinished)]
    calls = [event for event in finished if not ("map" in kind and of_a_map(event))]
    assert len(calls) >= (10 if kind != "loop" else 2)
    assert [event.duration for event in calls] == [pytest.approx(CALL, abs=1e-6)] * len(calls)


@pytest.mark.virtual_time
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("kind", INLINE)
@pytest.mark.parametrize("way", list(WAYS))
async def test_the_events_of_a_call_are_told_when_it_happens(kind: str, way: str) -> None:
    """Of calls that follow each other the end of one is told before the beginning of the next."""
    events = await watched(kind, **WAYS[way]())
    if "map" in kind:
        events = [event for event in events if not of_a_map(event)]
    told = [(event.task_id, type(event)) for event in events if not hasattr(event, "reason")]
    begun = told[0::2]
    assert [each for each, kind in begun if kind is TaskExecutionStarted] == [each for each, _ in begun]
    assert told[1::2] == [(each, TaskExecutionFinished) for each, _ in begun]


@pytest.mark.virtual_time
@pytest.mark.usefixtures("clock")
async def test_listeners_take_their_own_time() -> None:
    """The time that a listener takes is not told as that of a call."""
    bus, durations = MessageBus(), list[float]()

    def slow(event: Event) -> None:
        EXTRA[0] += 0.02

    bus.subscribe(Event, slow)
    bus.subscribe(TaskExecutionFinished, lambda event: durations.append(event.duration))

    async with Engine(bus=bus) as engine:
        await engine.run(work(1, work(2), work(3).with_retry()))
    assert durations == [pytest.approx(CALL)] * 3


@pytest.mark.virtual_time
@pytest.mark.usefixtures("clock")
async def test_waits_between_attempts_are_part_of_a_call() -> None:
    """The duration of a call with retries goes from the first attempt to the end of the last one."""
    bus, durations = MessageBus(), list[float]()
    bus.subscribe(TaskExecutionFinished, lambda event: durations.append(event.duration))
    tries: list[int] = []

    @cs.task
    def flaky(tx: object = cs.inject("tx")) -> None:
        EXTRA[0] += CALL
        tries.append(1)
        if len(tries) < 3:
            raise ValueError

    async with Engine(bus=bus) as engine:
        engine.register(tx)
        await engine.run(flaky().with_retry(2, delay=7))
    # Three attempts, two back-offs, and two openings of the resource in between.
    assert durations == [pytest.approx(3 * CALL + 2 * 7 + 2)]


@pytest.mark.virtual_time
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("scope", ["run", "task"])
async def test_a_call_whose_resource_fails_has_begun_and_ended(scope: str) -> None:
    """A resource that can't be opened is the failure of a call, which has taken no time."""
    bus, events = MessageBus(), list[Any]()
    bus.subscribe(Event, events.append)

    @cs.resource(name="db", scope=scope)
    def broken() -> Iterator[int]:
        EXTRA[0] += 5
        raise OSError("refused")
        yield 1

    async with Engine(bus=bus) as engine:
        engine.register(broken)
        with pytest.raises(OSError, match="refused"):
            await engine.run(use(1))
    assert [type(event) for event in events[1:-1]] == [TaskExecutionStarted, TaskExecutionFinished]
    assert (events[2].status, events[2].duration) == ("Failed", pytest.approx(0))
