"""The engine against the reference interpreter, on random workflows and in all its ways of running."""

from __future__ import annotations

import asyncio
import inspect
import random
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest
from descriptions import CAPACITY, CODEC, Workflow, World
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from observation import MakeEngine, Observed, observe, observe_unheard, params_for, plain_engine
from reference import Failed, Reason, Report, Skipped, Value, interpret
from support.examples import examples
from support.far_executor import FarChains, FarExecutor
from support.stores import SHARED, recorded, url_in
from timeline_checks import check_run, counts_of, told_by
from workflows import workflows

from cascade.graph import CycleError, Node, build_graph
from cascade.runtime import DependencyMissingError, Engine, MessageBus, SkipReason, Timeline
from cascade.runtime.events import TaskSkipped
from cascade.runtime.otel import instrument
from cascade.spec import LazyResult, Router

QUICK = settings(
    max_examples=examples(300),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
BRIEF = settings(QUICK, max_examples=examples(100))
FEW = settings(QUICK, max_examples=examples(60))
SOAK = settings(QUICK, max_examples=5_000, derandomize=False, phases=[Phase.generate, Phase.shrink])


class DictState:
    """A state backend as a third party might write it: one dict for each kind of fact."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.results: dict[Hashable, Any] = {}
        self.skips: dict[Hashable, str] = {}

    def put_result(self, key: Hashable, value: object) -> None:
        self.results[key] = value

    def get_result(self, key: Hashable) -> Any:
        return self.results[key]

    def has_result(self, key: Hashable) -> bool:
        return key in self.results

    def mark_skipped(self, key: Hashable, reason: str) -> None:
        self.skips[key] = str(reason)

    def get_skip_reason(self, key: Hashable) -> str | None:
        return self.skips.get(key)

    def clear(self, frame: Hashable | None = None) -> None:
        for table in (self.results, self.skips):
            for key in [key for key in table if frame is None or _lies_below(key, frame)]:
                del table[key]


def _lies_below(key: Any, frame: Hashable) -> bool:
    each = key.frame
    while each is not None:
        if each == frame:
            return True
        each = each.parent
    return False


class PlainExecutor:
    """An executor as a third party might write it; it counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def execute(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls += 1
        assert node.callable_obj is not None
        value = node.callable_obj(*args, **kwargs)
        is_lazy = isinstance(value, (LazyResult, Router))  # asked first, as these refuse to be awaited
        return await value if not is_lazy and inspect.isawaitable(value) else value


def with_dict_state(bus: MessageBus) -> Engine:
    return Engine(bus=bus, system_resources={"gpu": CAPACITY}, state_backend_cls=DictState)


def with_executor(bus: MessageBus) -> Engine:
    return Engine(bus=bus, system_resources={"gpu": CAPACITY}, executor=PlainExecutor())


def one_at_a_time(bus: MessageBus) -> Engine:
    return Engine(bus=bus, system_resources={"gpu": CAPACITY}, max_concurrency=1)


def recorded_run(bus: MessageBus) -> Engine:
    """Make an engine whose runs are recorded, each in a file of its own."""
    folder = tempfile.mkdtemp(dir=SHARED if SHARED.is_dir() else None)
    weakref.finalize(bus, shutil.rmtree, folder)
    state = recorded(url_in(Path(folder)), codec=CODEC)
    return Engine(bus=bus, system_resources={"gpu": CAPACITY}, state_backend_cls=state)


def far_away(bus: MessageBus) -> Engine:
    """Make an engine whose results stay where they are made."""
    return Engine(bus=bus, system_resources={"gpu": CAPACITY}, executor=FarExecutor())


def far_away_in_chunks(bus: MessageBus) -> Engine:
    """Make the same, where items of maps go out in chunks, and calls in chains."""
    return Engine(bus=bus, system_resources={"gpu": CAPACITY}, executor=FarChains(most=3))


def traced(bus: MessageBus) -> Engine:
    """Make an engine whose calls have spans, as far as anybody wants some, and whose runs are recorded."""
    engine = recorded_run(bus)
    instrument(engine)
    return engine


def traced_in_part(bus: MessageBus) -> Engine:
    """Make an engine of which some tasks have spans."""
    engine = plain_engine(bus)
    instrument(engine, calls=[str(number) for number in range(0, 40, 3)])
    return engine


ENGINES = pytest.mark.parametrize(
    "make_engine",
    [
        plain_engine,
        with_dict_state,
        with_executor,
        one_at_a_time,
        recorded_run,
        far_away,
        far_away_in_chunks,
        traced,
        traced_in_part,
    ],
)


def agree(
    workflow: Workflow,
    make_engine: MakeEngine,
    chance: int | None = None,
    make_world: Callable[[random.Random | None], World] = World,
) -> None:
    """Check one workflow: what runs on after failures is the same in all, what stops is one of the possible ends."""
    target = workflow.build()
    expected_world = World()
    try:
        with expected_world.at_hand():
            expected = interpret(target, params_for(target))
    except CycleError:
        check_cycle(target, make_engine)
        return
    finished = observe(target, make_engine, on_failure="finish", world=make_world(_source(chance)))
    finished.check_order()
    check_value(expected, finished)
    assert finished.problems == problems_of(expected)
    assert finished.world.calls == expected_world.calls
    assert finished.retries == Counter(expected.retries)
    check_events(target, expected, finished)
    stopped = observe(target, make_engine, on_failure="stop", world=make_world(_source(chance)))
    stopped.check_order()
    if expected.problems:
        check_stop(target, expected, expected_world, stopped)
    else:
        check_value(expected, stopped)
        assert stopped.world.calls == expected_world.calls
        check_events(target, expected, stopped)


def _source(chance: int | None) -> random.Random | None:
    return None if chance is None else random.Random(chance)


def check_cycle(target: Any, make_engine: MakeEngine) -> None:
    for on_failure in ("stop", "finish"):
        seen = observe(target, make_engine, on_failure=on_failure)
        assert isinstance(seen.error, CycleError)
        assert not seen.events
        assert not seen.world.calls


def check_value(expected: Report, seen: Observed) -> None:
    match expected.outcome:
        case Value(value):
            assert seen.error is None
            assert (type(seen.value), seen.value) == (type(value), value)
        case Skipped(Reason.SEQUENCE):
            assert seen.error is None
            assert seen.value is None
        case Skipped(reason, name):
            assert isinstance(seen.error, DependencyMissingError)
            assert (seen.error.task, seen.error.reason) == (name, str(reason))
        case Failed():
            assert isinstance(seen.error, ExceptionGroup)


def problems_of(expected: Report) -> Counter[Any]:
    problems = Counter(expected.problems)
    if isinstance(expected.outcome, Skipped) and expected.outcome.reason is not Reason.SEQUENCE:
        problems.update(observe_missing())
    return problems


def observe_missing() -> Counter[Any]:
    return Observed(error=DependencyMissingError("", "")).problems


def check_events(target: Any, expected: Report, seen: Observed) -> None:
    told = seen.told
    assert Counter(told.values()) == Counter(expected.told)
    graph = build_graph(target)
    assert graph.tree is not None
    for node, lazy in zip(graph.nodes, graph.tree.lazies, strict=True):
        assert told[node.id] == expected.first[lazy]


def check_stop(target: Any, expected: Report, world: World, seen: Observed) -> None:
    """What is raised is one of the failures; nothing runs that would not have, and what never started says why."""
    assert seen.error is not None
    assert set(seen.problems) <= set(expected.problems)
    assert sum(seen.problems.values()) == 1
    assert seen.world.calls <= world.calls
    for node in build_graph(target).nodes:
        assert node.id in seen.told
    graph = build_graph(target)
    assert graph.tree is not None
    allowed = {SkipReason.RUN_STOPPED.value, "Cancelled"}
    for node, lazy in zip(graph.nodes, graph.tree.lazies, strict=True):
        assert seen.told[node.id].verdict in {expected.first[lazy].verdict} | allowed


INPUTS = ((), (1, 2), (3, 1), (0, 4), (2, 2))
"""Data for the trees of one structure."""


def agree_unheard(
    workflow: Workflow, make_engine: MakeEngine, on_failure: str, chance: int | None = None
) -> None:
    """Check the values, errors and calls of trees of one structure that follow each other on one engine.

    They run with a timeline and without.
    """
    for timed in (False, True):
        _agree_unheard(workflow, make_engine, on_failure, chance, timed)


def _agree_unheard(
    workflow: Workflow, make_engine: MakeEngine, on_failure: str, chance: int | None, timed: bool
) -> None:
    targets = [workflow.build(inputs) for inputs in INPUTS]
    all_seen = observe_unheard(targets, make_engine, on_failure=on_failure, chance=chance, timed=timed)
    for target, seen in zip(targets, all_seen, strict=True):
        world = World()
        try:
            with world.at_hand():
                expected = interpret(target, params_for(target))
        except CycleError:
            assert isinstance(seen.error, CycleError)
            continue
        if expected.problems and on_failure == "stop":
            assert set(seen.problems) <= set(expected.problems)
            assert seen.world.calls <= world.calls
        else:
            check_value(expected, seen)
            assert seen.problems == problems_of(expected)
            assert seen.world.calls == world.calls
            if seen.timeline is not None:
                assert Counter(told_by(seen.timeline).values()) == Counter(expected.told)
        for run in () if seen.timeline is None else seen.timeline.runs:
            check_run(run)


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
@pytest.mark.parametrize("make_engine", [plain_engine, one_at_a_time, traced_in_part])
def test_the_short_ways_agree_with_the_reference(make_engine: MakeEngine, on_failure: str) -> None:
    """Where nobody listens and the structure is known, values, errors and calls are the same."""

    @(FEW if make_engine is traced_in_part else BRIEF)
    @given(workflows())
    def check(workflow: Workflow) -> None:
        agree_unheard(workflow, make_engine, on_failure)

    check()


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_plain_trees_with_coroutines_agree_with_the_reference(on_failure: str) -> None:
    """Calls and coroutines without policies, in any mix and whatever turns they take, give what the reference gives."""

    @BRIEF
    @given(workflows(plain=True), st.integers(0, 2**32))
    def check(workflow: Workflow, chance: int) -> None:
        agree_unheard(workflow, plain_engine, on_failure, chance)
        agree(workflow, plain_engine, chance)

    check()


@pytest.mark.soak
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_plain_trees_with_coroutines_agree_with_the_reference_for_long(on_failure: str) -> None:
    """Calls and coroutines without policies, in any mix and whatever turns they take, give what the reference gives."""

    @seed(2026)
    @SOAK
    @given(workflows(size=16, plain=True), st.integers(0, 2**32))
    def check(workflow: Workflow, chance: int) -> None:
        agree_unheard(workflow, plain_engine, on_failure, chance)

    check()


@pytest.mark.soak
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_the_short_ways_agree_with_the_reference_for_long(on_failure: str) -> None:
    """Where nobody listens and the structure is known, values, errors and calls are the same, also on very many."""

    @seed(2026)
    @SOAK
    @given(workflows(size=16))
    def check(workflow: Workflow) -> None:
        agree_unheard(workflow, plain_engine, on_failure)

    check()


@ENGINES
def test_engine_agrees_with_the_reference(make_engine: MakeEngine) -> None:
    """On any workflow the engine gives what the reference interpreter gives: values, skips, errors and events."""

    @(
        QUICK
        if make_engine is plain_engine
        else FEW
        if make_engine in (far_away, far_away_in_chunks, traced, traced_in_part)
        else BRIEF
    )
    @given(workflows())
    def check(workflow: Workflow) -> None:
        agree(workflow, make_engine)

    check()


@QUICK
@given(workflows(), st.integers(0, 2**32))
def test_what_runs_does_not_depend_on_timing(workflow: Workflow, chance: int) -> None:
    """Whatever turns the async tasks take, the same calls are made and the same events come."""
    agree(workflow, plain_engine, chance)


@pytest.mark.soak
@ENGINES
def test_engine_agrees_with_the_reference_for_long(make_engine: MakeEngine) -> None:
    """On any workflow the engine gives what the reference interpreter gives, also on very many."""

    @seed(2026)
    @SOAK
    @given(workflows(size=16), st.integers(0, 2**32))
    def check(workflow: Workflow, chance: int) -> None:
        agree(workflow, make_engine, chance)

    check()


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_handed_in_state_backend_is_told_of_every_skip(on_failure: str) -> None:
    """Whatever listeners hear of why calls were not made, the backend was told of the same."""

    @settings(QUICK, max_examples=examples(60))
    @given(workflows())
    def check(workflow: Workflow) -> None:
        marked: Counter[str] = Counter()

        class Telling(DictState):
            def mark_skipped(self, key: Hashable, reason: str) -> None:
                marked[str(reason)] += 1
                super().mark_skipped(key, reason)

        seen = observe(
            workflow.build(),
            lambda bus: Engine(bus=bus, system_resources={"gpu": CAPACITY}, state_backend_cls=Telling),
            on_failure=on_failure,
        )
        heard = Counter(str(event.reason) for event in seen.events if isinstance(event, TaskSkipped))
        heard.pop(SkipReason.CACHE_HIT.value, None)  # that one has a value
        assert heard - marked == Counter()  # what stands in the place of a call may be marked there once more

    check()


def test_a_handed_in_executor_sees_every_call() -> None:
    """Each call goes through the executor that was handed in."""
    executor = PlainExecutor()

    @settings(QUICK, max_examples=examples(30))
    @given(workflows())
    def check(workflow: Workflow) -> None:
        target = workflow.build()
        executor.calls = 0
        seen = observe(
            target, lambda bus: Engine(bus=bus, system_resources={"gpu": CAPACITY}, executor=executor)
        )
        assert executor.calls >= sum(seen.world.calls.values())

    check()


def test_the_reasons_are_those_of_the_engine() -> None:
    """The reference has the reasons of the engine, but for those that a cache, a store or a stop brings about."""
    others = {SkipReason.RUN_STOPPED, SkipReason.CACHE_HIT, SkipReason.RECOVERED}
    assert {str(each) for each in Reason} == {str(each) for each in set(SkipReason) - others}


def test_runs_at_once_do_not_mix() -> None:
    """Many workflows on one engine at one time give what each gives alone; each example has a loop of its own.

    They share a timeline, in which each is whole.
    """

    @settings(QUICK, max_examples=examples(30))
    @given(st.lists(workflows(size=6), min_size=2, max_size=6))
    def check(drawn: list[Workflow]) -> None:
        targets = [workflow.build() for workflow in drawn]
        alone = [_comparable(observe(target, on_failure="finish")) for target in targets]

        async def together() -> list[Observed]:
            bus = MessageBus()
            async with plain_engine(bus) as engine:
                return await asyncio.gather(
                    *(asyncio.create_task(_one_of_many(engine, each, timeline)) for each in targets)
                )

        timeline = Timeline()
        assert [_comparable(each) for each in asyncio.run(together())] == alone
        for run in timeline.runs:
            check_run(run)

    check()


async def _one_of_many(engine: Engine, target: Any, timeline: Timeline) -> Observed:
    seen = Observed()
    with seen.world.at_hand():
        try:
            seen.value = await engine.run(
                target, params=params_for(target), on_failure="finish", timeline=timeline
            )
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
            seen.error = error
    return seen


def _comparable(seen: Observed) -> tuple[object, ...]:
    return seen.value, seen.problems, seen.world.calls


def test_counts_alone_are_those_of_a_timeline_with_all_calls() -> None:
    """Of any workflow, seen for the first time or again, a timeline without times counts what one with times does."""

    @settings(QUICK, max_examples=examples(60))
    @given(workflows(size=8))
    def check(drawn: Workflow) -> None:
        target = drawn.build()
        counted = []
        for is_timed in (True, False):
            timelines = [Timeline(timed=is_timed) for _ in range(5)]

            async def run(timelines: list[Timeline] = timelines) -> None:
                async with plain_engine(MessageBus()) as engine:
                    for timeline in timelines:
                        await _one_of_many(engine, target, timeline)

            asyncio.run(run())
            counted.append([counts_of(timeline) for timeline in timelines])
        assert counted[0] == counted[1]

    check()
