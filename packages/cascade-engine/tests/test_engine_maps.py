"""Claims about maps at run time: order, bounds, items with policies, and items that are graphs."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.loops import now
from support.ways import make_known

import cascade as cs
from cascade.runtime import (
    Engine,
    Event,
    MapItemSkippedError,
    MessageBus,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskSkipped,
)
from cascade.spec import MapError, MapLengthError


@cs.task
def add(x: int, y: int = 100) -> int:
    return x + y


@cs.task
def double(x: int) -> int:
    return 2 * x


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task
def give(value: object) -> object:
    return value


@pytest.mark.virtual_time
async def test_results_are_in_the_order_of_the_items() -> None:
    """The values of a map come in the order of its items, whichever is done first."""

    @cs.task
    async def later(x: int) -> int:
        await asyncio.sleep(10 - x)
        return x

    assert await cs.arun(later.map(x=range(10))) == list(range(10))


@pytest.mark.virtual_time
async def test_items_run_at_the_same_time() -> None:
    """Items that wait don't wait for each other."""

    @cs.task
    async def wait(x: int) -> int:
        await asyncio.sleep(1)
        return x

    await cs.arun(wait.map(x=range(50)))
    assert now() == 1.0


@pytest.mark.virtual_time
async def test_max_concurrency_bounds_one_map() -> None:
    """`max_concurrency=` bounds how many items of the map run at one time, and no other map's."""
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    @cs.task
    async def wait(name: str) -> None:
        running[name] += 1
        most[name] = max(most[name], running[name])
        await asyncio.sleep(1)
        running[name] -= 1

    await cs.arun([wait.map(name=["a"] * 9, max_concurrency=3), wait.map(name=["b"] * 9)])
    assert most == {"a": 3, "b": 9}
    assert now() == 3.0


def test_no_items_give_an_empty_list() -> None:
    """A map over nothing but an empty input gives `[]`."""
    assert cs.run(double.map(x=[])) == []
    assert cs.run(total(double.map(x=give([])))) == 0


def test_several_inputs_go_side_by_side() -> None:
    """Item k gets the k-th value of each input, by position or by name."""
    assert cs.run(add.map([1, 2, 3], y=[10, 20, 30])) == [11, 22, 33]


def test_unequal_lengths_are_refused_with_the_lengths() -> None:
    """Inputs of unequal lengths are a `ValueError` that tells them, also where they come from tasks."""
    with pytest.raises(MapLengthError, match="x: 2, y: 3"):
        add.map(x=[1, 2], y=[1, 2, 3])
    with pytest.raises(MapLengthError, match=r"task 'add'.*x: 2, y: 3") as caught:
        cs.run(add.map(x=give([1, 2]), y=[1, 2, 3]))
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("text", ["abc", b"abc"])
def test_text_is_no_iterable(text: object) -> None:
    """Strings and bytes are refused, also where they come from a task; the error names task and argument."""
    with pytest.raises(MapError, match="argument 'x' of mapped task 'double'"):
        double.map(x=text)
    with pytest.raises(MapError, match="argument 'x' of mapped task 'double'"):
        cs.run(double.map(x=give(text)))


def test_a_value_that_is_no_iterable_is_refused() -> None:
    """A map over a number is refused, also where it comes from a task."""
    with pytest.raises(MapError, match="argument 'x' of mapped task 'double' is int"):
        cs.run(double.map(x=give(3)))


def test_a_map_over_nothing_is_refused() -> None:
    """A map without an input says so."""
    with pytest.raises(MapError, match="mapped over nothing"):
        double.map()


def test_iterables_are_taken_once_and_at_the_call() -> None:
    """An iterator is used up when the map is written, so the lazy result can be run twice."""
    mapped = double.map(x=(number for number in range(3)))
    assert cs.run(mapped) == [0, 2, 4]
    assert cs.run(mapped) == [0, 2, 4]


def test_inputs_may_be_lazy_as_a_whole_or_item_by_item() -> None:
    """An input may be the lazy result of a list, or a list with lazy results in it."""
    assert cs.run(double.map(x=give([1, 2]))) == [2, 4]
    assert cs.run(double.map(x=[double(1), 2, double(3)])) == [4, 4, 12]
    assert cs.run(double.map(x=double.map(x=[1, 2]))) == [4, 8]


def test_fixed_arguments_are_the_same_for_each_item() -> None:
    """`task.partial(...)` fixes arguments; a lazy one is computed once, whatever the number of items."""
    calls: list[int] = []

    @cs.task
    def offset() -> int:
        calls.append(1)
        return 1000

    assert cs.run(add.partial(y=offset()).map(x=[1, 2, 3])) == [1001, 1002, 1003]
    assert len(calls) == 1
    assert cs.run(add.partial(5).map(y=[1, 2])) == [6, 7]


@pytest.mark.virtual_time
async def test_retries_are_the_items() -> None:
    """The retry policy of a map applies to each item."""
    calls: Counter[int] = Counter()

    @cs.task
    def flaky(x: int) -> int:
        calls[x] += 1
        if calls[x] <= x:
            raise ValueError(x)
        return x

    assert await cs.arun(flaky.map(x=[0, 1, 2]).with_retry(max_attempts=2)) == [0, 1, 2]
    assert calls == {0: 1, 1: 2, 2: 3}


