"""Claims about events: what each tells, what none ever shows, and who may listen."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial, wraps
from typing import Any

import pytest
from support.ways import TIMES

import cascade as cs
from cascade import runtime
from cascade.runtime import (
    Engine,
    Event,
    MessageBus,
    ResourceAcquired,
    RunFinished,
    RunStarted,
    SkipReason,
    Status,
    TaskBlocked,
    TaskEvent,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)
from cascade.spec import SpecError


@cs.task
def give(value: object = None) -> object:
    return value


@cs.task
def fail(value: object = None) -> None:
    raise ValueError("broken")


@cs.task
async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@cs.resource
def db() -> Iterator[str]:
    yield "resource"


async def hear(
    target: object, kind: type[Event] = Event, engine: dict[str, Any] | None = None, **options: Any
) -> list[Any]:
    """Run a target, whatever comes of it, and return the events of one kind."""
    heard: list[Event] = []
    bus = MessageBus()
    bus.subscribe(kind, heard.append)

    async with Engine(bus=bus, **(engine or {})) as made:
        made.register(db)
        with suppress(cs.CascadeError, ValueError, ExceptionGroup):  # what came of it is in the events
            await made.run(target, run_id="r", **options)
    return list(heard)


async def test_a_run_begins_and_ends() -> None:
    """`RunStarted` comes first with the target's task and the names of the parameters, `RunFinished` last."""
    events = await hear(give(cs.Param("secret_name", type=int)), params={"secret_name": 12345})
    assert events[0] == RunStarted("r", ("give",), ("secret_name",))
    assert isinstance(events[-1], RunFinished)
    assert (events[-1].status, events[-1].error) == ("Succeeded", None)
    assert events[-1].duration >= 0
    assert {event.run_id for event in events} == {"r"}


async def test_the_targets_of_a_list_are_named() -> None:
    """`RunStarted` names the tasks of all that a run gathers."""
    assert (await hear([give(), {"x": fail()}], RunStarted))[0].target_tasks == ("give", "fail")


async def test_a_failed_run_says_so() -> None:
    """`RunFinished` tells the status `Failed` and the error."""
    event = (await hear(fail(), RunFinished))[0]
    assert (event.status, event.error) == (Status.FAILED, "ValueError: broken")


async def test_a_call_starts_and_finishes() -> None:
    """Each call tells its start and its end, with id, name, status and duration, in the order of what happens."""
    heard = [event for event in await hear(give(give(1))) if isinstance(event, TaskEvent)]
    assert [(type(event), event.task_id, event.task_name) for event in heard] == [
        (TaskExecutionStarted, "n1", "give"),
        (TaskExecutionFinished, "n1", "give"),
        (TaskExecutionStarted, "n0", "give"),
        (TaskExecutionFinished, "n0", "give"),
    ]
    finished = heard[1]
    assert isinstance(finished, TaskExecutionFinished)
    assert (finished.status, finished.error, finished.result_preview) == ("Succeeded", None, None)
    assert finished.duration >= 0


async def test_a_call_that_fails_tells_its_error() -> None:
    """A failed call has the status `Failed` and the error's type and text."""
    finished = (await hear(fail(), TaskExecutionFinished))[0]
    assert (finished.status, finished.error) == ("Failed", "ValueError: broken")


async def test_skips_have_their_reason() -> None:
    """`TaskSkipped` has a reason that is a word of `SkipReason` and equal to its text."""
    skipped = await hear([give(1).run_if(give(False))], TaskSkipped)
    assert {event.task_name: event.reason for event in skipped} == {
        "give": SkipReason.CONDITION_FALSE,
        "gather": SkipReason.UPSTREAM_DATA,
    }
    assert str(skipped[0].reason) == "ConditionFalse"


async def test_tail_calls_have_events_of_their_own() -> None:
    """Each call of a tail-call loop has an id, a start and an end of its own."""

    @cs.task
    def count(left: int) -> int | cs.LazyResult[int]:
        return count(left - 1) if left else 0

    events = await hear(count(3))
    started = [event.task_id for event in events if isinstance(event, TaskExecutionStarted)]
    finished = [event.task_id for event in events if isinstance(event, TaskExecutionFinished)]
    assert started == finished == ["n0", "n0@1", "n0@2", "n0@3"]


