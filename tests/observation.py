"""Watching a run from outside: what the engine gives, tells and does, in the reference's words."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from descriptions import CAPACITY, PARAMS, World
from reference import Problem, Told
from timeline_checks import check_events, check_run

from cascade.graph import build_graph
from cascade.runtime import Engine, MessageBus, Timeline
from cascade.runtime.events import (
    Event,
    RunFinished,
    RunStarted,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)
from cascade.spec import LazyResult

HANGS = 20.0
"""Seconds after which a run counts as hanging."""

MakeEngine = Callable[[MessageBus], Engine]


@dataclass
class Observed:
    """One run as it was seen. `error` is what came out instead of a value."""

    value: Any = None
    error: BaseException | None = None
    events: list[Event] = field(default_factory=list)
    world: World = field(default_factory=World)
    timeline: Timeline | None = None

    @property
    def problems(self) -> Counter[Problem]:
        """The errors that came out, those in groups one by one."""
        return Counter(map(Problem.of, _leaves(self.error)))

    @property
    def told(self) -> dict[str, Told]:
        """The last word on each call that is mentioned, by its id."""
        verdicts = {}
        for event in self.events:
            if isinstance(event, TaskExecutionFinished):
                verdicts[event.task_id] = Told(event.task_name, str(event.status))
            elif isinstance(event, TaskSkipped):
                verdicts[event.task_id] = Told(event.task_name, str(event.reason))
        return verdicts

    @property
    def retries(self) -> Counter[str]:
        """The names of the tasks whose attempts were repeated, once for each time."""
        return Counter(event.task_name for event in self.events if isinstance(event, TaskRetrying))

    async def watch(self, engine: Engine, target: LazyResult[Any], on_failure: Any) -> None:
        """Run a target and keep what comes out; nothing may be left running."""
        before = asyncio.all_tasks()
        with self.world.at_hand():
            try:
                params = params_for(target)
                self.value = await engine.run(
                    target, params=params, on_failure=on_failure, timeline=self.timeline
                )
            except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
                self.error = error
        left = {each for each in asyncio.all_tasks() - before if not _is_of_a_connection(each)}
        assert not left, f"still running: {left}"

    def ids(self, kind: type[TaskExecutionStarted | TaskExecutionFinished | TaskSkipped]) -> list[str]:
        """The ids in the events of one kind, in their order."""
        return [event.task_id for event in self.events if isinstance(event, kind)]

    def check_facts(self) -> None:
        """Check that each call knew its run, its task, its item and its attempt, as the events have them."""
        assert self.timeline is not None
        told = Counter[tuple[str, str, int | None, int]]()
        retries = Counter(event.task_id for event in self.events if isinstance(event, TaskRetrying))
        for event in self.events:
            if isinstance(event, TaskExecutionStarted):
                item = int(event.task_id.rpartition("[")[2][:-1]) if event.task_id.endswith("]") else None
                for attempt in range(1, retries[event.task_id] + 2):
                    told[event.run_id, event.task_name, item, attempt] += 1
        known = Counter(tuple(facts)[:4] for _, facts in self.world.facts if facts is not None)
        assert known <= told
        self.check_own_names()

    def check_own_names(self) -> None:
        """Check that each call knew its task, and all the same run."""
        assert len(self.world.facts) == self.world.calls.total()
        assert all(facts is not None and facts.task == name for name, facts in self.world.facts)
        assert len({facts.run_id for _, facts in self.world.facts if facts is not None}) <= 1

    def check_timeline(self) -> None:
        """Check that the timeline has what the events have, and tells of an order that may have been."""
        assert self.timeline is not None
        check_events(self.timeline, self.events)
        for run in self.timeline.runs:
            check_run(run)

    def check_order(self) -> None:
        """Check what holds of every run's events: each call has one final event, and starts before it finishes."""
        started, finished = self.ids(TaskExecutionStarted), self.ids(TaskExecutionFinished)
        skipped = self.ids(TaskSkipped)
        assert len(set(started)) == len(started)
        assert len(set(finished)) == len(finished)
        assert len(set(skipped)) == len(skipped)
        assert set(started) == set(finished)
        assert not set(started) & set(skipped)
        seen = set()
        for event in self.events:
            if isinstance(event, TaskExecutionStarted):
                seen.add(event.task_id)
            elif isinstance(event, (TaskExecutionFinished, TaskRetrying)):
                assert event.task_id in seen
        if self.events:
            assert isinstance(self.events[0], RunStarted)
            assert isinstance(self.events[-1], RunFinished)
            cancelled = isinstance(self.error, asyncio.CancelledError)
            wanted = "Succeeded" if self.error is None else "Cancelled" if cancelled else "Failed"
            assert str(self.events[-1].status) == wanted


def plain_engine(bus: MessageBus) -> Engine:
    """Make an engine with nothing but what the workflows need."""
    return Engine(bus=bus, system_resources={"gpu": CAPACITY})


def observe(
    target: LazyResult[Any],
    make_engine: MakeEngine = plain_engine,
    *,
    on_failure: str = "stop",
    world: World | None = None,
) -> Observed:
    """Run a target in a loop of its own and keep all that can be seen."""
    seen = Observed(world=world or World(), timeline=Timeline())
    bus = MessageBus()
    bus.subscribe(Event, seen.events.append)

    async def run() -> None:
        async with make_engine(bus) as engine:
            await seen.watch(engine, target, on_failure)

    run_in_time(run())
    seen.check_timeline()
    seen.check_facts()
    return seen


def observe_unheard(
    targets: Sequence[LazyResult[Any]],
    make_engine: MakeEngine = plain_engine,
    *,
    on_failure: str = "stop",
    chance: int | None = None,
    timed: bool = False,
) -> list[Observed]:
    """Run targets one after another on one engine that nobody listens to, so that it may take every short cut.

    With `chance` the async tasks take turns at random. If it is `timed`, each run has a timeline.
    """
    all_seen = [
        Observed(
            world=World(None if chance is None else random.Random(chance + each)),
            timeline=Timeline() if timed else None,
        )
        for each in range(len(targets))
    ]

    async def run() -> None:
        async with make_engine(MessageBus()) as engine:
            for seen, target in zip(all_seen, targets, strict=True):
                await seen.watch(engine, target, on_failure)

    run_in_time(run())
    for seen in all_seen:
        seen.check_own_names()
    return all_seen


def _is_of_a_connection(task: asyncio.Task[Any]) -> bool:
    """Tell whether a task keeps the connection to a cluster, which lasts as long as the engine."""
    code = getattr(task.get_coro(), "cr_code", None)
    file = "" if code is None else code.co_filename
    return "distributed" in Path(file).parts or Path(file).stem in (
        "dask",
        "dask_connection",
        "request_watch",
    )


def run_in_time(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a loop of its own; one that never ends is given up, even if it can't be cancelled."""
    loop = asyncio.new_event_loop()
    try:
        loop.call_later(HANGS, loop.stop)
        loop.run_until_complete(work)
    finally:
        loop.close()


def params_for(target: LazyResult[Any]) -> dict[str, object]:
    """The parameters that the first structure declares and `PARAMS` has."""
    try:
        names = {node.name for node in build_graph(target).nodes}
    except Exception:  # noqa: BLE001 - the run itself says it
        return {}
    return {name: value for name, value in PARAMS.items() if name in names}


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    elif error is not None:
        yield error
