"""Tail calls: a returned lazy result stands for its value, in a loop, in constant memory, for ever."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from observation import observe
from recorder import Lazy, Recorder, verdicts
from support.clock import spend, still_clock

import cascade as cs
from cascade.runtime import DependencyMissingError, Engine, MessageBus
from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted, TaskSkipped
from cascade.spec import LazyResult

Number = int | LazyResult[int]


@cs.task
def add(*numbers: int) -> int:
    return sum(numbers)


@cs.task
def one(_: object = None) -> int:
    return 1


@cs.task
def down(n: int) -> Number:
    return down(n - 1) if n else 7


@cs.task
async def async_down(n: int) -> Number:
    return async_down(n - 1) if n else 7


@cs.task
def even(n: int) -> bool | LazyResult[bool]:
    return odd(n - 1) if n else True


@cs.task
def odd(n: int) -> bool | LazyResult[bool]:
    return even(n - 1) if n else False


@cs.task
def whole_tree(n: int, last: int = 0) -> Number:
    """Return a round of everything: a router, conditions, a map, a sequence, a shared node, a retry."""
    if not n:
        return last
    shared = one()
    routed = add(cs.Router(shared, {1: one(), 2: add()}), shared)
    mapped = add(*[one()]).with_retry(), one.map([1, 2, 3])
    kept = add(1, routed).run_if(shared).after(cs.sequence([one(), one(1)]))
    unwanted = add(1).run_if(add(), otherwise=0)
    return whole_tree(n - 1, last=add(kept, unwanted, mapped[0], length(mapped[1])))


@cs.task
def length(values: list[int]) -> int:
    return len(values)


@cs.task
def last(values: list[int]) -> int:
    return values[-1]


@cs.task
def fib(n: int) -> Number:
    return add(fib(n - 1), fib(n - 2)) if n > 1 else n


PLACES: dict[str, Callable[[Lazy], Lazy]] = {
    "target": lambda lazy: lazy,
    "argument": lambda lazy: add(lazy),
    "nested": lambda lazy: length([lazy] * 7),
    "selector": lambda lazy: add(cs.Router(lazy, {7: add(3, 4)})),
    "route": lambda lazy: add(cs.Router(one(), {1: lazy})),
    "condition": lambda lazy: add(7).run_if(lazy),
    "amount": lambda lazy: add(7).with_constraints(gpu=lazy),
    "predecessor": lambda lazy: add(7).after(lazy),
    "sequence": lambda lazy: cs.sequence([one(), lazy]),
    "mapped": lambda lazy: add(last(add.partial(1).map([one(), lazy])), add(-1)),
    "map": lambda lazy: add(length(cs.map(lambda x: lazy, x=range(7)))),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("task", [down, async_down], ids=["sync", "async"])
def test_a_returned_lazy_result_stands_for_its_value(place: str, task: Any) -> None:
    """Wherever the task sits, what it returns is run in its place."""
    target = PLACES[place](task(5))
    assert observe(target, lambda bus: Engine(bus=bus, system_resources={"gpu": 9})).value == 7


def test_items_of_a_map_tail_call_each_on_its_own() -> None:
    """Each item of a map may return its next call; the results stay in order."""
    assert cs.run(down.map([0, 3, 1])) == [7, 7, 7]
    assert cs.run(even.map(range(6))) == [True, False] * 3
    assert cs.run(fib.map([5, 1, 7])) == [5, 1, 13]


def test_what_may_be_returned() -> None:
    """A returned map, gathering, sequence or parameter is run like any other lazy result."""
    call = Recorder()
    cases: list[tuple[Lazy, object]] = [
        (add.map([1, 2]), [1, 2]),
        (cs.gather(one(), one()), [1, 1]),
        (cs.sequence([one(), add(5)]), 5),
        (cs.Param("p", default=3), 3),
    ]
    for returned, value in cases:
        assert cs.run(call("a", lambda returned=returned: returned)) == value
        assert cs.run(call("b", lambda got: [got], call("a", lambda returned=returned: returned))) == [value]


def test_a_lazy_result_in_a_returned_container_is_run() -> None:
    """A lazy result inside a returned list is run; one inside another object is left as it is."""
    inner = one()
    call = Recorder()
    assert cs.run(call("a", lambda: [inner])) == [1]
    assert cs.run(call("b", lambda got: got == [1], call("a", lambda: [inner]))) is True
    assert cs.run(call("c", lambda: deque([inner]))) == deque([inner])


def test_mutual_recursion() -> None:
    """Tasks that return each other's next call are one loop."""
    assert cs.run(even(1001)) is False
    assert cs.run(even(1000)) is True