async def test_each_started_call_has_one_final_event_when_a_run_stops() -> None:
    """After a failure, what had started has finished, cancelled if it was under way; all others are `RunStopped`."""
    target = [sleep(1000), cs.sequence([fail(), give(1)]), give(sleep(1000))]
    events = await hear(target)
    started = [event.task_id for event in events if isinstance(event, TaskExecutionStarted)]
    finished = {event.task_id: event.status for event in events if isinstance(event, TaskExecutionFinished)}
    skipped = {event.task_id: event.reason for event in events if isinstance(event, TaskSkipped)}
    assert sorted(started) == sorted(finished)
    # On a slow machine the event loop gets its turn before the failure, and so the others have begun.
    assert {Status.FAILED} <= set(finished.values()) <= {Status.FAILED, Status.CANCELLED}
    assert set(skipped.values()) == {SkipReason.RUN_STOPPED}
    assert len(finished) + len(skipped) == 6
    assert not finished.keys() & skipped.keys()
    assert isinstance(events[-1], RunFinished)


async def test_dependents_of_a_failure_are_told_when_the_run_finishes() -> None:
    """With `on_failure="finish"` what depends on a failure is `UpstreamFailed`, and the rest runs."""
    events = await hear([give(fail()), give(2)], TaskEvent, on_failure="finish")
    skipped = [(event.task_id, event.reason) for event in events if isinstance(event, TaskSkipped)]
    assert skipped == [("n1", SkipReason.UPSTREAM_FAILED), ("n0", SkipReason.UPSTREAM_FAILED)]
    finished = [event for event in events if isinstance(event, TaskExecutionFinished)]
    assert sorted(event.status for event in finished) == [Status.FAILED, Status.SUCCEEDED]


async def test_a_run_that_can_not_begin_tells_nothing() -> None:
    """A target that is refused before anything runs has no events."""
    assert await hear(give(cs.inject("missing"))) == []
    assert await hear(give(1, 2, 3)) == []


async def test_values_never_appear() -> None:
    """No event shows an argument, a parameter, a resource or a result, unless previews are asked for."""
    target = give([give("argument"), cs.Param("p"), cs.inject("db"), give("result").with_retry()])
    shown = repr(await hear(target, params={"p": "parameter"}))
    for value in ("argument", "parameter", "result'", "resource'"):
        assert value not in shown.replace("result_preview=None", "").replace("name='db'", "")


async def test_previews_are_asked_for() -> None:
    """`Engine(preview=...)` makes the text that `TaskExecutionFinished` shows of a result."""
    events = await hear(
        [give("abc"), fail()], TaskExecutionFinished, {"preview": lambda value: repr(value)[:3]}
    )
    assert {event.task_name: event.result_preview for event in events} == {"give": "'ab", "fail": None}


