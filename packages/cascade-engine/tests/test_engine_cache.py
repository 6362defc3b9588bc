"""Claims about the cache: what is a hit, who computes, and what a failure or a tail call does to a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.loops import now

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.codec import DataCodec
from cascade.runtime import CacheBypassed, Engine, Event, MessageBus, SkipReason, TaskSkipped
from cascade.spec import CachedCall, CacheEntry, CacheKey, Hit, PolicyError
from cascade.spec.cache_keys import make_key

pytestmark = pytest.mark.virtual_time


class Counter:
    """Makes cached tasks that note their calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def task(self, body: Callable[[Any], Any], cache: Any = None) -> cs.Task[Any]:
        @cs.task(cache=cache or cs.ByInputs())
        async def counted(x: Any) -> Any:
            self.calls.append(x)
            await asyncio.sleep(1)
            return body(x)

        return counted


@pytest.fixture
def counter() -> Counter:
    return Counter()


def same(x: Any) -> Any:
    return x


async def run_all(*targets: cs.LazyResult[Any], bus: MessageBus | None = None) -> list[Any]:
    """Run targets one after the other on one engine."""
    async with Engine(bus=bus) as engine:
        value = [await engine.run(target) for target in targets]
    return list(value)


async def test_a_value_is_computed_once_per_key(counter: Counter) -> None:
    """A call with equal arguments is not made again in a later run on the engine; one with others is."""
    task = counter.task(same)
    assert await run_all(task([1]), task([1]), task([2]), task(x=[1])) == [[1], [1], [2], [1]]
    assert counter.calls == [[1], [2]]


async def test_types_tell_keys_apart(counter: Counter) -> None:
    """`1`, `True` and `1.0` are other arguments."""
    task = counter.task(same)
    await run_all(task(1), task(True), task(1.0))
    assert [type(call) for call in counter.calls] == [int, bool, float]


@pytest.mark.parametrize("value", [None, False, 0, "", []])
async def test_falsy_values_are_hits(counter: Counter, value: object) -> None:
    """`None` and other falsy values are cached like any other."""
    task = counter.task(lambda _: value)
    assert await run_all(task(1), task(1)) == [value, value]
    assert len(counter.calls) == 1


async def test_a_hit_is_told(counter: Counter) -> None:
    """A call whose value was there reports `CacheHit` and nothing else; its dependents go on."""
    heard: list[Event] = []
    bus = MessageBus()
    bus.subscribe(TaskSkipped, heard.append)
    task = counter.task(same)
    assert await run_all(task(1), cs.gather(task(1)), bus=bus) == [1, [1]]
    assert [(each.task_name, each.reason) for each in heard if isinstance(each, TaskSkipped)] == [
        ("counted", SkipReason.CACHE_HIT)
    ]


async def test_policies_set_keys_apart(counter: Counter) -> None:
    """`ByInputs(version=...)` sets apart values of different versions, and tasks don't share keys."""
    task, other = counter.task(same), counter.task(same)
    await run_all(task(1), task(1).with_cache(cs.ByInputs(version="2")), other(1))
    assert counter.calls == [1, 1, 1]


async def test_a_value_holds_for_its_ttl(counter: Counter) -> None:
    """`ByInputs(ttl=60)` holds a value for less than 60 seconds of the backend's clock."""
    now = [0.0]
    cache = InMemoryCacheBackend(clock=lambda: now[0])
    task = counter.task(same, cs.ByInputs(ttl=60))
    for at, calls in [(0.0, 1), (59.9, 1), (60.0, 2), (119.9, 2)]:
        now[0] = at
        await cs.arun(task(1), cache=cache)
        assert len(counter.calls) == calls


async def test_a_cache_is_shared_by_who_gets_it(counter: Counter) -> None:
    """Each `cs.run` has a cache of its own, unless it is given one."""
    task = counter.task(same)
    for _ in range(2):
        await cs.arun(task(1))
    assert len(counter.calls) == 2
    cache = InMemoryCacheBackend()
    for _ in range(2):
        await cs.arun(task(1), cache=cache)
    assert len(counter.calls) == 3


async def test_the_cache_in_memory_is_bounded(counter: Counter) -> None:
    """The value that was not asked for the longest makes room."""
    cache = InMemoryCacheBackend(max_entries=2)
    task = counter.task(same)
    for x in (1, 2, 1, 3, 1, 2):
        await cs.arun(task(x), cache=cache)
    assert counter.calls == [1, 2, 3, 2]


async def test_a_file_that_exists_is_not_made_again(tmp_path: Path) -> None:
    """`FileExists(path)` makes the call only where there is no such file; the value is then the path."""
    path, calls = tmp_path / "out", list[int]()

    @cs.task(cache=cs.FileExists(path))
    def make() -> str:
        calls.append(1)
        path.write_text("made")
        return "made"

    assert await run_all(make(), make(), make()) == ["made", path, path]
    path.unlink()
    assert await run_all(make()) == ["made"]
    assert len(calls) == 2


