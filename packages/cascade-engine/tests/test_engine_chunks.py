"""Claims about maps in threads and processes: items go out together, and each is on its own all the same."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.chunk_tasks import (
    Part,
    StoppedError,
    Unreadable,
    calls_in,
    double,
    nap,
    note,
    overlap,
    play,
    survive,
    tally,
)
from support.examples import examples

import cascade as cs
from cascade.adapters.executors import BoundaryError, WorkerDiedError
from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import Engine, MessageBus, TaskTimeoutError
from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted, TaskRetrying

MODES = pytest.mark.parametrize("mode", ["thread", "process"])


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


def run_parts(mode: str, ledger: str, parts: list[Part], **policies: Any) -> list[Any]:
    """Run a map with one worker; return its values."""
    task = play.partial(ledger=ledger).map([*enumerate(parts)])
    if "retry" in policies:
        task = task.with_retry(max_attempts=policies["retry"])
    if "timeout" in policies:
        task = task.with_timeout(policies["timeout"])
    values: list[Any] = cs.run(task, executor=pool(mode, 1), on_failure="finish")
    return values


def pool(mode: str, size: int) -> str:
    return f"threads:{size}" if mode == "thread" else f"processes:{size}"


def doubled(count: int) -> list[int]:
    return [2 * number for number in range(count)]


@MODES
def test_ten_thousand_items(mode: str) -> None:
    """A large map gives its values in order."""

    async def main() -> Any:
        async with Engine(executor=pool(mode, 2)) as engine:
            return await engine.run(double.map(range(10_000)))

    assert asyncio.run(main()) == doubled(10_000)


@MODES
def test_a_failure_is_that_of_its_item_alone(mode: str, ledger: str) -> None:
    """All other items of the map are called once and end; the error names the item and is of its type."""
    parts = [Part.GIVE] * 30
    parts[7] = parts[20] = Part.FAIL
    with pytest.raises(ExceptionGroup) as raised:
        run_parts(mode, ledger, parts)
    assert sorted(error.args for error in raised.value.exceptions) == [(7,), (20,)]
    assert calls_in(ledger) == Counter(range(30))


@MODES
def test_a_retry_is_of_its_item_alone(mode: str, ledger: str) -> None:
    """A failed item is called again, and none that was sent with it."""
    parts = [Part.FLAKY if number % 9 == 4 else Part.GIVE for number in range(30)]
    assert run_parts(mode, ledger, parts, retry=1) == doubled(30)
    assert calls_in(ledger) == Counter(range(30)) + Counter(range(4, 30, 9))


@MODES
def test_an_item_may_return_a_tree(mode: str, ledger: str) -> None:
    """What an item returns is run in its place."""
    parts = [Part.TREE if number % 3 else Part.GIVE for number in range(30)]
    assert run_parts(mode, ledger, parts) == doubled(30)


def test_what_can_not_be_sent_fails_alone(ledger: str) -> None:
    """An argument that can't be pickled, or not unpickled, and such a result: each is the end of its own item."""
    parts = [Part.ODD if number == 11 else Part.GIVE for number in range(30)]
    items: list[Any] = [*enumerate(parts)]
    items[3], items[5] = threading.Lock(), Unreadable()
    target = play.partial(ledger=ledger).map(items)
    with pytest.raises(ExceptionGroup) as raised:
        cs.run(target, executor="processes:1", on_failure="finish")
    errors = raised.value.exceptions
    assert all(type(error) is BoundaryError for error in errors)
    assert sorted(error.what for error in errors if isinstance(error, BoundaryError)) == [
        "an argument",
        "argument 'item'",
        "the result",
    ]
    assert calls_in(ledger) == Counter(range(30)) - Counter([3, 5])


@MODES
def test_what_stops_a_run_does_so_from_a_chunk(mode: str, ledger: str) -> None:
    """A `BaseException` of an item ends the run, and no item is called afterwards."""
    parts = [Part.STOP if number == 11 else Part.GIVE for number in range(30)]
    with pytest.raises(StoppedError):
        run_parts(mode, ledger, parts)
    assert calls_in(ledger) <= Counter(range(30))


def test_a_worker_that_dies_costs_the_item_under_way_alone(ledger: str) -> None:
    """Without a retry that item fails. What was called before keeps its value, and the others go to another worker."""
    parts = [Part.DIE if number % 10 == 4 else Part.GIVE for number in range(40)]
    with pytest.raises(ExceptionGroup) as raised:
        run_parts("process", ledger, parts)
    assert [type(error) for error in raised.value.exceptions] == 4 * [WorkerDiedError]
    assert calls_in(ledger) == Counter(range(40))


