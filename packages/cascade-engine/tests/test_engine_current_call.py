"""Claims about `cs.current_call`: a task knows its run, its item and its attempt in whatever way it is called."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.chunk_tasks import ask, ask_in_a_run, ask_when_it_succeeds, ask_with_key
from support.stores import unstored

import cascade as cs
from cascade.adapters.call_facts import CallFacts, NoCurrentCallError, facts_in_context
from cascade.adapters.executors.chunks import ChunkCall, Progress, execute_each
from cascade.adapters.executors.local import LocalExecutor
from cascade.graph import Node
from cascade.runtime import Engine, MessageBus, RunStarted, TaskExecutionStarted

TIMES = 5
"""So often that code is written for the structure, and used."""

MakeEngine = Callable[[MessageBus], Engine]


@cs.task
def own(*_: Any) -> list[Any]:
    """Return what the call knows of itself, behind what its arguments know."""
    facts = cs.current_call()
    return [facts.task, facts.item, facts.attempt]


@cs.task(mode="thread")
def in_thread(*_: Any) -> list[Any]:
    facts = cs.current_call()
    return [facts.task, facts.item, facts.attempt]


@cs.task
async def own_async(*_: Any) -> list[Any]:
    await asyncio.sleep(0)
    here = [cs.current_call().task, cs.current_call().item, cs.current_call().attempt]
    # In asyncio tasks of their own.
    assert [*await asyncio.gather(_asked_later(), _asked_later())] == [here, here]
    return here


async def _asked_later() -> list[Any]:
    await asyncio.sleep(0)
    facts = cs.current_call()
    return [facts.task, facts.item, facts.attempt]


@cs.task
def awaited(*_: Any) -> Awaitable[list[Any]]:
    """A plain function that returns what is awaited."""
    return _asked_later()


@cs.task
def together(*values: Any) -> Any:
    return [[cs.current_call().task, cs.current_call().item, cs.current_call().attempt], *values]


@cs.task
def countdown(left: int, *seen: Any) -> Any:
    seen = (*seen, cs.current_call().task)
    return countdown(left - 1, *seen) if left else list(seen)


@cs.task
def tree_of(number: int) -> Any:
    assert cs.current_call().item == number
    return together(own(number))


ENGINES: dict[str, MakeEngine] = {
    "plain": lambda bus: Engine(bus=bus),
    "one at a time": lambda bus: Engine(bus=bus, max_concurrency=1),
    "threads": lambda bus: Engine(bus=bus, executor="threads:2"),
    "recorded": lambda bus: Engine(bus=bus, state_backend_cls=unstored),
    "an executor of one's own": lambda bus: Engine(bus=bus, executor=_Watching()),
}


class _Watching(LocalExecutor):
    """An executor that builds on the built-in one, and so sees every call."""

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        return await super().execute(node, args, kwargs)


def _targets() -> Iterator[tuple[str, Any, Any]]:
    one, two = ["own", None, 1], ["own_async", None, 1]
    yield "one call", own(1), one
    yield "a coroutine", own_async(1), two
    yield "awaited", awaited(1), ["awaited", None, 1]
    yield "a tree", together(own(own(1)), own(2)), [["together", None, 1], one, one]
    many = [own(each) for each in range(20)]
    yield "a wide tree", together(*many), [["together", None, 1], *[one] * 20]
    pairs = [own(own(1), own(2)) for _ in range(20)]
    yield "pairs", together(*pairs), [["together", None, 1], *[one] * 20]
    yield "mixed", together(own_async(own(1)), own(own_async(1))), [["together", None, 1], two, one]
    items = [["own", index, 1] for index in range(300)]
    yield "a map", own.map(range(300)), items
    yield "a map of coroutines", own_async.map([1, 2]), [["own_async", 0, 1], ["own_async", 1, 1]]
    yield "a map of awaitables", awaited.map([1, 2]), [["awaited", 0, 1], ["awaited", 1, 1]]
    yield "a map in a tree", together(own.map(range(3))), [["together", None, 1], items[:3]]
    yield "a bounded map", own.map(range(3), max_concurrency=1), items[:3]
    yield "a map of trees", tree_of.map(range(3)), [[["together", None, 1], one]] * 3
    yield "a loop", countdown(40), ["countdown"] * 41
    yield "a cached call", own(1).with_cache(cs.ByInputs()), one
    yield "a cached map", own.map(range(7, 10)).with_cache(cs.ByInputs()), items[:3]
    yield "a thread", in_thread(1), ["in_thread", None, 1]
    yield "a map in threads", in_thread.map([1, 2]), [["in_thread", 0, 1], ["in_thread", 1, 1]]
    yield "a condition", own(1).run_if(own(2)), one
    yield "an injected resource", taking(), ["taking", None, 1]
    yield "a map with a resource", taking.map(_=range(3)), [["taking", index, 1] for index in range(3)]


@cs.resource
def number() -> Iterator[int]:
    yield 1


@cs.task
def taking(_: Any = 0, injected: Any = cs.inject("number")) -> list[Any]:
    assert injected == 1
    facts = cs.current_call()
    return [facts.task, facts.item, facts.attempt]


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize("make_engine", [pytest.param(make, id=name) for name, make in ENGINES.items()])
async def test_each_call_knows_itself(make_engine: MakeEngine, heard: bool) -> None:
    """A call knows its task, its item and its attempt, whatever its tree is and however that is run."""
    bus = MessageBus()
    if heard:
        bus.subscribe(TaskExecutionStarted, lambda _: None)
    async with make_engine(bus) as engine:
        engine.register(number)
        for _ in range(TIMES):
            for name, target, expected in _targets():
                assert (name, await engine.run(target)) == (name, expected)
        if isinstance(engine.executor, _Watching):
            await engine.executor.close()


@pytest.mark.parametrize("executor", ["inline", "threads:1", "processes:1"])
@pytest.mark.parametrize("mapped", [False, True], ids=["single", "mapped"])
async def test_the_run_is_the_one_that_events_name(executor: str, mapped: bool, tmp_path: Path) -> None:
    """The run of a call is the `run_id` that it was given, or else the one in the events."""
    told: list[str] = []
    bus = MessageBus()
    bus.subscribe(RunStarted, lambda event: told.append(event.run_id))
    target = ask.map(range(3)) if mapped else ask()
    items = [0, 1, 2] if mapped else [None]
    async with Engine(bus=bus, executor=executor) as engine, Engine(executor=executor) as unheard:
        for run_id in ("named", None):
            found = await engine.run(target, run_id=run_id)
            rows = found if mapped else [found]
            assert [row[:4] for row in rows] == [(told[-1], "ask", item, 1) for item in items]
        assert told[0] == "named"
        found = await unheard.run(target, run_id="named")
        assert {row[0] for row in (found if mapped else [found])} == {"named"}
        found = await unheard.run(cs.gather(target, target))
        assert len({row[0] for rows in found for row in (rows if mapped else [rows])}) == 1


@pytest.mark.parametrize("executor", ["inline", "threads:1", "processes:1"])
@pytest.mark.parametrize("recorded_run", [False, True])
def test_attempts_are_counted(executor: str, recorded_run: bool, tmp_path: Path) -> None:
    """The second attempt of a call knows that it is the second, also that of an item."""
    ledger = tmp_path / "ledger"
    ledger.touch()
    settings: Any = {"state_backend_cls": unstored} if recorded_run else {}
    call = ask_when_it_succeeds.partial(str(ledger))
    single = ask_when_it_succeeds(str(ledger), 9).with_retry(1)
    mapped = call.map(number=[1, 2]).with_retry(1)
    assert cs.run([single, mapped], executor=executor, **settings) == [(None, 2), [(0, 2), (1, 2)]]


async def test_attempts_of_coroutines_are_counted() -> None:
    """A coroutine knows its attempt, wherever it awaits, and so does an asyncio task that it starts."""
    failed: set[int] = set()

    @cs.task
    async def flaky(number: int) -> list[Any]:
        if number not in failed:
            failed.add(number)
            raise LookupError(number)
        return await asyncio.create_task(_asked_later())

    async with Engine() as engine:
        assert await engine.run(flaky(7).with_retry(1)) == ["flaky", None, 2]
        expected = [["flaky", index, 2] for index in range(3)]
        assert await engine.run(flaky.map(range(3)).with_retry(1)) == expected


@pytest.mark.parametrize("executor", ["inline", "threads:1", "processes:1"])
def test_a_key_is_there_for_a_task_that_takes_it(executor: str) -> None:
    """`idempotency_key` is the key that the task is given; a task that takes none has `None` there."""
    single, mapped = ask_with_key(), ask_with_key.map(range(3))
    assert cs.run([single, mapped], executor=executor) == [True, [True] * 3]
    assert cs.run(ask(), executor=executor)[4] is None


def test_calls_of_one_task_that_share_a_worker_are_no_items() -> None:
    """Calls that go to a worker together, and are no items of a map, have no item, with a key or without."""
    for task in (ask, _item_with_key):
        found = cs.run([task(each) for each in range(6)], executor="threads:1")
        assert {row[2] for row in found} == {None}


@cs.task
def _item_with_key(_: int, key: str = cs.inject("idempotency_key")) -> tuple[Any, ...]:
    return tuple(cs.current_call())


@pytest.mark.parametrize("executor", ["threads:1", "processes:1"])
def test_a_run_inside_of_a_call_has_calls_of_its_own(executor: str) -> None:
    """In a run that a call makes, calls know that run; after it, the call knows its own again."""
    target = ask_in_a_run("x")
    assert cs.run(target, run_id="outer", executor=executor) == ["inside x", "ask", "outer", "ask_in_a_run"]


async def test_a_run_awaited_by_a_coroutine_has_calls_of_its_own() -> None:
    """Also where both runs are in one event loop; what such a run does besides its calls is no call."""
    told: list[object] = []

    def note(_: object) -> None:
        with pytest.raises(NoCurrentCallError):
            cs.current_call()
        told.append("listened")

    @cs.resource
    async def opened() -> Any:
        with pytest.raises(NoCurrentCallError):
            cs.current_call()
        yield 1

    @cs.task
    def inner(_: int = cs.inject("opened")) -> str:
        return cs.current_call().run_id

    @cs.task
    async def outer() -> list[str]:
        bus = MessageBus()
        bus.subscribe(TaskExecutionStarted, note)
        engine = Engine(bus=bus)
        engine.register(opened)
        found = [
            await engine.run(target, run_id="inner") for target in (inner(), cs.gather(inner(), later()))
        ]
        await engine.close()
        return [found[0], *found[1], cs.current_call().run_id]

    @cs.task
    async def later() -> str:
        async def ask_run() -> str:
            return cs.current_call().run_id

        return await asyncio.create_task(ask_run())

    async with Engine() as engine:
        for _ in range(TIMES):
            assert await engine.run(outer(), run_id="outer") == ["inner", "inner", "inner", "outer"]
    assert told


async def test_who_is_called_by_the_engine_and_is_no_call_has_none() -> None:
    """Listeners, previews, conditions' truth values and what a map goes over are no part of a call."""
    asked: list[str] = []

    def ask_for_nothing(who: str) -> None:
        with pytest.raises(NoCurrentCallError):
            cs.current_call()
        asked.append(who)

    class Odd:
        def __bool__(self) -> bool:
            ask_for_nothing("truth")
            return True

        def __iter__(self) -> Iterator[int]:
            ask_for_nothing("iteration")
            return iter([1, 2])

    @cs.task
    def give(_: object = None) -> Odd:
        assert cs.current_call().task == "give"
        return Odd()

    def previewed(_: object) -> str:
        ask_for_nothing("preview")
        return ""

    def listened(_: object) -> None:
        ask_for_nothing("listener")

    bus = MessageBus()
    bus.subscribe(TaskExecutionStarted, listened)
    engines = [Engine(), Engine(bus=bus, preview=previewed)]
    for engine in engines:
        async with engine:
            for _ in range(TIMES):
                target = cs.gather(own(1).run_if(give()), own.map(give(give())))
                assert (await engine.run(target))[0] == ["own", None, 1]
    assert {*asked} >= {"truth", "iteration", "listener"}