async def test_the_same_key_at_the_same_time_is_computed_once(counter: Counter) -> None:
    """Calls of one key in one run and in several runs at once wait for the first and take its value."""
    task = counter.task(same)

    async with Engine() as engine:
        results = await asyncio.gather(*(engine.run([task(1), task(1), task(2)]) for _ in range(5)))
        assert results == [[1, 1, 2]] * 5
    assert sorted(counter.calls) == [1, 2]
    assert now() == 1.0


async def test_64_callers_of_one_key_make_one_call(counter: Counter) -> None:
    """However many ask for a key at the same time, in one run and in many, it is computed once."""
    task = counter.task(lambda x: [x])

    async with Engine() as engine:
        runs = [engine.run([task("x") for _ in range(8)]) for _ in range(8)]
        assert await asyncio.gather(*runs) == [[["x"]] * 8] * 8
    assert counter.calls == ["x"]


async def test_leaders_may_fail_and_be_cancelled_in_turn(counter: Counter) -> None:
    """Of 64 callers whose leaders fail or are cancelled one after the other, each next one leads; all others get it."""

    def fail_thrice(x: Any) -> Any:
        if len(counter.calls) <= 3:
            raise ValueError(len(counter.calls))
        return x

    task = counter.task(fail_thrice)

    async with Engine() as engine:
        runs = [asyncio.ensure_future(engine.run(task(1))) for _ in range(64)]
        await asyncio.sleep(3.5)  # three have failed, the fourth computes
        next(run for run in runs if not run.done()).cancel()
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert [str(each) for each in results if isinstance(each, ValueError)] == ["1", "2", "3"]
    assert sum(isinstance(each, asyncio.CancelledError) for each in results) == 1
    assert results.count(1) == 60
    assert len(counter.calls) == 5


async def test_a_failing_leader_does_not_take_others_along(counter: Counter) -> None:
    """When the call that computes a key fails, the next of those who wait computes it."""

    def fail_first(x: Any) -> Any:
        if len(counter.calls) == 1:
            raise ValueError("first")
        return x

    task = counter.task(fail_first)

    async with Engine() as engine:
        results = await asyncio.gather(*(engine.run(task(1)) for _ in range(4)), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1:] == [1, 1, 1]
    assert len(counter.calls) == 2


async def test_a_value_that_can_not_be_copied_is_computed_by_each_who_waited(counter: Counter) -> None:
    """Where a cache hands each caller an object of its own and can't, those who wait compute at the same time."""
    task = counter.task(lambda x: object())
    async with Engine(cache=InMemoryCacheBackend(codec=DataCodec())) as engine:
        results = await asyncio.gather(*(engine.run(task(1)) for _ in range(4)))
    assert len(set(results)) == len(counter.calls) == 4
    assert asyncio.get_running_loop().time() == pytest.approx(2)


async def test_a_failure_is_not_cached(counter: Counter) -> None:
    """With `on_failure="finish"` each of two equal calls that fail is made."""

    def fail(x: Any) -> Any:
        raise ValueError(x)

    task = counter.task(fail)
    with pytest.raises(ExceptionGroup) as caught:
        await cs.arun([task(1), task(1)], on_failure="finish")
    assert len(caught.value.exceptions) == len(counter.calls) == 2