def test_each_item_is_called_once_and_once_more_for_each_death_of_its_worker(ledger: str) -> None:
    """A retry is for the item that was under way; for the others the death is no attempt."""
    parts = [Part.DIE if number % 10 == 4 else Part.GIVE for number in range(40)]
    assert run_parts("process", ledger, parts, retry=1) == doubled(40)
    assert calls_in(ledger) == Counter(range(40)) + Counter(range(4, 40, 10))


KILLS = 4
"""More would test nothing else: each of them costs the start of a process."""


def test_workers_that_are_killed_from_outside_lose_one_call_each(ledger: str) -> None:
    """Whenever a worker is killed, at most the call under way is made again."""
    deaths = 0
    killed: set[str] = set()

    async def main() -> Any:
        nonlocal deaths
        bus = MessageBus()
        async with Engine(executor=pool("process", 2), bus=bus) as engine:
            running = asyncio.ensure_future(
                engine.run(survive.partial(ledger=ledger).map(range(1_500)).with_retry(max_attempts=20))
            )
            while not running.done():
                await asyncio.sleep(0.1)
                deaths += _kill_one(ledger, killed) if deaths < KILLS else 0
            return await running

    assert asyncio.run(main()) == doubled(1_500)
    calls = calls_in(ledger)
    assert set(calls) == {*range(1_500)}
    assert deaths > 0
    assert calls.total() <= 1_500 + deaths


def _kill_one(ledger: str, killed: set[str]) -> int:
    """Kill a worker that has made a call and was not killed before; return how many that were."""
    for mark in Path(ledger).parent.glob("ledger.*"):
        if mark.name not in killed:
            killed.add(mark.name)
            os.kill(int(mark.suffix[1:]), signal.SIGKILL)
            return 1
    return 0


def test_an_endless_item_ends_by_its_timeout_alone(ledger: str) -> None:
    """Its process is killed, and no other item is called twice for that."""
    parts = [Part.HANG if number == 4 else Part.GIVE for number in range(10)]
    with pytest.raises(ExceptionGroup) as raised:
        run_parts("process", ledger, parts, timeout=2.0)
    assert [type(error) for error in raised.value.exceptions] == [TaskTimeoutError]
    assert calls_in(ledger) == Counter(range(10))


@MODES
def test_a_long_item_holds_up_none_that_has_not_begun(mode: str, ledger: str) -> None:
    """Short items that were sent behind it are made by another worker meanwhile."""
    ends: dict[int, float] = {}
    bus = MessageBus()
    bus.subscribe(
        TaskExecutionFinished,
        lambda event: ends.setdefault(len(ends), event.duration) if event.task_id.endswith("]") else None,
    )
    parts = [Part.GIVE] * 400
    parts[100] = Part.SLOW
    target = play.partial(ledger=ledger).map([*enumerate(parts)])

    async def main() -> Any:
        async with Engine(executor=pool(mode, 2), bus=bus) as engine:
            return await engine.run(target)

    assert asyncio.run(main()) == doubled(400)
    assert len(ends) == 400
    assert sum(duration >= 0.05 for duration in ends.values()) <= 3


@MODES
@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_bounds_the_items_under_way(mode: str, limit: int, tmp_path: Path) -> None:
    """So many items run at one time as the map allows, those that are tried again and trees that they return too."""

    async def main() -> Any:
        target = overlap.partial(folder=str(tmp_path)).map(range(40), max_concurrency=limit)
        async with Engine(executor=pool(mode, 3)) as engine:
            return await engine.run(target.with_retry(max_attempts=1))

    assert max(asyncio.run(main())) <= limit


@MODES
def test_the_amounts_of_an_item_bound_the_items_under_way(mode: str, tmp_path: Path) -> None:
    """An item holds what it declares, and so does a chunk, in which one item runs at a time."""

    async def main() -> Any:
        target = overlap.partial(folder=str(tmp_path)).map(range(30)).with_constraints(gpu=1)
        async with Engine(executor=pool(mode, 3), system_resources={"gpu": 2}) as engine:
            return await engine.run(target.with_retry(max_attempts=1))

    assert max(asyncio.run(main())) <= 2