@pytest.mark.virtual_time
async def test_timeouts_are_the_items() -> None:
    """The timeout of a map applies to each item: many items may take longer together."""

    @cs.task
    async def wait(x: int) -> int:
        await asyncio.sleep(4)
        return x

    assert await cs.arun(wait.map(x=range(3), max_concurrency=1).with_timeout(5)) == [0, 1, 2]


@pytest.mark.virtual_time
async def test_constraints_are_the_items() -> None:
    """Each item holds the amounts that the map names, those that are lazy among them."""

    @cs.task
    async def wait(x: int) -> int:
        await asyncio.sleep(1)
        return x

    mapped = wait.map(x=range(6)).with_constraints(gpu=double(1))
    await cs.arun(mapped, system_resources={"gpu": 4})
    assert now() == 3.0


def test_the_cache_is_the_items() -> None:
    """A cached map looks up each item: what was computed before is not computed again."""
    calls: list[int] = []

    @cs.task
    def square(x: int) -> int:
        calls.append(x)
        return x * x

    assert cs.run(square.map(x=[2, 3, 2, 3]).with_cache(cs.ByInputs())) == [4, 9, 4, 9]
    assert sorted(calls) == [2, 3]


def test_the_condition_is_the_maps() -> None:
    """A false condition skips the whole map; `otherwise` stands for its list."""
    mapped = double.map(x=[1, 2]).run_if(give(False), otherwise=[7])
    assert cs.run(total(mapped)) == 7


def test_after_is_the_maps() -> None:
    """No item starts before what the map comes after."""
    order: list[str] = []

    @cs.task
    async def first() -> None:
        await asyncio.sleep(0)
        order.append("first")

    @cs.task
    def item(x: int) -> None:
        order.append("item")

    cs.run(item.map(x=[1, 2]).after(first()))
    assert order == ["first", "item", "item"]


def test_an_item_may_be_a_graph() -> None:
    """`cs.map(factory, ...)` runs the lazy result that the factory gives for each item."""
    assert cs.run(cs.map(lambda x: total([double(x), add(x, y=1)]), x=[1, 2, 3])) == [4, 7, 10]


def test_an_item_may_map_again() -> None:
    """Maps nest, by factories and by tasks that return maps."""

    @cs.task
    def row(width: int) -> list[int] | cs.LazyResult[list[int]]:
        return double.map(x=range(width))

    wanted = [[0], [0, 2], [0, 2, 4]]
    assert cs.run(row.map(width=[1, 2, 3])) == wanted
    assert cs.run(cs.map(lambda width: double.map(x=range(width)), width=[1, 2, 3])) == wanted
    assert cs.run(cs.map(lambda n: cs.map(lambda m: add(m, y=n), m=range(n)), n=[1, 2])) == [[1], [2, 3]]


def test_a_skipped_item_is_an_error_that_names_its_index() -> None:
    """An item whose lazy result is skipped fails the map; the error names the index and the reason."""
    target = cs.map(lambda x: double(x).run_if(give(x != 7)), x=[5, 6, 7])
    with pytest.raises(MapItemSkippedError, match=r"item 2 .*ConditionFalse"):
        cs.run(target)


def test_a_failing_item_says_which_one() -> None:
    """The exception of an item comes out with a note that names the item."""

    @cs.task
    def fail(x: int) -> None:
        if x == 6:
            raise ValueError("six")

    with pytest.raises(ValueError, match="six") as caught:
        cs.run(fail.map(x=[5, 6, 7]))
    assert any("task 'fail' at root, item 1" in note for note in caught.value.__notes__)


def test_finishing_runs_the_other_items() -> None:
    """With `on_failure="finish"` the other items still run, and each failure is in the group."""
    done: list[int] = []

    @cs.task
    def odd_only(x: int) -> int:
        if x % 2 == 0:
            raise ValueError(x)
        done.append(x)
        return x

    with pytest.raises(ExceptionGroup) as caught:
        cs.run(odd_only.map(x=range(5)), on_failure="finish")
    assert sorted(error.args for error in caught.value.exceptions) == [(0,), (2,), (4,)]
    assert done == [1, 3]


@pytest.mark.parametrize("bad", [0, 2, 4])
@pytest.mark.parametrize("repeats", [1, 5])
async def test_one_failing_item_of_many(bad: int, repeats: int) -> None:
    """Whichever item fails, first or last, the others run and the group has one error, however often it is run."""
    done: list[int] = []

    @cs.task
    def fail_at(x: int) -> int | cs.LazyResult[int]:
        if x == bad:
            raise ValueError(x)
        done.append(x)
        return double(x) if x % 2 else x

    async with Engine() as engine:
        for _ in range(repeats):
            done.clear()
            with pytest.raises(ExceptionGroup) as caught:
                await engine.run(cs.gather(fail_at.map(x=range(5))), on_failure="finish")
            assert [error.args for error in caught.value.exceptions] == [(bad,)]
            assert done == [x for x in range(5) if x != bad]


