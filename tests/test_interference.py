"""Claims about random workflows that something happens to from outside: a cancellation, a listener that comes late."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from descriptions import Workflow, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observation import Observed, params_for, plain_engine, run_in_time
from reference import interpret
from support.examples import examples
from workflows import workflows

from cascade.graph import CycleError
from cascade.runtime import Engine, Event, MessageBus, TaskExecutionFinished, TaskSkipped

QUICK = settings(
    max_examples=examples(150),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
MIXED = st.booleans().flatmap(lambda plain: workflows(plain=plain))

Interfere = Callable[[Engine, "asyncio.Task[None]", Observed], object]


def disturbed(target: Any, turns: int, chance: int, on_failure: str, interfere: Interfere) -> Observed:
    """Run a target that nobody listens to, and after so many turns of the event loop interfere with it."""
    seen = Observed(world=World(random.Random(chance)))

    async def run() -> None:
        async with plain_engine(MessageBus()) as engine:
            watching = asyncio.create_task(seen.watch(engine, target, on_failure))
            for _ in range(turns):
                await asyncio.sleep(0)
            interfere(engine, watching, seen)
            await asyncio.wait([watching])
            if not watching.cancelled():
                watching.result()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"still running: {left}"

    run_in_time(run())
    return seen


def calls_of(target: Any) -> Counter[str]:
    """Return the calls that the reference makes."""
    world = World()
    try:
        with world.at_hand():
            interpret(target, params_for(target))
    except CycleError:
        return Counter()
    return world.calls


@QUICK
@given(MIXED, st.integers(0, 30), st.integers(0, 2**32), st.sampled_from(["stop", "finish"]))
def test_a_run_can_be_cancelled_at_any_moment(
    workflow: Workflow, turns: int, chance: int, on_failure: str
) -> None:
    """Cancelled after any number of turns, a run ends, leaves nothing behind and has made no call of its own."""
    target = workflow.build()
    seen = disturbed(target, turns, chance, on_failure, lambda engine, watching, seen: watching.cancel())
    assert seen.world.calls <= calls_of(target)


@QUICK
@given(MIXED, st.integers(0, 30), st.integers(0, 2**32), st.sampled_from(["stop", "finish"]))
def test_any_task_may_be_cancelled_from_outside(
    workflow: Workflow, turns: int, chance: int, on_failure: str
) -> None:
    """Whichever asyncio task somebody cancels, before its first turn or later, the run ends and leaves nothing."""

    def cancel_one(engine: Engine, watching: asyncio.Task[None], seen: Observed) -> None:
        others = asyncio.all_tasks() - {watching, asyncio.current_task()}
        if others:
            random.Random(chance).choice(sorted(others, key=lambda each: each.get_name())).cancel()

    target = workflow.build()
    seen = disturbed(target, turns, chance, on_failure, cancel_one)
    assert seen.world.calls <= calls_of(target)


@QUICK
@given(MIXED, st.integers(0, 30), st.integers(0, 2**32))
def test_a_listener_may_come_at_any_moment(workflow: Workflow, turns: int, chance: int) -> None:
    """One that subscribes in the middle changes nothing of what runs, and hears each end and each skip at most once."""

    def listen(engine: Engine, watching: asyncio.Task[None], seen: Observed) -> None:
        engine.bus.subscribe(Event, seen.events.append)

    target = workflow.build()
    undisturbed = disturbed(target, 0, chance, "finish", lambda *_: None)
    seen = disturbed(target, turns, chance, "finish", listen)
    assert (seen.value, seen.problems) == (undisturbed.value, undisturbed.problems)
    assert seen.world.calls == undisturbed.world.calls
    ends = [event.task_id for event in seen.events if isinstance(event, (TaskExecutionFinished, TaskSkipped))]
    assert len(set(ends)) == len(ends)