@MODES
def test_items_with_a_cache_are_looked_up_and_kept(mode: str, ledger: str) -> None:
    """Items that are equal are computed once, in one map and in the next one, however few may run at once."""
    numbers = [number % 7 for number in range(40)]
    target = tally.partial(ledger=ledger).map(numbers, max_concurrency=1).with_cache(cs.ByInputs())

    async def main() -> None:
        async with Engine(executor=pool(mode, 3)) as engine:
            for _ in range(2):
                assert await engine.run(target) == [2 * number for number in numbers]

    asyncio.run(main())
    assert calls_in(ledger) == Counter(range(7))


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@cs.task(mode="thread")
def who(number: int) -> str:
    before = tenant.get()
    tenant.set(f"{number}")
    return before


def test_each_item_has_its_own_copy_of_the_context() -> None:
    """What an item sets in a thread, the items behind it do not see."""
    token = tenant.set("me")
    try:
        assert cs.run(who.map(range(100))) == 100 * ["me"]
    finally:
        tenant.reset(token)


def test_items_in_threads_take_resources_of_the_run() -> None:
    """A resource is opened once for the map, and its context variables reach the threads."""
    opened = []

    @cs.resource
    def pool() -> Any:
        opened.append("pool")
        tenant.set("provider")
        yield "pool"
        opened.append("closed")

    @cs.task(mode="thread")
    def use(number: int, pool: str = cs.inject("pool")) -> tuple[str, str]:
        return pool, tenant.get()

    async def main() -> Any:
        async with Engine() as engine:
            engine.register(pool)
            return await engine.run(use.map(range(50)))

    assert asyncio.run(main()) == 50 * [("pool", "provider")]
    assert opened == ["pool", "closed"]


def test_a_provider_that_fails_fails_one_item_and_is_tried_again() -> None:
    """It is the first attempt of the item that wanted the resource."""
    attempts = []

    @cs.resource
    def pool() -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise ZeroDivisionError
        yield "pool"

    @cs.task(mode="thread")
    def use(number: int, pool: str = cs.inject("pool")) -> int:
        return number

    async def main() -> Any:
        bus = MessageBus()
        retries: list[object] = []
        bus.subscribe(TaskRetrying, retries.append)
        async with Engine(bus=bus) as engine:
            engine.register(pool)
            values = await engine.run(use.map(range(20)).with_retry(max_attempts=1))
        return values, len(retries)

    assert asyncio.run(main()) == ([*range(20)], 1)


@MODES
def test_each_item_has_its_events(mode: str) -> None:
    """Each starts and finishes once, and took as long as its own call did where it was made."""
    bus = MessageBus()
    started, finished = Counter[str](), dict[str, float]()
    bus.subscribe(TaskExecutionStarted, lambda event: started.update([event.task_id]))
    bus.subscribe(TaskExecutionFinished, lambda event: finished.setdefault(event.task_id, event.duration))

    async def main() -> None:
        async with Engine(executor=pool(mode, 1), bus=bus) as engine:
            await engine.run(nap.map([0.0, 0.0, 0.03, *[0.0] * 30]))

    asyncio.run(main())
    assert set(started.values()) == {1}
    assert set(started) == set(finished)
    assert finished["n0[2]"] >= 0.03
    assert median(finished[f"n0[{number}]"] for number in range(3, 33)) < 0.03


class Gate:
    """Holds calls in threads until their run was cancelled; each call is noted in a file."""

    def __init__(self, ledger: str) -> None:
        self._ledger = ledger
        self._began = threading.Event()
        self._opened = threading.Event()

    async def cancel(self, engine: Engine, target_of: Callable[[cs.Task[None]], object]) -> Counter[int]:
        """Run a target of such calls, cancel the run once one has begun, and return the calls when it has ended."""

        @cs.task(mode="thread")
        def slow(number: int) -> None:
            note(self._ledger, number)
            self._began.set()
            assert self._opened.wait(60)

        running = asyncio.ensure_future(engine.run(target_of(slow)))
        await asyncio.to_thread(self._began.wait)
        running.cancel()
        for _ in range(50):  # until all of the run know it
            await asyncio.sleep(0)
        assert not running.done()
        self._opened.set()
        await asyncio.wait([running])
        return calls_in(self._ledger)


async def test_a_run_that_ends_waits_for_the_item_under_way_in_a_thread(ledger: str) -> None:
    """Items that have not begun are not called, and what the last one gave is not lost before the run returns."""
    gate = Gate(ledger)
    async with Engine(executor="threads:1") as engine:
        calls = await gate.cancel(engine, lambda slow: slow.map(range(50)))
    assert calls.total() <= 2
    assert calls_in(ledger) == calls


@MODES
def test_random_maps_give_what_their_items_give(mode: str, tmp_path: Path) -> None:
    """Whatever the items do, with any limit and retries, each counts for itself and is called as often as it must."""
    check_random_maps(
        mode, 2, tmp_path, settings(RANDOM, max_examples=examples(30 if mode == "thread" else 6))
    )


