"""What a review found wrong: how a run is driven must not show, and nothing is lost, doubled or left waiting."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Event, MessageBus, RunStarted, TaskExecutionFinished, TaskSkipped

COMPILED = 5
"""After so many runs of one structure, code has been written for it."""


@cs.task
def same(value: Any) -> Any:
    """Return the argument."""
    return value


@cs.task
def pair(first: Any, second: Any) -> tuple[Any, Any]:
    """Return both arguments."""
    return first, second


@cs.task
def positional(*values: Any) -> tuple[Any, ...]:
    """Return what is given by position."""
    return values


@cs.task
def keywords(**values: Any) -> list[str]:
    """Return the names in the order given."""
    return list(values)


async def known(engine: cs.Engine, make: Callable[[], object]) -> None:
    """Run a structure until code has been written for it."""
    for _ in range(COMPILED):
        await engine.run(make())


async def test_a_call_without_arguments_is_not_one_with_some() -> None:
    """`f()` and `f(5)` are told apart, also once `f()` is compiled."""
    engine = cs.Engine()
    await known(engine, positional)
    assert await engine.run(positional(5)) == (5,)


async def test_keyword_arguments_keep_their_order() -> None:
    """A function with `**kwargs` sees them as they were written, whatever order a known structure has."""
    engine = cs.Engine()
    await known(engine, lambda: keywords(a=1, b=2))
    assert await engine.run(keywords(b=1, a=2)) == ["b", "a"]


async def test_another_structure_of_the_same_root_may_declare_inputs() -> None:
    """That `f(1)` is compiled neither hides the parameters that `f(Param)` declares nor begins a run too early."""
    engine = cs.Engine()
    await known(engine, lambda: same(1))
    assert await engine.run(same(cs.Param("x", type=int)), params={"x": 7}) == 7
    begun: list[RunStarted] = []
    engine.bus.subscribe(RunStarted, begun.append)
    with pytest.raises(cs.CascadeError):
        await engine.run(same(1, 2))
    assert not begun


async def test_skips_are_told_to_those_who_hear_nothing_else() -> None:
    """A subscriber to `TaskSkipped` alone hears every skip, however often the structure has run."""
    engine, skips = cs.Engine(), list[TaskSkipped]()
    engine.bus.subscribe(TaskSkipped, skips.append)
    for _ in range(2 * COMPILED):
        await engine.run(same(1).run_if(same(False), otherwise=None))
    assert len(skips) == 2 * COMPILED


async def test_items_of_a_known_map_are_retried() -> None:
    """The retry policy of a map is each item's, also in a compiled structure."""
    seen: list[int] = []

    @cs.task
    def flaky(value: int) -> int:
        seen.append(value)
        if value < 0 and seen.count(value) == 1:
            raise ValueError(value)
        return value

    engine = cs.Engine()
    await known(engine, lambda: flaky.map([1, 2, 3]).with_retry(2))
    seen.clear()
    assert await engine.run(flaky.map([1, -2, 3]).with_retry(2)) == [1, -2, 3]
    assert sorted(seen) == [-2, -2, 1, 3]


async def test_a_map_over_no_iterable_is_never_a_call() -> None:
    """A bad input of a map fails it and is not retried as a call of its task with the whole input."""
    engine = cs.Engine()
    await known(engine, lambda: same.map(same([1, 2])).with_retry(2))
    with pytest.raises(cs.CascadeError, match="not an iterable"):
        await engine.run(same.map(same(5)).with_retry(2))


def test_an_item_that_raises_stop_iteration_is_called_once() -> None:
    """`StopIteration` is no end of a map's items: the item has failed, after one call."""
    seen: list[int] = []

    @cs.task
    def stops(value: int) -> None:
        seen.append(value)
        if value == 2:
            raise StopIteration

    with pytest.raises(RuntimeError) as caught:
        cs.run(stops.map([1, 2, 3]))
    assert isinstance(caught.value.__cause__, StopIteration)
    assert seen == [1, 2]