async def test_threads_that_a_task_starts_find_the_call_in_a_copy_of_its_context() -> None:
    """`asyncio.to_thread` and `copy_context().run` take the call along; a bare thread has none."""
    found: list[str] = []

    def ask_here() -> None:
        try:
            found.append(cs.current_call().task)
        except NoCurrentCallError:
            found.append("none")

    @cs.task
    async def starts() -> None:
        await asyncio.to_thread(ask_here)
        for target in (ask_here, lambda: None):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    @cs.task(mode="thread")
    def starts_in_thread() -> None:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(ask_here,))
        thread.start()
        thread.join()

    async with Engine() as engine:
        await engine.run(starts())
        await engine.run(starts_in_thread())
    assert found == ["starts", "none", "starts_in_thread"]


class _ByOne(LocalExecutor):
    """An executor of one's own that takes chunks and makes their calls one by one."""

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        facts = facts_in_context.get()
        assert facts is not None
        assert facts[1] == "own"
        return await super().execute(node, args, kwargs)

    def execute_chunk(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        return execute_each(lambda call: self.execute(node, call.args, call.kwargs), calls)


async def test_an_executor_of_ones_own_finds_the_facts_in_the_context() -> None:
    """`execute` finds the facts of its call in its context, for single calls and for those of a chunk."""
    async with Engine(executor=_ByOne()) as engine:
        assert await engine.run(own()) == ["own", None, 1]
        assert await engine.run(own.map(range(4))) == [["own", item, 1] for item in range(4)]


def test_outside_of_calls_there_is_one_clear_error() -> None:
    """Outside of a call `cs.current_call()` raises an error that says so and what to do."""
    with pytest.raises(NoCurrentCallError, match=r"outside of a call; call it in a task"):
        cs.current_call()
    with pytest.raises(cs.CascadeError):
        cs.current_call()
    with suppress(LookupError):
        cs.current_call()
    assert str(pickle.loads(pickle.dumps(NoCurrentCallError()))) == str(NoCurrentCallError())


async def test_after_a_call_there_is_none() -> None:
    """When a run has ended, the code that awaited it is no part of a call, nor is what a failed call has left."""

    @cs.task
    def fail() -> None:
        raise OSError(cs.current_call().task)

    for executor in ("inline", "threads:1"):
        async with Engine(executor=executor) as engine:
            with pytest.raises(OSError, match="fail"):
                await engine.run(fail())
            with pytest.raises(NoCurrentCallError):
                cs.current_call()


async def test_asking_keeps_nothing() -> None:
    """Whoever asks does not keep values alive that the run would have let go."""
    import weakref

    class Value:
        pass

    seen: list[weakref.ref[Value]] = []
    alive: list[int] = []

    @cs.task
    def make(*_: object) -> Value:
        assert cs.current_call().task == "make"
        alive.append(sum(ref() is not None for ref in seen))
        value = Value()
        seen.append(weakref.ref(value))
        return value

    async with Engine() as engine:
        for _ in range(TIMES):
            target = make()
            for _ in range(40):
                target = make(target)
            alive.clear()
            await engine.run(target)
            assert max(alive) <= 3
            del target


def test_facts_are_plain() -> None:
    """What a call knows is a plain tuple with names."""
    assert tuple(CallFacts("r", "t")) == ("r", "t", None, 1, None, ())