@pytest.mark.soak
@MODES
def test_random_maps_give_what_their_items_give_for_long(mode: str, tmp_path: Path) -> None:
    """The same, on many more maps."""
    check_random_maps(mode, 3, tmp_path, settings(RANDOM, max_examples=1_000, derandomize=False))


def check_random_maps(mode: str, workers: int, folder: Path, how: settings) -> None:
    """Check random maps with one executor."""
    executor = LocalExecutor(mode, threads=workers, processes=workers)
    ledgers = (str(folder / f"ledger {number}") for number in count())

    @how
    @given(random_maps(dies=mode == "process"))
    def check(drawn: RandomMap) -> None:
        drawn.check(executor, next(ledgers))

    try:
        check()
    finally:
        asyncio.run(executor.close())


RANDOM = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@dataclass(frozen=True)
class RandomMap:
    """A map, and how its run is watched."""

    parts: list[Part]
    limit: int | None
    retry: int
    is_heard: bool

    def check(self, executor: LocalExecutor, ledger: str) -> None:
        """Run it, and compare values, errors, calls and events with what its items are to do."""
        target = play.partial(ledger=ledger).map([*enumerate(self.parts)], max_concurrency=self.limit)
        if self.retry:
            target = target.with_retry(max_attempts=self.retry)
        bus = MessageBus()
        finished = Counter[str]()
        if self.is_heard:
            bus.subscribe(TaskExecutionFinished, lambda event: finished.update([event.task_id]))
        problems: list[BaseException] = []
        try:
            values = cs.run(target, executor=executor, on_failure="finish", bus=bus)
        except ExceptionGroup as group:
            problems = [*group.exceptions]
        else:
            assert values == doubled(len(self.parts))
        failing = {Part.FAIL} if self.retry else {Part.FAIL, Part.FLAKY, Part.DIE}
        assert len(problems) == sum(part in failing for part in self.parts)
        again = {Part.FAIL, Part.FLAKY, Part.DIE} if self.retry else set()
        assert calls_in(ledger) == Counter(
            {number: 1 + (part in again) for number, part in enumerate(self.parts)}
        )
        if self.is_heard:
            items = {f"n0[{number}]" for number in range(len(self.parts))}
            assert items <= set(finished)
            assert set(finished.values()) == {1}


@st.composite
def random_maps(draw: st.DrawFn, dies: bool) -> RandomMap:
    kinds = [Part.GIVE] * 6 + [Part.FAIL, Part.FLAKY, Part.TREE] + [Part.DIE] * dies
    parts = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=30))
    limit = draw(st.none() | st.integers(1, 3))
    return RandomMap(parts, limit, draw(st.sampled_from([0, 1])), draw(st.booleans()))


# Calls that a tree fans out to


@MODES
def test_calls_of_a_fan_out_are_each_on_their_own(mode: str, ledger: str) -> None:
    """They go out together, and each keeps its value, its failure and its one call."""
    parts = [
        Part.FAIL if number % 9 == 4 else Part.TREE if number % 9 == 5 else Part.GIVE for number in range(40)
    ]
    calls = [play((number, part), ledger=ledger) for number, part in enumerate(parts)]
    with pytest.raises(ExceptionGroup) as raised:
        cs.run(calls, executor=pool(mode, 2), on_failure="finish")
    assert sorted(error.args for error in raised.value.exceptions) == [
        (number,) for number in range(4, 40, 9)
    ]
    assert calls_in(ledger) == Counter(range(40))


def test_calls_of_a_fan_out_that_wait_for_each_other_all_begin() -> None:
    """Calls that are sent together are given to other threads if the first one takes longer than expected."""
    barrier = threading.Barrier(4)

    @cs.task(mode="thread")
    def meet(number: int) -> int:
        if number >= 96:  # by then it is known that the calls are short
            barrier.wait(30)
        return number

    assert cs.run([meet(number) for number in range(100)], executor="threads:4") == [*range(100)]


async def test_a_fan_out_that_ends_leaves_the_calls_that_have_not_begun(ledger: str) -> None:
    """When a run is cancelled, the calls under way in threads are waited for, and no others begin."""
    gate = Gate(ledger)
    async with Engine(executor="threads:2") as engine:
        calls = await gate.cancel(engine, lambda slow: [slow(number) for number in range(50)])
    assert calls.total() <= 4
    assert calls_in(ledger) == calls
    assert calls_in(ledger) == calls
