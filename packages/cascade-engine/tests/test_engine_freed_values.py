"""Claims about values during a run: one that nothing needs any more is freed, and not kept until the run ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state import InMemoryStateBackend
from cascade.runtime import Engine, Event, MessageBus

ALIVE: weakref.WeakSet[Any] = weakref.WeakSet()
MOST = [0]


class Big:
    """A value that is counted while it lives."""

    def __init__(self) -> None:
        ALIVE.add(self)
        MOST[0] = max(MOST[0], len(ALIVE))


@cs.task
def load(*given: Any) -> Any:
    return Big()


@cs.task
def change(value: Any) -> Any:
    assert isinstance(value, Big)
    return Big()


@cs.task
async def load_later(number: int) -> Any:
    for _ in range(3 * number):
        await asyncio.sleep(0)
    return Big()


@cs.task
async def change_later(value: Any) -> Any:
    assert isinstance(value, Big)
    await asyncio.sleep(0)
    return Big()


@cs.task
def reduce(value: Any) -> int:
    assert isinstance(value, Big)
    return 1


@cs.task
def total(*values: int) -> int:
    return sum(values)


@cs.resource
def connection() -> Iterator[int]:
    yield 1


@cs.task
def load_from(number: int, connection: Any = cs.inject("connection")) -> Any:
    assert connection == 1
    return Big()


@cs.task
def is_wanted(*given: Any) -> bool:
    return True


@cs.task
def name_of(number: int) -> str:
    return "reduced"


@cs.task
def reduce_as_tree(value: Any) -> Any:
    assert isinstance(value, Big)
    return reduce(load())


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Nothing is freed but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def most_alive(build: Any, heard: bool, wanted: object, **settings: Any) -> list[int]:
    """Run targets of one structure, new and known; return how many values lived at the same time in each run."""
    bus = MessageBus()
    if heard:
        bus.subscribe(Event, lambda event: None)

    counts = []
    async with Engine(bus=bus, **settings) as engine:
        engine.register(connection)
        for _ in range(5):
            MOST[0] = 0
            assert await engine.run(build()) == wanted
            assert not ALIVE
            counts.append(MOST[0])
    return counts


def chain(length: int, change: Any) -> Any:
    lazy = load()
    for _ in range(length):
        lazy = change(lazy)
    return reduce(lazy)


heard = pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])


@heard
@pytest.mark.parametrize("length", [20, 60])
async def test_a_pipeline_holds_a_handful_of_values(length: int, heard: bool) -> None:
    """Each step of a chain needs the value of the one before, and no other is kept."""
    assert max(await most_alive(lambda: chain(length, change), heard, 1)) <= 4


async def test_a_long_pipeline_holds_few_values() -> None:
    """A long chain of short calls looks back from time to time."""
    assert max(await most_alive(lambda: chain(2000, change), False, 1)) <= 2 * 128


async def test_coroutines_hold_a_handful_of_values() -> None:
    """In a tree with coroutines a value is freed when the last call that takes it has ended."""
    assert max(await most_alive(lambda: chain(50, change_later), False, 1)) <= 4
    pairs = await most_alive(lambda: total(*[reduce(load_later(n)) for n in range(50)]), False, 50)
    assert max(pairs) <= 10


@heard
async def test_a_shared_value_lives_as_long_as_somebody_needs_it(heard: bool) -> None:
    """A value that several calls take is there for the last of them, also if it is taken twice by one."""

    @cs.task
    def same(*values: Any) -> bool:
        return len(values) == 3 and all(isinstance(each, Big) for each in values)

    def build() -> Any:
        first = load()
        return same(first, change(first), first)

    assert max(await most_alive(build, heard, True)) == 2


@heard
async def test_a_failure_behind_freed_values_is_a_failure_as_any_other(heard: bool) -> None:
    """A call that fails late in a chain is retried with its own input, and the others are not made again."""
    tries: list[int] = []

    @cs.task
    def flaky(value: Any) -> Any:
        tries.append(1)
        assert isinstance(value, Big)
        if len(tries) % 3:
            raise ValueError("again")
        return value

    def build() -> Any:
        return reduce(change(flaky(change(change(load()))).with_retry(2)))

    assert await most_alive(build, heard, 1)
    assert len(tries) == 15

    @cs.task
    def grow(value: Any) -> Any:
        assert isinstance(value, Big)
        return change(load())

    assert await most_alive(lambda: reduce(grow(change(change(load())))), heard, 1)


def routed(number: int) -> Any:
    """A load that two routes share, one of which is taken."""
    loaded = load(number)
    return cs.Router(name_of(number), {"reduced": reduce(loaded), "changed": reduce(change(loaded))})


PAIRS: dict[str, Any] = {
    "plain": lambda number: reduce(load(number)),
    "three": lambda number: reduce(change(load(number))),
    "several": lambda number: total(reduce(shared := load(number)), reduce(shared)),
    "gathered": lambda number: total(*[reduce(load(each)) for each in range(2)]),
    "retry of a load": lambda number: reduce(load(number).with_retry(2)),
    "retry of a reduction": lambda number: reduce(load(number)).with_retry(2),
    "condition": lambda number: reduce(load(number)).run_if(is_wanted()),
    "condition of a value": lambda number: reduce(load(number)).run_if(load(number)),
    "route": lambda number: reduce(cs.Router(name_of(number), {"reduced": load(number), "no": load()})),
    "routes of one load": lambda number: total(routed(number)),
    "constraint": lambda number: reduce(load(number).with_constraints(gpu=1)),
    "map": lambda number: reduce(load(reduce.map([load(number)]))),
    "tree in place": lambda number: reduce_as_tree(load(number)),
    "after": lambda number: reduce(load(number).after(load(number))),
}


def fifty(pair: Any, number: int = 50) -> Any:
    return total(*[pair(each) for each in range(number)])


def each_is(pair: str) -> int:
    return 2 if pair in ("several", "gathered") else 1


@heard
@pytest.mark.parametrize("pair", PAIRS)
async def test_fifty_pairs_hold_a_handful_of_loads(pair: str, heard: bool) -> None:
    """Each load is reduced before many others are made, and freed then, whatever policies the calls have."""
    wanted = 50 * each_is(pair)
    most = await most_alive(lambda: fifty(PAIRS[pair]), heard, wanted, system_resources={"gpu": 1})
    # A larger graph of plain calls is ordered by windows.
    assert max(most) <= (24 if pair in ("three", "several", "gathered") else 9)


@heard
@pytest.mark.parametrize("pair", ["plain", "retry of a load", "condition", "routes of one load"])
async def test_fifty_pairs_hold_few_loads_one_call_at_a_time(pair: str, heard: bool) -> None:
    """With one slot the call that frees a value comes before the next load."""
    assert max(await most_alive(lambda: fifty(PAIRS[pair]), heard, 50, max_concurrency=1)) <= 9


@heard
@pytest.mark.parametrize("pair", ["plain", "retry of a load", "condition", "routes of one load"])
async def test_fifty_pairs_hold_few_loads_in_one_thread(pair: str, heard: bool) -> None:
    """Of the calls that wait for a thread, the one that frees a value comes before the next load."""
    assert max(await most_alive(lambda: fifty(PAIRS[pair]), heard, 50, executor="threads:1")) <= 9


@heard
async def test_fifty_loads_from_an_open_resource_are_a_handful(heard: bool) -> None:
    """Calls that take a resource hold few values once it is open."""

    def build() -> Any:
        first = total(reduce(load_from(0)))
        return total(*[reduce(load_from(each).after(first)) for each in range(49)], first)

    assert max(await most_alive(build, heard, 50)) <= 9


@heard
@pytest.mark.parametrize("pair", ["plain", "three", "several", "retry of a load"])
async def test_many_pairs_hold_few_loads(pair: str, heard: bool) -> None:
    """A large graph holds as few loads at a time as a small one."""
    most = await most_alive(lambda: fifty(PAIRS[pair], 500), heard, 500 * each_is(pair))
    assert max(most) <= 32


async def test_groups_that_are_gathered_hold_the_values_of_one_group() -> None:
    """The values of a group are there for the call that gathers them, and those of the next group are not yet."""

    @cs.task
    def gather(*values: Any) -> int:
        return sum(isinstance(each, Big) for each in values)

    def build() -> Any:
        return total(*[gather(*[load(each) for each in range(20)]) for _ in range(50)])

    assert max(await most_alive(build, False, 1000)) <= 64


@heard
async def test_a_retry_has_its_inputs_though_others_have_freed_theirs(heard: bool) -> None:
    """A value is held for the next attempt of a call that needs it, also if all others have settled."""
    tries: dict[int, int] = {}

    @cs.task
    def flaky(number: int, value: Any) -> int:
        tries[number] = tries.get(number, 0) + 1
        assert isinstance(value, Big)
        if tries[number] % 3:
            raise ValueError("again")
        return 1

    def build() -> Any:
        loads = [load(each) for each in range(10)]
        return total(*[flaky(each, value).with_retry(2) for each, value in enumerate(loads)])

    assert await most_alive(build, heard, 10)
    assert set(tries.values()) == {15}


async def test_a_run_that_finishes_after_a_failure_frees_values_too() -> None:
    """What goes on after a failure holds a handful of values, and has the failures of those that failed."""

    @cs.task
    def refuse(value: Any) -> int:
        raise ValueError("no")

    async with Engine() as engine:
        MOST[0] = 0
        pairs = [(refuse if each % 10 == 0 else reduce)(load(each)) for each in range(50)]
        with pytest.raises(ExceptionGroup) as caught:
            await engine.run(total(*pairs), on_failure="finish")
        assert len(caught.value.exceptions) == 5
    assert MOST[0] <= 9


async def test_a_condition_that_is_freed_is_judged_once() -> None:
    """The truth of a value counts for all that hang on it, and is not asked for again when the value is gone."""
    asked: list[int] = []

    class Truth(Big):
        def __bool__(self) -> bool:
            asked.append(1)
            return True

    @cs.task
    def judge() -> Any:
        return Truth()

    def build() -> Any:
        truth = judge()
        return total(*[reduce(load(each)).with_retry(1).run_if(truth) for each in range(20)])

    assert max(await most_alive(build, True, 20)) <= 4
    assert len(asked) == 5


async def test_a_state_that_is_handed_in_keeps_every_value() -> None:
    """Only the built-in state lets go of values; one of the user's has what each call gave."""
    kept: list[object] = []

    class Keeping(InMemoryStateBackend):
        def put_result(self, key: Any, value: object) -> None:
            super().put_result(key, value)
            kept.append(value)
            assert self.get_result(key) is value

        def let_go(self, key: Any) -> None:
            raise AssertionError

    async with Engine(state=Keeping) as engine:
        assert await engine.run(fifty(PAIRS["plain"])) == 50
    assert sum(isinstance(each, Big) for each in kept) == 50
