"""Maps that the clock cuts into slices: whatever their items need and give, they give what a plain loop gives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import spend, still_clock

import cascade as cs
from cascade.runtime import (
    Engine,
    Event,
    MessageBus,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)
from cascade.runtime.sharing.time_slice import SLICE_SECONDS

SHORT = settings(deadline=None, suppress_health_check=list(HealthCheck))


class Kind(Enum):
    """What the call of an item does."""

    VALUE = "gives a value"
    LONG = "takes a whole slice"
    TREE = "gives a tree"
    LOOP = "gives a tree that gives a tree"
    LATER = "gives an awaitable"
    INSIDE = "gives a list with a tree in it"
    FLAKY = "raises at the first attempt"
    FAILS = "always raises"
    TREE_FAILS = "gives a tree that raises"


class ItemError(Exception):
    """What items raise."""


@dataclass
class Seen:
    """What was done by items, and how many were under way at one time."""

    calls: Counter[int] = field(default_factory=Counter)
    order: list[int] = field(default_factory=list)
    running: int = 0
    most: int = 0


seen = Seen()


@cs.task
def double(x: int) -> int:
    return 2 * x


@cs.task
def again(x: int) -> Any:
    return double(x)


@cs.task
def fail(x: int) -> int:
    raise ItemError(x)


async def later(x: int) -> int:
    seen.running += 1
    seen.most = max(seen.most, seen.running)
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        seen.running -= 1
    return 2 * x


def act(x: int, kind: Kind) -> Any:
    first = not seen.calls[x]
    seen.calls[x] += 1
    if first:
        seen.order.append(x)
    spend(0.02 if kind is Kind.LONG else 0.001)
    if kind is Kind.FAILS or (kind is Kind.FLAKY and first):
        raise ItemError(x)
    match kind:
        case Kind.TREE:
            return double(x)
        case Kind.LOOP:
            return again(x)
        case Kind.LATER:
            return later(x)
        case Kind.INSIDE:
            return [double(x), x]
        case Kind.TREE_FAILS:
            return fail(x)
        case _:
            return 2 * x


item = cs.task(act)


@cs.resource
def db() -> Iterator[int]:
    yield 7


@cs.task
def item_with(x: int, kind: Kind, number: int = cs.inject("db")) -> Any:
    assert number == 7
    return act(x, kind)


@cs.task
async def item_later(x: int, kind: Kind) -> Any:
    made = act(x, kind)
    if x % 2:
        await asyncio.sleep(0)
    return made


@cs.task
async def item_later_with(x: int, kind: Kind, number: int = cs.inject("db")) -> Any:
    assert number == 7
    return act(x, kind)


def wanted(x: int, kind: Kind) -> Any:
    return [2 * x, x] if kind is Kind.INSIDE else 2 * x


TROUBLE = {Kind.FLAKY, Kind.FAILS, Kind.TREE_FAILS}
kinds = st.lists(st.sampled_from(Kind), max_size=40)
calm = st.lists(st.sampled_from([kind for kind in Kind if kind not in TROUBLE]), max_size=40)


@dataclass(frozen=True)
class Needs:
    """What the items of a map need, and who watches."""

    awaited: bool
    injected: bool
    retries: int
    gpu: int
    together: int | None
    at_once: int | None
    heard: bool
    times: int
    keyword: bool

    def target(self, drawn: list[Kind]) -> Any:
        """Return a map with items of these kinds."""
        if self.awaited:
            task = item_later_with if self.injected else item_later
        else:
            task = item_with if self.injected else item
        numbers = list(range(len(drawn)))
        if self.keyword:
            mapped = task.map(kind=drawn, x=numbers, max_concurrency=self.together)
        else:
            mapped = task.map(numbers, drawn, max_concurrency=self.together)
        if self.retries:
            mapped = mapped.with_retry(self.retries)
        return mapped.with_constraints(gpu=self.gpu) if self.gpu else mapped

    def engine(self, bus: MessageBus) -> Engine:
        """Return an engine that the map can be run on."""
        made = Engine(bus=bus, system_resources={"gpu": 2}, max_concurrency=self.at_once)
        made.register(db)
        return made


needs = st.builds(
    Needs,
    awaited=st.booleans(),
    injected=st.booleans(),
    retries=st.sampled_from([0, 0, 1, 2]),
    gpu=st.sampled_from([0, 0, 1, 2]),
    together=st.sampled_from([None, None, 1, 3]),
    at_once=st.sampled_from([None, None, 1, 2]),
    heard=st.booleans(),
    times=st.sampled_from([1, 4]),
    keyword=st.booleans(),
)


def started(events: list[Event]) -> list[str]:
    return [event.task_id for event in events if isinstance(event, TaskExecutionStarted)]


def check_events(events: list[Event], drawn: list[Kind]) -> None:
    """Check that each item is told of once, starts in order and ends after its start."""
    items = [f"n0[{index}]" for index in range(len(drawn))]
    begun = started(events)
    assert [each for each in begun if each in set(items)] == items
    assert len(set(begun)) == len(begun)
    ended = [event.task_id for event in events if isinstance(event, TaskExecutionFinished)]
    assert Counter(ended) == Counter(begun)
    assert not [event for event in events if isinstance(event, TaskSkipped)]
    met = set()
    for event in events:
        if isinstance(event, TaskExecutionStarted):
            met.add(event.task_id)
        elif isinstance(event, TaskExecutionFinished | TaskRetrying):
            assert event.task_id in met
            assert not isinstance(event, TaskExecutionFinished) or event.duration >= 0


async def run(need: Needs, drawn: list[Kind], on_failure: str) -> tuple[Any, list[Event]]:
    """Run a map, known to the engine or not; return its value or error, and the events of the last run."""
    global seen
    events: list[Event] = []
    bus = MessageBus()
    if need.heard:
        bus.subscribe(Event, events.append)
    came: Any = None
    async with need.engine(bus) as engine:
        for _ in range(need.times):
            seen = Seen()
            events.clear()
            try:
                came = await engine.run(need.target(drawn), on_failure=on_failure)  # type: ignore[arg-type]
            except (ItemError, ExceptionGroup) as error:
                came = error
            assert seen.running == 0
            assert len(asyncio.all_tasks()) == 1
    return came, events


@SHORT
@given(calm, needs)
def test_items_give_what_a_loop_gives(drawn: list[Kind], need: Needs) -> None:
    """Values are in order, each item is called once and in its turn, and bounds are kept."""
    with still_clock():
        value, events = asyncio.run(run(need, drawn, "stop"))
    assert value == [wanted(x, kind) for x, kind in enumerate(drawn)]
    assert seen.order == list(range(len(drawn)))
    assert set(seen.calls.values()) <= {1}
    bounds = [bound for bound in (need.together, need.at_once, need.gpu and 2 // need.gpu) if bound]
    assert seen.most <= min(bounds, default=len(drawn))
    if need.heard:
        check_events(events, drawn)


@SHORT
@given(kinds, needs)
def test_all_other_items_run_after_failures(drawn: list[Kind], need: Needs) -> None:
    """A run that goes on makes all calls, each failed one as often as its retries say, and raises all errors."""
    with still_clock():
        came, events = asyncio.run(run(need, drawn, "finish"))
    lost = {Kind.FAILS, Kind.TREE_FAILS} | ({Kind.FLAKY} if not need.retries else set())
    failed = [x for x, kind in enumerate(drawn) if kind in lost]
    assert seen.order == list(range(len(drawn)))
    for x, kind in enumerate(drawn):
        attempts = 1 + need.retries if kind is Kind.FAILS else 1 + (kind is Kind.FLAKY and need.retries > 0)
        assert seen.calls[x] == attempts
    if failed:
        assert isinstance(came, ExceptionGroup)
        assert sorted(error.args[0] for error in came.exceptions) == failed
    else:
        assert came == [wanted(x, kind) for x, kind in enumerate(drawn)]
    if need.heard:
        check_events(events, drawn)


@SHORT
@given(kinds, needs)
def test_the_first_failure_ends_the_run(drawn: list[Kind], need: Needs) -> None:
    """Nothing is called again, or out of turn, and what comes out is the error of one of the items that fail."""
    with still_clock():
        came, events = asyncio.run(run(need, drawn, "stop"))
    lost = {Kind.FAILS, Kind.TREE_FAILS} | ({Kind.FLAKY} if not need.retries else set())
    failed = [x for x, kind in enumerate(drawn) if kind in lost]
    assert seen.order == list(range(len(seen.order)))
    if failed:
        assert isinstance(came, ItemError)
        assert came.args[0] in failed
    else:
        assert came == [wanted(x, kind) for x, kind in enumerate(drawn)]
    begun = started(events)
    ended = [event.task_id for event in events if isinstance(event, TaskExecutionFinished)]
    assert Counter(begun) == Counter(ended)


@pytest.mark.parametrize("size", [2, 300])
def test_a_map_goes_on_when_an_item_ends_just_when_the_slice_does(size: int) -> None:
    """Items each of which takes exactly one time slice are all called."""

    @cs.task
    def one_slice(x: int) -> int:
        spend(SLICE_SECONDS)
        return x

    with still_clock():
        assert asyncio.run(cs.arun(one_slice.map(range(size), max_concurrency=1))) == [*range(size)]
        assert asyncio.run(cs.arun(one_slice.map(range(size)))) == [*range(size)]


@pytest.mark.parametrize("size", [1_000])
async def test_others_have_their_turn_while_a_long_map_runs(size: int) -> None:
    """A map gives the event loop its turn when a time slice is over, and begins where it was."""
    turns: list[int] = []
    done: list[int] = []

    @cs.task
    def work(x: int) -> int:
        spend(0.001)
        done.append(x)
        return x

    async def tick() -> None:
        while len(done) < size:
            turns.append(len(done))
            await asyncio.sleep(0)

    with still_clock():
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        assert await cs.arun(work.map(range(size))) == list(range(size))
        await ticking
    most = max(after - before for before, after in pairwise(turns))
    assert most <= 12  # of a slice of ten milliseconds


@pytest.mark.virtual_time
async def test_a_listener_that_comes_late_hears_the_ends_of_coroutines() -> None:
    """Items that are under way when somebody subscribes are told of when they end, others from their start."""
    bus = MessageBus()
    heard: list[tuple[str, str]] = []

    def note(event: Event) -> None:
        if isinstance(event, TaskExecutionStarted):
            heard.append(("started", event.task_id))
        elif isinstance(event, TaskExecutionFinished):
            heard.append((f"finished after {event.duration >= 0}", event.task_id))

    @cs.task
    async def nap(x: int) -> int:
        await asyncio.sleep(x)
        return x

    async with Engine(bus=bus) as engine:
        running = asyncio.create_task(engine.run(nap.map([2, 4, 1], max_concurrency=2)))
        await asyncio.sleep(1)
        bus.subscribe(Event, note)
        assert await running == [2, 4, 1]
    assert heard == [
        ("finished after True", "n0[0]"),
        ("started", "n0[2]"),
        ("finished after True", "n0[2]"),
        ("finished after True", "n0[1]"),
        ("finished after True", "n0"),
    ]


@pytest.mark.virtual_time
@pytest.mark.parametrize("heard", [False, True])
async def test_coroutines_of_a_map_are_cancelled_and_told_of(heard: bool) -> None:
    """When an item fails, those under way are cancelled and waited for, and others never begin."""
    ended: list[int] = []
    events: list[Event] = []
    bus = MessageBus()
    if heard:
        bus.subscribe(Event, events.append)

    @cs.task
    async def nap(x: int) -> None:
        try:
            await asyncio.sleep(x)
            raise ItemError(x)
        finally:
            await asyncio.sleep(1)
            ended.append(x)

    async with Engine(bus=bus) as engine:
        with pytest.raises(ItemError, match="2"):
            await engine.run(nap.map([5, 2, 9, 3], max_concurrency=3))
    assert sorted(ended) == [2, 5, 9]
    verdicts = {
        event.task_id: str(event.status) for event in events if isinstance(event, TaskExecutionFinished)
    }
    wanted = {"n0[0]": "Cancelled", "n0[1]": "Failed", "n0[2]": "Cancelled", "n0": "Failed"}
    assert verdicts == (wanted if heard else {})


@cs.task(cache=cs.ByInputs(version="1"))
def kept(x: int) -> Any:
    seen.calls[x] += 1
    spend(0.004)
    if x == 9:
        raise ItemError(x)
    match x:
        case 6:
            return double(x)
        case 7:
            return later(x)
        case 8:
            return [double(x), x]
        case _:
            return 2 * x


@SHORT
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=20), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([None, 2]),
)
def test_cached_items_are_called_once_for_each_key(
    drawn: list[list[int]], heard: bool, together: int | None, at_once: int | None
) -> None:
    """Each input is computed once for all runs, whatever it gives; failures are no values; hits are told of."""
    global seen
    seen = Seen()
    failed = 0

    async def check() -> None:
        nonlocal failed
        events: list[Event] = []
        bus = MessageBus()
        if heard:
            bus.subscribe(Event, events.append)
        async with Engine(bus=bus, max_concurrency=at_once) as engine:
            for numbers in drawn:
                events.clear()
                before = seen.calls.total()
                fails = numbers.count(9)
                target = kept.map(numbers, max_concurrency=together)
                if fails:
                    with pytest.raises(ExceptionGroup) as caught:
                        await engine.run(target, on_failure="finish")
                    assert len(caught.value.exceptions) == fails
                else:
                    value = await engine.run(target, on_failure="finish")
                    assert value == [[2 * x, x] if x == 8 else 2 * x for x in numbers]
                failed += fails
                made = seen.calls.total() - before
                items = {f"n0[{index}]" for index in range(len(numbers))}
                hits = [event.task_id for event in events if isinstance(event, TaskSkipped)]
                begun = [each for each in started(events) if each in items]
                assert len(begun) == (made if heard else 0)
                assert Counter([*hits, *begun]) == Counter(items if heard else ())

    with still_clock():
        asyncio.run(check())
    asked = {x for numbers in drawn for x in numbers}
    assert {x: count for x, count in seen.calls.items() if x != 9} == dict.fromkeys(asked - {9}, 1)
    assert seen.calls[9] == failed


async def test_trees_of_items_that_take_long_now_and_then_are_run_as_before() -> None:
    """Three long trees in a row are run call by call; three that stand alone are the machine's doing, and are not."""
    turns = 0
    between: dict[int, int] = {}

    @cs.task
    def begin(x: int) -> int:
        if x and x % 10 == 0:
            spend(2 * SLICE_SECONDS)
        between[x] = turns
        return x

    @cs.task
    def end(x: int) -> int:
        between[x] = turns - between[x]
        return x

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with still_clock():
        ticking = asyncio.create_task(tick())
        try:
            assert await cs.arun(cs.map(lambda x: end(begin(x)), range(61))) == [*range(61)]
        finally:
            ticking.cancel()
    assert between == dict.fromkeys(range(61), 0)  # nobody had a turn between the two calls of a tree
