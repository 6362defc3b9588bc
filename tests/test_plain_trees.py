"""Plain trees, large ones too: however many calls are made at once, all is as if they were made one by one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_trees import PlainTree, World, at_hand, changed, number, plain_trees
from support.clock import hasty_clock, still_clock
from support.examples import examples
from timeline_checks import check_run

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.state import InMemoryStateBackend
from cascade.graph import Graph, build_graph, plan, structure_digest
from cascade.runtime import Engine, Event, MessageBus, TaskExecutionFinished, TaskExecutionStarted
from cascade.spec import CallError

QUICK = settings(
    max_examples=examples(150),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
BRIEF = settings(QUICK, max_examples=examples(40))
SALTS = (0, 7, 1_000, 50)
"""Numbers for trees of one structure that follow each other: read, matched anew, and matched by what was learned."""


class OwnState(InMemoryStateBackend):
    """A state backend that is handed in, so that every fact is recorded: no call is made in a shorter way."""


Seen = tuple[Any, ...]
Clock = Callable[[], AbstractContextManager[None]]


async def run(engine: Engine, tree: PlainTree, salt: int, world: World) -> Seen:
    at_hand(world)
    target = tree.build(salt)
    try:
        return "value", await engine.run(target), world.log
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
        notes = [note.partition(", run ")[0] for note in error.__notes__]
        return type(error), str(error), notes, world.log


def run_all(tree: PlainTree, engine: Engine, trouble: str, at: int, clock: Clock = still_clock) -> list[Seen]:
    """Run a tree with each salt, in a loop of their own: Hypothesis calls no coroutine inside a test."""

    async def main() -> list[Seen]:
        async with engine:
            return [await run(engine, tree, salt, World(trouble, at)) for salt in SALTS]

    with clock():
        return asyncio.run(main())


_told: list[Event] = []


def listener() -> MessageBus:
    """Return a bus whose events are kept until the next one is made."""
    _told.clear()
    bus = MessageBus()
    bus.subscribe(Event, _told.append)
    return bus


def heard() -> Engine:
    return Engine(bus=listener())


def check_events(made: Counter[str] | None = None) -> None:
    """Check that each call was told of as started, and then once as ended; `made` has how many there were, by task.

    Events of a stretch of calls are made after it, so nothing is said of where between calls they stand.
    """
    started: set[tuple[str, str]] = set()
    under_way: set[tuple[str, str]] = set()
    names: Counter[str] = Counter()
    for event in _told:
        if isinstance(event, TaskExecutionStarted):
            call = event.run_id, event.task_id
            assert call not in started
            started.add(call)
            under_way.add(call)
            names[event.task_name] += 1
        elif isinstance(event, TaskExecutionFinished):
            under_way.remove((event.run_id, event.task_id))
    assert not under_way
    if made is not None:
        assert {name: names[name] for name in made} == made


@pytest.mark.parametrize("trouble", ["", "raises", "returns a tree", "returns trees, then raises", "is slow"])
@pytest.mark.parametrize("make_engine", [Engine, heard])
def test_values_errors_and_order_are_those_of_the_general_way(make_engine: Any, trouble: str) -> None:
    """Each call is made in the same order with the same arguments, and one in trouble means the same.

    A listener changes none of it, and hears of each call.
    """

    @BRIEF
    @given(plain_trees(), st.integers(0, 60))
    def check(tree: PlainTree, at: int) -> None:
        expected = run_all(tree, Engine(state_backend_cls=OwnState), trouble, at)
        assert run_all(tree, make_engine(), trouble, at) == expected
        if make_engine is heard:
            check_events(Counter(name for *_, log in expected for name, _ in log))
        if trouble in ("", "is slow"):
            assert [seen[1] for seen in expected] == [tree.value(salt) for salt in SALTS]

    check()


@BRIEF
@given(plain_trees())
def test_a_tree_that_takes_many_time_slices_runs_the_same(tree: PlainTree) -> None:
    """However often others have their turn while a tree is prepared and called, its calls are made in one order."""
    expected = run_all(tree, Engine(), "", -1)
    assert run_all(tree, Engine(), "", -1, hasty_clock) == expected


@QUICK
@given(plain_trees())
async def test_a_structure_is_built_once(tree: PlainTree) -> None:
    """Trees of one structure are told from no other, whichever way they are matched."""
    async with Engine() as engine:
        for salt in SALTS:
            await run(engine, tree, salt, World())
        stats = engine.stats()
        assert (stats.builds, stats.hits) == (1, len(SALTS) - 1)


@QUICK
@given(plain_trees(), st.data())
async def test_trees_that_differ_in_one_call_are_told_apart(tree: PlainTree, data: st.DataObject) -> None:
    """On an engine that has learned one tree, one that differs in a task, an argument or what is shared is itself."""
    others = [changed(tree, data.draw(st.randoms(use_true_random=False))) for _ in range(6)]

    async with Engine() as engine:
        for salt in SALTS:
            await run(engine, tree, salt, World())
        for each in (*others, tree, *others):
            assert (await run(engine, each, 3, World()))[1] == each.value(3)


def with_all(**settings: Any) -> Engine:
    """Make an engine that has what needy trees need."""
    engine = Engine(system_resources={"gpu": 2, "memory": 1}, **settings)
    engine.register(number)
    return engine


def bounded() -> Engine:
    return with_all(max_concurrency=1)


def bounded_and_heard() -> Engine:
    return with_all(max_concurrency=3, bus=listener())


TROUBLES = ("", "some fail once", "some return a tree", "some are awaited", "some fail")


def seen_of(error: Exception) -> list[str]:
    errors = error.exceptions if isinstance(error, ExceptionGroup) else [error]
    return sorted(str(each) for each in errors)


async def run_freely(engine: Engine, tree: PlainTree, salt: int, world: World) -> Seen:
    """Run a tree whose calls have no fixed order; what does not depend on it is returned."""
    at_hand(world)
    target = tree.build(salt)
    try:
        value = await engine.run(target, on_failure="finish")
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
        return "error", seen_of(error), Counter(map(str, world.log))
    return "value", value, Counter(map(str, world.log))


def run_all_freely(tree: PlainTree, engine: Engine, trouble: str, at: int) -> list[Seen]:
    async def main() -> list[Seen]:
        async with engine:
            return [await run_freely(engine, tree, salt, World(trouble, at)) for salt in SALTS]

    with still_clock():
        return asyncio.run(main())


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("make_engine", [with_all, bounded, bounded_and_heard])
def test_policies_resources_and_limits_mean_the_same_in_stretches(make_engine: Any, trouble: str) -> None:
    """Values, errors and calls are those of the general way, cold and again, whatever the calls need and return."""

    @settings(QUICK, max_examples=examples(10))
    @given(plain_trees(needy=True), st.integers(0, 60))
    def check(drawn: PlainTree, at: int) -> None:
        tree = drawn.retried() if trouble == "some fail once" else drawn
        seen = run_all_freely(tree, make_engine(), trouble, at)
        if make_engine is bounded_and_heard:
            check_events()
        assert seen == run_all_freely(tree, with_all(state_backend_cls=OwnState), trouble, at)
        if trouble != "some fail":
            assert [each[1] for each in seen] == [tree.value(salt) for salt in SALTS]

    check()


class SeesAll(LocalExecutor):
    """An executor that is handed in and sees every call: none is made in a shorter way."""


def with_state() -> Engine:
    return with_all(state_backend_cls=OwnState)


_timelines: list[cs.Timeline] = []


def timed() -> Engine:
    _timelines[:] = [cs.Timeline()]
    return with_all(timeline=_timelines[0])


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("make_engine", [with_all, bounded, bounded_and_heard, with_state, timed])
def test_what_stands_beside_plain_calls_changes_none_of_them(make_engine: Any, trouble: str) -> None:
    """Orders, conditions, routers, coroutines, threads, caches and retries that fire: all is as if each call was alone.

    Values, errors and calls are those of an executor that sees every call. A timeline has each of them once.
    """

    @settings(QUICK, max_examples=examples(8))
    @given(plain_trees(needy=True, mixed=True), st.integers(0, 60))
    def check(drawn: PlainTree, at: int) -> None:
        tree = drawn.retried() if trouble == "some fail once" else drawn
        seen = run_all_freely(tree, make_engine(), trouble, at)
        if make_engine is bounded_and_heard:
            check_events()
        for each in _timelines[0].runs if make_engine is timed else ():
            check_run(each)
        assert seen == run_all_freely(tree, with_all(executor=SeesAll()), trouble, at)
        if trouble != "some fail":
            assert [each[1] for each in seen] == [tree.value(salt) for salt in SALTS]

    check()


@BRIEF
@given(plain_trees(needy=True))
async def test_a_structure_with_policies_is_built_once(tree: PlainTree) -> None:
    """Trees with equal policies and resources have one structure, whatever amounts they take."""
    async with with_all() as engine:
        for salt in SALTS:
            await run(engine, tree, salt, World())
        stats = engine.stats()
        assert (stats.builds, stats.hits) == (1, len(SALTS) - 1)


def described(graph: Graph) -> list[object]:
    return [(node.id, node.name, node.node_type, str(node.structure_path)) for node in graph.nodes]


@QUICK
@given(plain_trees())
def test_a_plain_tree_has_the_graph_that_it_has_with_a_policy(tree: PlainTree) -> None:
    """A policy on the target changes neither nodes nor paths nor edges nor the plan."""
    plain = tree.build()
    other = plain.with_retry(1)
    assert described(build_graph(plain)) == described(build_graph(other))
    assert build_graph(plain).edges == build_graph(other).edges
    assert build_graph(plain).dependencies() == build_graph(other).dependencies()
    assert plan(plain) == plan(other)
    assert structure_digest(plain) == structure_digest(tree.build(5)) != structure_digest(other)


async def test_a_wrong_call_in_a_known_structure_fails_before_anything_runs() -> None:
    """However often a large structure has come, a call that does not fit its signature is told before the first one."""
    made: list[int] = []

    @cs.task
    def note(value: int) -> int:
        made.append(value)
        return value

    @cs.task
    def count(values: list[int]) -> int:
        return len(values)

    async with Engine() as engine:
        for _ in range(4):
            assert await engine.run(count([note(value) for value in range(100)])) == 100
        made.clear()
        for wrong in (note(1, 2), note(), note(1, other=2)):
            with pytest.raises(CallError):
                await engine.run(count([note(0), wrong, *(note(value) for value in range(98))]))
        assert not made


async def test_a_large_tree_gives_the_event_loop_its_turns() -> None:
    """Between the calls of a large tree, the first time and later, others have their turns."""
    turns: list[int] = []

    async def tick() -> None:
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    async with Engine() as engine:
        for salt in SALTS:
            before = len(turns)
            await engine.run(slow_total([slow(value + salt) for value in range(200)]))
            assert len(turns) - before > 4
    ticking.cancel()


@cs.task
def slow(value: int) -> int:
    ends = time.monotonic() + 0.0005
    while time.monotonic() < ends:
        pass
    return value


@cs.task
def slow_total(values: list[int]) -> int:
    return sum(values)