async def test_a_secret_never_shows() -> None:
    """Even with previews a `Secret` prints as `***`: alone, inside other values, and when it is ill-typed."""
    secret = cs.Secret("token")
    events = await hear(give([secret]), engine={"preview": repr}, params={"token": "hunter2"})
    assert "hunter2" not in repr(events)
    assert "[***]" in repr(events)
    with pytest.raises(cs.CascadeError) as caught:
        await cs.arun(give(cs.Secret("token", type=int)), params={"token": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_events_are_frozen_and_slotted() -> None:
    """Each event is a frozen dataclass with slots."""
    kinds = [kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Event)]
    assert len(kinds) == 12
    for kind in kinds:
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert "__slots__" in vars(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunStarted("r", (), ()).run_id = "other"  # type: ignore[misc]


def test_the_fields_of_events() -> None:
    """Each event has the fields that listeners rely on, in this order."""
    fields = {
        RunStarted: "run_id target_tasks params",
        RunFinished: "run_id status duration error",
        TaskExecutionStarted: "run_id task_id task_name",
        TaskExecutionFinished: "run_id task_id task_name status duration error result_preview",
        TaskSkipped: "run_id task_id task_name reason",
        TaskRetrying: "run_id task_id task_name attempt max_attempts delay error",
        TaskBlocked: "run_id task_id task_name reason",
        ResourceAcquired: "run_id name scope",
        runtime.ResourceReleased: "run_id name scope error",
    }
    for kind, names in fields.items():
        assert [field.name for field in dataclasses.fields(kind)] == names.split()


async def test_a_listener_that_raises_is_reported_and_isolated(caplog: pytest.LogCaptureFixture) -> None:
    """What a subscriber raises is logged; the run and the other subscribers don't notice."""
    heard: list[Event] = []
    bus = MessageBus()

    def broken(event: Event) -> None:
        raise RuntimeError("listener")

    bus.subscribe(Event, broken)
    bus.subscribe(Event, heard.append)

    async with Engine(bus=bus) as engine:
        value = await engine.run(give(1))
    assert value == 1
    assert len(heard) == 4
    assert len([record for record in caplog.records if "listener" in str(record.exc_info)]) == 4


async def test_listeners_hear_their_type_and_those_below_it() -> None:
    """A subscriber hears the type it asked for; the base class hears all."""
    assert {type(event) for event in await hear(give(), RunStarted)} == {RunStarted}
    assert {type(event) for event in await hear(give(), TaskEvent)} == {
        TaskExecutionStarted,
        TaskExecutionFinished,
    }
    assert len(await hear(give())) == 4


async def test_a_listener_can_leave() -> None:
    """`subscribe` returns what ends the subscription, which may be called twice and in the middle of a run."""
    heard: list[Event] = []
    bus = MessageBus()

    def once(event: Event) -> None:
        heard.append(event)
        leave()

    leave = bus.subscribe(Event, once)

    async with Engine(bus=bus) as engine:
        await engine.run(give(give()))
    leave()
    assert len(heard) == 1


def test_only_events_can_be_subscribed_to() -> None:
    """Another type, and a handler that is async in whatever form, are refused."""

    async def later(event: Event) -> None: ...

    with pytest.raises(SpecError, match="give Event"):
        MessageBus().subscribe(int, print)  # type: ignore[type-var]

    class Listener:
        async def __call__(self, event: Event) -> None: ...

        async def hear(self, event: Event) -> None: ...

    @wraps(later)
    def wrapper(event: Event) -> Any:
        return later(event)

    async def each(event: Event) -> AsyncIterator[Event]:
        yield event

    for handler in (
        later,
        Listener(),
        Listener().hear,
        partial(later),
        partial(partial(later)),
        wrapper,
        each,
    ):
        with pytest.raises(SpecError, match="an event handler is async; give a plain function"):
            MessageBus().subscribe(Event, handler)
    with pytest.raises(SpecError, match="an event handler is 3"):
        MessageBus().subscribe(Event, 3)  # type: ignore[arg-type]


async def test_a_listener_that_comes_late_hears_the_rest() -> None:
    """Who subscribes while a run is under way hears what comes after."""
    heard: list[Event] = []
    bus = MessageBus()

    @cs.task
    async def subscribe() -> None:
        bus.subscribe(Event, heard.append)

    async with Engine(bus=bus) as engine:
        await engine.run(give(subscribe()))
    assert [type(event) for event in heard][-3:] == [TaskExecutionStarted, TaskExecutionFinished, RunFinished]
    assert isinstance(heard[-1], RunFinished)


async def test_a_runs_id_is_made_or_given() -> None:
    """`run_id=` is the id in all events; without it each run gets one of its own."""
    ids: list[str] = []
    bus = MessageBus()
    bus.subscribe(RunStarted, lambda event: ids.append(event.run_id))

    async with Engine(bus=bus) as engine:
        await engine.run(give())
        await engine.run(give())
        await engine.run(give(), run_id="mine")
    assert len(set(ids)) == 3
    assert ids[2] == "mine"


async def test_skips_are_told_to_those_who_hear_nothing_else() -> None:
    """A subscriber to `TaskSkipped` alone hears every skip, however often the structure has run."""
    engine, skips = cs.Engine(), list[TaskSkipped]()
    engine.bus.subscribe(TaskSkipped, skips.append)
    for _ in range(2 * TIMES):
        await engine.run(give(1).run_if(give(False), otherwise=None))
    assert len(skips) == 2 * TIMES


@pytest.mark.virtual_time
async def test_the_event_of_a_failed_map_tells_its_own_error() -> None:
    """Not one that another task raised meanwhile."""
    other_failed = asyncio.Event()

    @cs.task
    async def item(index: int) -> None:
        if index == 0:
            raise ValueError("its own")
        await other_failed.wait()

    @cs.task
    async def other() -> None:
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(other_failed.set)
        raise KeyError("another")

    engine, ends = cs.Engine(), dict[str, str | None]()
    engine.bus.subscribe(TaskExecutionFinished, lambda event: ends.update({event.task_id: event.error}))
    with pytest.raises(ExceptionGroup):
        await engine.run([item.map([0, 1]), other()], on_failure="finish")
    assert ends["n1"] == "ValueError: its own"


async def test_a_preview_that_raises_is_isolated() -> None:
    """It costs the preview, not the run."""

    def preview(value: object) -> str:
        raise ZeroDivisionError

    engine, ends = cs.Engine(preview=preview), list[TaskExecutionFinished]()
    engine.bus.subscribe(TaskExecutionFinished, ends.append)
    assert await engine.run(give(1)) == 1
    assert [end.result_preview for end in ends] == [None]