def test_a_wrapper_gets_mapped_arguments_by_name() -> None:
    """What is mapped by name is given by name, even if the wrapped function would take it by position."""

    def by_name(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def wrapper(**values: int) -> int:
            return function(**values)

        return wrapper

    def double(value: int) -> int:
        return 2 * value

    assert cs.run(cs.task(by_name(double)).map(value=[1, 2])) == [2, 4]


async def test_otherwise_stands_in_for_a_false_condition_alone_when_known() -> None:
    """A compiled target that is skipped for its inputs raises the same error as an interpreted one."""

    def make(needed: bool) -> cs.LazyResult[Any]:
        skipped = same(1).run_if(same(needed))
        return pair(skipped, same(same(2))).run_if(same(True), otherwise="instead")

    engine = cs.Engine()
    await known(engine, lambda: make(True))
    with pytest.raises(cs.DependencyMissingError):
        await engine.run(make(False))


async def test_routers_on_one_selector_may_have_different_routes() -> None:
    """A key that only one of two routers knows is the other one's `RouteNotFoundError`, compiled or not."""

    def make(key: int) -> cs.LazyResult[Any]:
        selector = same(key)
        both = cs.Router(selector=selector, routes={1: same(1), 2: same(2)})
        return cs.gather(same(both), same(cs.Router(selector=selector, routes={1: same(3)})))

    engine = cs.Engine()
    await known(engine, lambda: make(1))
    with pytest.raises(LookupError, match="no route 2"):
        await engine.run(make(2))


async def test_two_contracts_of_one_name_clash_in_a_known_structure() -> None:
    """A tree that is only matched is refused like one that is built."""

    @cs.task
    def later() -> Any:
        return pair(cs.Param("a", type=int, default=1), cs.Param("a", type=str, default="x"))

    engine = cs.Engine()
    await known(engine, lambda: pair(cs.Param("a", type=int, default=1), cs.Param("a", type=int, default=1)))
    with pytest.raises(cs.CascadeError, match="'a'"):
        await engine.run(later())


@pytest.mark.parametrize("heard", [False, True])
async def test_a_bad_tree_in_a_later_round_is_a_failure_like_others(heard: bool) -> None:
    """With `on_failure="finish"` it comes in a group, whether or not somebody listens."""

    @cs.task
    def rounds(left: int) -> Any:
        return rounds(left - 1) if left else same()

    bus = MessageBus()
    if heard:
        bus.subscribe(Event, lambda event: None)
    with pytest.raises(ExceptionGroup):
        await cs.Engine(bus=bus).run(rounds(3), on_failure="finish")


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
    assert await engine.run(same(1)) == 1
    assert [end.result_preview for end in ends] == [None]


async def test_an_error_without_a_text_comes_out() -> None:
    """An exception whose `__str__` raises is still the one that comes out, with its events."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @cs.task
    def fails() -> None:
        raise MuteError

    engine, ends = cs.Engine(), list[TaskExecutionFinished]()
    engine.bus.subscribe(TaskExecutionFinished, ends.append)
    with pytest.raises(MuteError):
        await engine.run(fails())
    assert [end.error for end in ends] == ["MuteError"]


@pytest.mark.parametrize("between", [{}, {"cpu": 1}])
async def test_borrowing_reaches_through_runs_between(between: dict[str, int]) -> None:
    """What a task holds is lent to runs inside runs inside it, those of another engine and of no needs among them."""
    engine = cs.Engine(system_resources={"gpu": 1})
    middle = cs.Engine(system_resources=between) if between else engine

    @cs.task
    async def inner() -> int:
        return 1

    @cs.task
    async def nested() -> Any:
        return await engine.run(inner().with_constraints(gpu=1))

    @cs.task
    async def outer() -> Any:
        return await middle.run(nested().with_constraints(**between) if between else nested())

    async with asyncio.timeout(10):
        assert await engine.run(outer().with_constraints(gpu=1)) == 1


async def test_what_is_lent_stays_taken_until_the_borrower_ends() -> None:
    """A run that outlives the task it was begun in keeps what it borrowed; nobody else gets it as well."""
    engine, under_way, most = cs.Engine(system_resources={"gpu": 1}), 0, 0
    background: list[asyncio.Task[Any]] = []

    @cs.task
    async def holds() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1

    @cs.task
    async def leaves_one_behind() -> None:
        background.append(asyncio.create_task(engine.run(holds().with_constraints(gpu=1))))
        await asyncio.sleep(0.01)

    await engine.run(leaves_one_behind().with_constraints(gpu=1))
    await engine.run(holds().with_constraints(gpu=1))
    await asyncio.gather(*background)
    assert most == 1


async def test_a_provider_that_swallows_the_cancellation_does_not_start_its_task() -> None:
    """The call that a cancelled run wanted the resource for is not made."""
    opening, called = asyncio.Event(), False

    @cs.resource(scope="task")
    async def stubborn() -> Any:
        opening.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        yield 1

    @cs.task
    async def uses(value: Any = cs.inject("stubborn")) -> None:
        nonlocal called
        called = True
        await asyncio.sleep(60)

    engine = cs.Engine()
    engine.register(stubborn)
    run = asyncio.create_task(engine.run(uses()))
    await opening.wait()
    run.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await run
    assert not called


def test_resources_close_in_order_when_the_loop_is_shut_down() -> None:
    """A run in the background that `asyncio.run` cancels with everything else throws its failure into providers."""
    thrown: list[type[BaseException]] = []

    @cs.resource
    async def held() -> Any:
        try:
            yield 1
        except BaseException as error:
            thrown.append(type(error))
            raise

    @cs.task
    async def waits(value: Any = cs.inject("held")) -> None:
        await asyncio.sleep(60)

    async def main() -> asyncio.Task[Any]:
        engine = cs.Engine()
        engine.register(held)
        run = asyncio.create_task(engine.run(waits()))
        await asyncio.sleep(0.02)
        return run

    assert asyncio.run(main()).cancelled()
    assert thrown == [asyncio.CancelledError]