@pytest.mark.parametrize(
    ("make", "rounds"),
    [
        (down, 100_000),
        (async_down, 10_000),
        (even, 20_000),
        (lambda n: add(down(n)), 20_000),
        (lambda n: down.map([n]), 20_000),
        (whole_tree, 600),
    ],
    ids=["one task", "async", "mutual", "inner node", "map item", "whole tree"],
)
async def test_memory_does_not_grow_with_the_rounds(make: Callable[[int], Lazy], rounds: int) -> None:
    """A tail-call loop keeps nothing of its earlier rounds: twice the rounds need no more memory."""
    await cs.arun(make(100))
    for count in (rounds // 2, rounds):
        assert await kept_late(make(count), count * 3 // 4) < 20_000


@pytest.mark.parametrize("inner", [False, True], ids=["target", "inner node"])
def test_memory_does_not_grow_where_nobody_listens(inner: bool) -> None:
    """A loop without listeners, which may take every short cut, keeps nothing of its earlier rounds either."""

    @cs.task
    def counted(n: int, last: int = 0) -> Number:
        kept.tick()
        return counted(n - 1, last=one(n)) if n else 7

    for rounds in (50_000, 100_000):
        kept = Kept(rounds * 3 // 4)
        with kept:
            assert cs.run(add(counted(rounds)) if inner else counted(rounds)) == 7
        assert kept.size < 20_000


async def kept_late(target: Lazy, begin: int) -> int:
    """Return the bytes that a run has put on and kept since `begin` of its calls were finished."""
    kept = Kept(begin)
    bus = MessageBus()
    bus.subscribe(TaskExecutionFinished, lambda _: kept.tick())

    with kept:
        async with Engine(bus=bus) as engine:
            await engine.run(target)
    return kept.size


class Kept:
    """Measures what is allocated after the first `begin` ticks and kept since then: `size`, in bytes.

    Allocations are traced slowly, so only from there on; garbage is none of the loop's.
    """

    def __init__(self, begin: int) -> None:
        self.size = 0
        self._begin = begin
        self._ticks = 0

    def __enter__(self) -> None:
        gc.collect()

    def __exit__(self, *_: object) -> None:
        tracemalloc.stop()

    def tick(self) -> None:
        """Note that one more call was made."""
        self._ticks += 1
        if self._ticks == self._begin:
            gc.collect()
            tracemalloc.start()
        elif self._ticks > self._begin and self._ticks % (self._begin // 10) == 0:
            gc.collect()
            self.size = tracemalloc.get_traced_memory()[0]


async def test_the_loop_gives_the_event_loop_its_turn_by_time() -> None:
    """A long loop lets others run about every 10 ms, whatever its number of rounds."""
    turns, done = 0, asyncio.Event()

    @cs.task
    def count(left: int) -> int | cs.LazyResult[int]:
        spend(0.0005)
        return count(left - 1) if left else 0

    async def others() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    with still_clock():
        await cs.arun(count(20_000))
    done.set()
    await beside
    assert 500 <= turns <= 2_000, "by time, which is 10 s, and not by round"


async def test_a_chain_of_inline_tasks_gives_the_event_loop_its_turn() -> None:
    """Many inline tasks of one graph let others run as well."""

    @cs.task
    def busy(count: int) -> int:
        return sum(range(count))

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await cs.arun([busy(2_000) for _ in range(10_000)])
    beside.cancel()
    assert turns >= 5


def test_recursion_that_is_not_in_tail_position_goes_5000_deep() -> None:
    """A task whose tree waits for its own next call, 5,000 deep, neither overflows nor loses a value."""

    @cs.task
    def count(n: int) -> Number:
        return add(1, count(n - 1)) if n else 0

    assert cs.run(count(5_000)) == 5_000


def test_a_chain_of_100000_tasks_runs() -> None:
    """A chain of 100,000 tasks runs, and is freed, without a RecursionError."""
    lazy = one()
    for _ in range(99_999):
        lazy = add(1, lazy)
    assert cs.run(lazy) == 100_000


def test_a_fan_out_of_100000_tasks_runs() -> None:
    """A node with 100,000 inputs runs."""
    assert cs.run(length([one() for _ in range(100_000)])) == 100_000


def test_each_call_has_its_own_events() -> None:
    """Each round of a loop starts and finishes by itself, in order, under an id of its own."""
    seen = observe(down(3))
    events = [each for each in seen.events if isinstance(each, TaskExecutionStarted | TaskExecutionFinished)]
    assert [type(each) for each in events] == [TaskExecutionStarted, TaskExecutionFinished] * 4
    assert len({each.task_id for each in events}) == 4
    seen.check_order()


def test_what_a_round_leaves_out_is_told_when_it_ends() -> None:
    """The nodes of a round that never started are reported before the next round starts."""
    call = Recorder()
    router = cs.Router(call("s", 0), {0: call("left"), 1: call("right")})
    target = call("target", lambda _: call("second"), router)
    seen = observe(target)
    kinds = [(type(each), each.task_name) for each in seen.events if hasattr(each, "task_name")]
    assert kinds.index((TaskSkipped, "right")) < kinds.index((TaskExecutionStarted, "second"))
    assert verdicts(seen)["right"] == "Pruned_UnselectedRoute"


def test_retry_covers_the_body_and_not_the_returned_tree() -> None:
    """A failure in the returned tree does not repeat the body that returned it."""
    call = Recorder()
    target = call("body", lambda: call("tree", ValueError("no"))).with_retry(max_attempts=3)
    with pytest.raises(ValueError, match="no"):
        cs.run(target)
    assert call.ran == ["body", "tree"]


def test_a_body_is_repeated_until_it_returns_its_tree() -> None:
    """A body that fails at first is called again, and its tree is run once."""
    call = Recorder()
    attempts = Counter[str]()

    def body() -> Lazy:
        attempts["body"] += 1
        if attempts["body"] < 3:
            raise ValueError("not yet")
        return call("tree", 5)

    assert cs.run(call("body", body).with_retry(max_attempts=2)) == 5
    assert call.ran == ["body", "body", "body", "tree"]


def test_the_returned_tree_brings_its_own_policies() -> None:
    """The returned lazy result keeps its own policies, those of `@cs.task` among them, and no others."""
    attempts = Counter[str]()

    @cs.task(retry=2)
    def flaky() -> int:
        attempts["flaky"] += 1
        if attempts["flaky"] < 3:
            raise ValueError("not yet")
        return 5

    call = Recorder()
    assert cs.run(call("body", lambda: flaky())) == 5
    skipping = call("body", lambda: call("tree").run_if(call("c", 0), otherwise=6))
    assert cs.run(skipping) == 6


def test_timeout_covers_the_body_and_not_the_returned_tree() -> None:
    """The returned tree may take longer than the timeout of the task that returned it."""

    @cs.task
    async def long() -> int:
        await asyncio.sleep(0.05)
        return 5

    @cs.task
    async def body() -> Number:
        return long()

    assert cs.run(body().with_timeout(0.02)) == 5


@pytest.mark.parametrize("limit", [None, 1])
def test_slots_are_released_before_the_returned_tree_starts(limit: int | None) -> None:
    """A task that holds all of a resource may return a tree that needs all of it."""
    call = Recorder()
    inner = call("inner", 5).with_constraints(gpu=1)
    target = call("outer", lambda: call("middle", lambda: inner).with_constraints(gpu=1)).with_constraints(
        gpu=1
    )
    seen = observe(
        call("above", lambda got: got, target),
        lambda bus: Engine(bus=bus, system_resources={"gpu": 1}, max_concurrency=limit),
    )
    assert seen.value == 5


def test_task_scoped_resources_are_released_before_the_returned_tree_starts() -> None:
    """A resource of scope "task" is released before the returned tree starts."""
    order: list[str] = []

    @cs.resource(scope="task")
    def tool() -> Iterator[int]:
        order.append("open")
        yield 1
        order.append("close")

    @cs.task
    def tree() -> int:
        order.append("tree")
        return 5

    @cs.task
    def body(tool: int) -> Number:
        order.append("body")
        return tree()

    assert cs.run(body(cs.inject("tool")), resources=[tool]) == 5
    assert order == ["open", "body", "close", "tree"]


def test_slots_are_released_while_a_retry_waits() -> None:
    """During back-off the slot is free: another task may use it between two attempts."""
    order: list[str] = []

    @cs.task
    def flaky() -> int:
        order.append("flaky")
        if order.count("flaky") < 2:
            raise ValueError("not yet")
        return 1

    @cs.task
    def other() -> int:
        order.append("other")
        return 2

    first = flaky().with_retry(max_attempts=1, delay=0.02).with_constraints(gpu=1)
    seen = observe(
        cs.gather(first, other().with_constraints(gpu=1)),
        lambda bus: Engine(bus=bus, system_resources={"gpu": 1}),
    )
    assert seen.value == [1, 2]
    assert order == ["flaky", "other", "flaky"]


async def test_a_cache_covers_the_value_that_the_node_finally_stands_for() -> None:
    """A cached loop fills the key of its first round and of its last one, and none between."""
    calls: list[int] = []

    def perform(n: int) -> Number:
        calls.append(n)
        return cached(n - 1) if n else 7

    cached = cs.task(cache=cs.ByInputs())(perform)

    async def run() -> list[object]:
        async with Engine() as engine:
            results = [await engine.run(cached(3))]
            for n in (3, 0, 2):
                calls.clear()
                results.append((await engine.run(cached(n)), list(calls)))
            return results

    assert await run() == [7, (7, []), (7, []), (7, [2, 1])]


@pytest.mark.parametrize("inner", [False, True])
async def test_a_chain_never_waits_for_a_key_that_it_leads_itself(inner: bool) -> None:
    """A cached task that returns the same call again goes on, as the target and as an inner node."""
    calls: list[None] = []

    @cs.task(cache=cs.ByInputs())
    def again() -> Number:
        calls.append(None)
        return again() if len(calls) < 4 else 4

    async with asyncio.timeout(20):
        value = await cs.arun(add(again()) if inner else again())
    assert value == 4
    assert len(calls) == 4


def test_a_skipped_target_of_a_later_round_is_the_runs_own() -> None:
    """The current target of a loop is the run's own: skipped by sequence it gives None, else it is an error."""
    call = Recorder()
    assert cs.run(call("a", lambda: call("b").after(call.skipped("c")))) is None
    with pytest.raises(DependencyMissingError, match=r"'b'.*ConditionFalse"):
        cs.run(call("a", lambda: call("b").run_if(call("c", 0))))


async def test_a_loop_can_be_cancelled() -> None:
    """An endless loop of inline tasks ends when its run is cancelled."""
    rounds: list[int] = []

    @cs.task
    def forever(n: int) -> Number:
        rounds[:] = [n]
        return forever(n + 1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await cs.arun(forever(0))
    assert rounds[0] > 10