async def test_a_cancelled_leader_does_not_take_others_along(counter: Counter) -> None:
    """When the run whose call computes a key is cancelled, another run that waits computes it."""
    task = counter.task(same)

    async with Engine() as engine:
        leading = asyncio.create_task(engine.run(task(1)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(engine.run(task(1)))
        await asyncio.sleep(0.1)
        leading.cancel()
        value = await waiting
    assert value == 1
    assert len(counter.calls) == 2


@pytest.mark.parametrize("kind", ["inputs", "file"])
async def test_a_cancelled_waiter_does_not_take_others_along(
    counter: Counter, kind: str, tmp_path: Path
) -> None:
    """When one of the runs that wait for a key is cancelled, the call goes on, and the others get its value."""
    path = tmp_path / "made"

    def make(x: Any) -> Path:
        path.touch()
        return path

    task = counter.task(make, cs.FileExists(path) if kind == "file" else None)
    async with Engine() as engine:
        runs = [asyncio.create_task(engine.run(task(1))) for _ in range(4)]
        await asyncio.sleep(0.5)
        runs[2].cancel()
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert results == [path] * 3
    assert counter.calls == [1]


async def test_a_caller_cancelled_while_it_asks_the_cache_does_not_take_others_along(
    counter: Counter,
) -> None:
    """When the run that asks for a key is cancelled before the cache answers, the next one asks and computes."""

    class Slow(InMemoryCacheBackend):
        async def get(self, key: CacheKey) -> Hit | None:
            await asyncio.sleep(1)
            return await super().get(key)

    task = counter.task(same)
    async with Engine(cache=Slow()) as engine:
        asking = asyncio.create_task(engine.run(task(1)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(engine.run(task(1)))
        await asyncio.sleep(0.1)
        asking.cancel()
        assert await asyncio.wait_for(waiting, 10) == 1
    assert counter.calls == [1]


async def test_a_leader_cancelled_in_its_tail_does_not_take_others_along(counter: Counter) -> None:
    """A run that is cancelled while the tree that a cached call returned is under way leaves the key to others."""
    inner = Counter().task(same, cache=None)
    task = counter.task(lambda x: inner(x) if len(counter.calls) == 1 else x)

    async with Engine() as engine:
        leading = asyncio.create_task(engine.run(cs.gather(task(1))))
        await asyncio.sleep(1.5)
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
        value = await engine.run(task(1))
    assert value == 1
    assert len(counter.calls) == 2


@pytest.mark.parametrize("wrapped", [False, True], ids=["target", "argument"])
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
async def test_a_chain_that_breaks_does_not_take_others_along(
    counter: Counter, on_failure: Any, wrapped: bool
) -> None:
    """When a later round of a cached chain can't be run or fails, the key is free for others."""
    broken = [True]

    @cs.task
    async def middle(x: Any) -> Any:
        return last(cs.inject("missing")) if x == "refused" else last(x)

    @cs.task
    async def last(x: Any) -> Any:
        raise ValueError(x)

    task = counter.task(lambda x: middle(x) if broken else x)

    async def main() -> None:
        async with Engine() as engine:
            for x, error in [("refused", cs.CascadeError), ("fails", ValueError)]:
                target = cs.gather(task(x)) if wrapped else task(x)
                with pytest.raises((error, ExceptionGroup)):
                    await engine.run(target, on_failure=on_failure)
            broken.clear()
            assert await engine.run([task("refused"), task("fails")]) == ["refused", "fails"]

    await main()


async def test_retries_happen_under_one_lead(counter: Counter) -> None:
    """A cached call that is retried fills its key with what it gives in the end."""

    def fail_first(x: Any) -> Any:
        if len(counter.calls) == 1:
            raise ValueError("first")
        return x

    task = counter.task(fail_first)
    assert await run_all(task(1).with_retry(), task(1)) == [1, 1]
    assert len(counter.calls) == 2


@pytest.mark.parametrize("wrapped", [False, True], ids=["target", "argument"])
async def test_a_tail_call_fills_the_first_and_the_last_key(counter: Counter, wrapped: bool) -> None:
    """The value of a chain fills the key of the node that it stands for and that of its last round, and no other."""
    task = counter.task(lambda x: task(x - 1) if x else "done")
    first = cs.gather(task(3)) if wrapped else task(3)
    await run_all(first, task(3), task(0))
    assert counter.calls == [3, 2, 1, 0]
    counter.calls.clear()
    await run_all(first, task(2))
    assert counter.calls[:4] == [3, 2, 1, 0]
    assert counter.calls[4:] == [2, 1]


async def test_a_chain_that_meets_its_own_key_does_not_wait_for_it(counter: Counter) -> None:
    """A chain whose later round has the key that it computes itself makes the call, and ends."""
    task = counter.task(lambda x: task(x) if len(counter.calls) < 4 else "done")
    assert await run_all(task(1), cs.gather(task(2))) == ["done", ["done"]]
    assert counter.calls == [1, 1, 1, 1, 2]
    counter.calls.clear()
    assert await run_all(cs.gather(task(1))) == [["done"]]


async def test_an_argument_of_a_chain_may_have_its_own_key(counter: Counter) -> None:
    """A call inside the tree that a cached call returned may have that call's key without a deadlock."""
    task = counter.task(lambda x: cs.gather(task(x), task(x)) if len(counter.calls) == 1 else "inner")
    assert await run_all(task(1)) == [["inner", "inner"]]


async def test_what_can_not_be_encoded_is_not_cached(counter: Counter) -> None:
    """A call with an argument without a canonical form is made each time, and `CacheBypassed` says why."""
    heard: list[CacheBypassed] = []
    bus = MessageBus()
    bus.subscribe(CacheBypassed, heard.append)
    task = counter.task(lambda x: 5)
    assert await run_all(task(object()), task(object()), bus=bus) == [5, 5]
    assert len(counter.calls) == 2
    assert [event.task_name for event in heard] == ["counted"] * 2
    assert "builtins.object has no canonical form" in heard[0].reason


class Recorder:
    """A cache backend of a user's own."""

    def __init__(self, refuses: bool = False, fails: bool = False) -> None:
        self.kept: dict[CacheKey, tuple[object, float | None]] = {}
        self.closed = False
        self.refuses = refuses
        self.fails = fails

    async def get(self, key: CacheKey) -> Hit | None:
        if self.fails:
            raise OSError("no store")
        return Hit(self.kept[key][0]) if key in self.kept else None

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        if self.refuses:
            raise TypeError("no codec for this")
        self.kept[key] = (value, ttl)

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        return []

    async def close(self) -> None:
        self.closed = True


async def test_a_backend_of_ones_own_gets_all(counter: Counter) -> None:
    """A backend that is handed in gets each value with its time to live, and is not closed by the engine."""
    backend = Recorder()
    await cs.arun(counter.task(same, cs.ByInputs(ttl=5))(None), cache=backend)
    assert list(backend.kept.values()) == [(None, 5)]
    assert not backend.closed


async def test_a_value_that_the_backend_refuses_is_told(counter: Counter) -> None:
    """A value that can't be kept costs nothing but the hit: the run succeeds, and `CacheBypassed` says why."""
    heard: list[CacheBypassed] = []

    async with Engine(cache_backend=Recorder(refuses=True)) as engine:
        engine.bus.subscribe(CacheBypassed, heard.append)
        value = await engine.run(counter.task(same)(1))
    assert value == 1
    assert [event.reason for event in heard] == ["TypeError: no codec for this"]


async def test_a_backend_that_can_not_be_asked_costs_the_hit_alone(counter: Counter) -> None:
    """When `get` fails, the call is made once for all who ask, nothing is put, and `CacheBypassed` says why."""
    heard: list[CacheBypassed] = []
    backend = Recorder(fails=True)

    async with Engine(cache_backend=backend) as engine:
        engine.bus.subscribe(CacheBypassed, heard.append)
        task = counter.task(same)
        value = await engine.run([task(1), task(1)])
    assert value == [1, 1]
    assert counter.calls == [1]
    assert [event.reason for event in heard] == ["OSError: no store"]
    assert backend.kept == {}


class SlowPuts(Recorder):
    """Takes ten seconds for a put."""

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        await asyncio.sleep(10)
        await super().put(key, value, ttl)


async def test_who_waits_for_a_value_does_not_wait_for_the_store(counter: Counter) -> None:
    """While a value is on its way into the store, those who ask for it have it, and nobody computes it again."""
    asked: list[float] = []

    async with Engine(cache_backend=SlowPuts()) as engine:

        @cs.task
        async def note(x: Any) -> Any:
            asked.append(now())
            return x

        task = counter.task(same)
        first = asyncio.ensure_future(engine.run(note(task(1))))
        second = asyncio.ensure_future(engine.run(note(task(1))))
        await asyncio.sleep(5)
        third = asyncio.ensure_future(engine.run(note(task(1))))
        await asyncio.gather(first, second, third)
    assert counter.calls == [1]
    assert asked == [1.0, 1.0, 5.0]


async def test_the_argument_that_can_not_be_encoded_is_named() -> None:
    """`CacheBypassed` tells which argument has no canonical form, and of which type it is."""
    heard: list[CacheBypassed] = []
    bus = MessageBus()
    bus.subscribe(CacheBypassed, heard.append)

    @cs.task(cache=cs.ByInputs())
    def use(good: int, bad: object) -> int:
        return good

    assert await run_all(use(1, [{"k": iter([])}]), bus=bus) == [1]
    assert [event.reason.partition(";")[0] for event in heard] == [
        "argument 'bad': a builtins.list_iterator has no canonical form"
    ]


async def test_a_policy_of_ones_own(counter: Counter) -> None:
    """A policy decides the key, and `None` leaves the cache alone."""

    class Parity:
        ttl = None

        def key(self, call: CachedCall) -> CacheKey | None:
            return None if call.args[0] < 0 else make_key(call.task, {"parity": call.args[0] % 2})

        def known(self, call: CachedCall) -> Hit | None:
            return None

    task = counter.task(same, Parity())
    assert await run_all(task(1), task(3), task(2), task(-1), task(-1)) == [1, 1, 2, -1, -1]
    with pytest.raises(PolicyError, match="give a cache policy"):
        task(1).with_cache(Parity)  # type: ignore[arg-type]


async def test_resources_take_no_part_in_the_key(counter: Counter) -> None:
    """A call that takes a resource is cached by its arguments, and on a hit the resource is not opened."""
    opened: list[int] = []

    @cs.resource
    def db() -> Any:
        opened.append(1)
        yield object()

    @cs.task(cache=cs.ByInputs())
    def use(x: int, db: object = cs.inject("db")) -> int:
        return x

    async with Engine() as engine:
        engine.register(db)
        assert [await engine.run(use(1)), await engine.run(use(1))] == [1, 1]
    assert len(opened) == 1