def test_a_failing_iterable_is_the_users_own_error() -> None:
    """What iterating over a lazy input raises comes out as it is."""

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        cs.run(double.map(x=give(Broken())))


@pytest.mark.virtual_time
async def test_items_share_resources_and_capacity_with_the_run() -> None:
    """One resource of scope `run` serves all items and the tasks beside them, and so does the capacity."""
    opened: list[str] = []
    running: list[int] = [0, 0]

    @cs.resource
    def db() -> Iterator[object]:
        opened.append("db")
        yield object()

    @cs.task
    async def use(x: int, db: object = cs.inject("db")) -> int:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(1)
        running[0] -= 1
        return id(db)

    mapped = use.map(x=range(4)).with_constraints(gpu=1)
    targets: list[object] = [mapped, use(9).with_constraints(gpu=1)]
    ids, single = await cs.arun(targets, resources=[db], system_resources={"gpu": 2})
    assert opened == ["db"]
    assert {*ids, single} == {single}
    assert running[1] == 2
    assert now() == 3.0


def test_each_item_has_its_own_resource_of_scope_task() -> None:
    """A resource of scope `task` is opened for each item anew."""
    opened: list[int] = []

    @cs.resource(scope="task")
    def number() -> Iterator[int]:
        opened.append(len(opened))
        yield len(opened)

    @cs.task
    def use(x: int, number: int = cs.inject("number")) -> int:
        return x * number

    assert cs.run(use.map(x=[1, 1, 1]), resources=[number]) == [1, 2, 3]
    assert cs.run(add.partial(y=cs.inject("number")).map(x=[0, 0]), resources=[number]) == [4, 5]


async def test_items_have_events_of_their_own() -> None:
    """The map and each item start once and finish once, the items with their index in the id."""
    heard: list[Event] = []
    bus = MessageBus()
    bus.subscribe(Event, heard.append)

    async with Engine(bus=bus) as engine:
        await engine.run(double.map(x=[1, 2]))
    started = [event.task_id for event in heard if isinstance(event, TaskExecutionStarted)]
    finished = [event.task_id for event in heard if isinstance(event, TaskExecutionFinished)]
    assert started == ["n0", "n0[0]", "n0[1]"]
    assert sorted(finished) == started
    assert not [event for event in heard if isinstance(event, TaskSkipped)]


def test_a_map_may_be_the_next_round() -> None:
    """A task may return a map in place of its value."""

    @cs.task
    def spread(n: int) -> list[int] | cs.LazyResult[list[int]]:
        return double.map(x=range(n))

    assert cs.run(spread(3)) == [0, 2, 4]
    assert cs.run(total(spread(3))) == 6


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
    await make_known(engine, lambda: flaky.map([1, 2, 3]).with_retry(2))
    seen.clear()
    assert await engine.run(flaky.map([1, -2, 3]).with_retry(2)) == [1, -2, 3]
    assert sorted(seen) == [-2, -2, 1, 3]


async def test_a_map_over_no_iterable_is_never_a_call() -> None:
    """A bad input of a map fails it and is not retried as a call of its task with the whole input."""
    engine = cs.Engine()
    await make_known(engine, lambda: give.map(give([1, 2])).with_retry(2))
    with pytest.raises(cs.CascadeError, match="not an iterable"):
        await engine.run(give.map(give(5)).with_retry(2))


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


def _by_name_alone(**named: int) -> cs.LazyResult[int]:
    return _difference(**named)


@functools.wraps(lambda x, y: None)
def _wrapper(**named: int) -> cs.LazyResult[int]:
    return _difference(**named)


def _plain(x: int, y: int) -> cs.LazyResult[int]:
    return _difference(x, y)


def _named_only(*, x: int, y: int) -> cs.LazyResult[int]:
    return _difference(x, y)


def _with_more(x: int, *more: int, y: int) -> cs.LazyResult[int]:
    return _difference(x + sum(more), y)


@cs.task
def _difference(x: int, y: int) -> int:
    return x - y


@pytest.mark.parametrize("factory", [_plain, _by_name_alone, _wrapper, _named_only, _with_more])
async def test_the_function_of_a_map_takes_items_by_name_in_any_order(factory: Any) -> None:
    """Items that are given by name come to the parameters of these names, however the function takes them."""
    assert await cs.arun(cs.map(factory, x=[9, 8], y=[1, 2])) == [8, 6]
    assert await cs.arun(cs.map(factory, y=[1, 2], x=[9, 8])) == [8, 6]


async def test_the_function_of_a_map_takes_one_item_by_name() -> None:
    """Another parameter may have a default, before or behind the one that is mapped."""

    def first(x: int, y: int = 1) -> cs.LazyResult[int]:
        return _difference(x, y)

    def last(x: int = 10, y: int = 1) -> cs.LazyResult[int]:
        return _difference(x, y)

    assert await cs.arun(cs.map(first, x=[9, 8])) == [8, 7]
    assert await cs.arun(cs.map(last, y=[9, 8])) == [1, 2]
    assert await cs.arun(cs.map(last, [5, 6], y=[1, 2])) == [4, 4]
