"""Claims about what a run that has ended leaves alive: nothing, without help of the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state import InMemoryStateBackend
from cascade.adapters.store_urls import state_from_url
from cascade.runtime import Engine, Event, MessageBus, OnFailure


def big() -> set[int]:
    """Return a value that can be referred to weakly, and recorded."""
    return {1}


class BoomError(Exception):
    pass


class Kept(InMemoryStateBackend):
    """A state that is not the built-in one, so that every call goes through frames."""


class Untrue:
    def __bool__(self) -> bool:
        raise BoomError


@cs.task
def make(*given: Any) -> Any:
    return big()


@cs.task
async def make_later(*given: Any) -> Any:
    await asyncio.sleep(0)
    return big()


@cs.task(mode="thread")
def make_in_thread(*given: Any) -> Any:
    return big()


@cs.task
def use(*given: Any, db: object = cs.inject("db"), tx: object = cs.inject("tx")) -> Any:
    return big()


@cs.task
def loop(left: int, *given: Any) -> Any:
    return loop(left - 1, *given) if left else big()


@cs.task
def nested(*given: Any) -> Any:
    return make(make_later(*given))


@cs.task
def fail(*given: Any) -> Any:
    raise BoomError


@cs.task
async def fail_later(*given: Any) -> Any:
    await asyncio.sleep(0)
    raise BoomError


@cs.task(mode="thread")
def fail_in_thread(*given: Any) -> Any:
    raise BoomError


@cs.task
def fail_with(*given: Any, db: object = cs.inject("db"), tx: object = cs.inject("tx")) -> Any:
    raise BoomError


@cs.task
def fail_in_loop(left: int, *given: Any) -> Any:
    return fail_in_loop(left - 1, *given) if left else fail(*given)


@cs.task
def fail_below(*given: Any) -> Any:
    return make(fail_later(*given))


@cs.task
def give_untrue(*given: Any) -> Any:
    return Untrue()


@cs.task
async def sleep_long(*given: Any) -> Any:
    await asyncio.sleep(1000)


@cs.resource
def db() -> Iterator[Any]:
    yield big()


@cs.resource(scope="task")
async def tx() -> AsyncIterator[Any]:
    yield big()


VALUES: dict[str, Callable[[Any], Any]] = {
    "one": lambda a: make(a),
    "tree": lambda a: make(make(a), [make(a)]),
    "large tree": lambda a: make(*[make(make(a)) for _ in range(70)]),
    "coroutines": lambda a: make(make_later(a)),
    "coroutine": lambda a: make_later(a),
    "thread": lambda a: make(make_in_thread(a)),
    "retry": lambda a: make(make(a).with_retry()).with_retry(),
    "timeout": lambda a: make_later(a).with_timeout(9),
    "condition": lambda a: make(a).run_if(make(1), otherwise=2),
    "constraints": lambda a: make(a).with_constraints(gpu=1),
    "resources": lambda a: use(a),
    "loop": lambda a: loop(20, a),
    "loop in a place": lambda a: make(loop(20, a)),
    "tree in a place": lambda a: make(nested(a)),
    "map": lambda a: make(make.map([a, a, a])),
    "map of coroutines": lambda a: make_later.map([a, a, a]),
    "map of trees": lambda a: nested.map([a, a]),
    "map with a retry": lambda a: make.map([a, a]).with_retry(),
    "gathering": lambda a: [make(a), make_later(a)],
}
FAILURES: dict[str, Callable[[Any], Any]] = {
    "one": lambda a: fail(a),
    "inside": lambda a: make(fail(a)),
    "large tree": lambda a: make(*[make(make(a)) for _ in range(70)], fail(a)),
    "coroutine": lambda a: make(make(a), fail_later(a)),
    "beside a coroutine": lambda a: make(make_later(a), fail(a)),
    "after a coroutine": lambda a: make(fail(make_later(a))),
    "thread": lambda a: make(make(a), fail_in_thread(a)),
    "retry": lambda a: make(fail(a).with_retry(2)),
    "retried coroutine": lambda a: make(fail_later(a).with_retry(2)),
    "timeout": lambda a: make(sleep_long(a).with_timeout(0.001)),
    "condition": lambda a: make(a).run_if(give_untrue(a)),
    "resources": lambda a: make(fail_with(a)),
    "loop": lambda a: fail_in_loop(20, a),
    "loop in a place": lambda a: make(fail_in_loop(20, a)),
    "tree in a place": lambda a: make(fail_below(a)),
    "map": lambda a: make(fail.map([a, a])),
    "map of coroutines": lambda a: make(fail_later.map([a, a])),
    "map with a retry": lambda a: make(fail.map([a, a]).with_retry()),
    "sibling": lambda a: [sleep_long(a), fail_later(a)],
}
WAYS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "alone": lambda path: {},
    "with a state": lambda path: {"state_backend_cls": Kept},
    "with a limit": lambda path: {"max_concurrency": 2},
    "recorded": lambda path: {"state_backend_cls": state_from_url(f"sqlite:///{path / 's.db'}")},
}
way = pytest.mark.parametrize("way", list(WAYS))
heard = pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is freed but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def left_by(
    build: Callable[[Any], Any], heard: bool, engine: dict[str, Any], on_failure: str
) -> list[str]:
    """Run targets of one structure, known and not; return what of them is alive afterwards."""
    bus = MessageBus()
    if heard:
        bus.subscribe(Event, lambda event: None)
    left: list[str] = []
    async with Engine(bus=bus, system_resources={"gpu": 1}, **engine) as made:
        made.register(db)
        made.register(tx)
        for number in range(5):
            argument = big()
            target = build(argument)
            seen: dict[str, weakref.ref[Any]] = {"an argument": weakref.ref(argument)}
            if not isinstance(target, list):
                seen["the target"] = weakref.ref(target)
            del argument
            try:
                value = await made.run(target, run_id=str(number), on_failure=OnFailure(on_failure))
                values = value if type(value) is list else [value]
                seen.update((f"value {n}", weakref.ref(each)) for n, each in enumerate(values))
                del value, values
            except (BoomError, cs.CascadeError, ExceptionGroup) as error:
                seen["the error"] = weakref.ref(error)
            del target
            await asyncio.sleep(0)
            # A thread of the pool lets go of its last call when it gets to run again; nothing else may take its time.
            for _ in range(400 if threading.active_count() > 1 else 0):
                if all(each() is None for each in seen.values()):
                    break
                await asyncio.sleep(0.005)
            left += [f"{name} of run {number}" for name, each in seen.items() if each() is not None]
    return left


@way
@heard
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kind", list(VALUES))
async def test_a_run_keeps_nothing_of_its_value(kind: str, way: str, heard: bool, tmp_path: Path) -> None:
    """When nobody else refers to them, the value of a run, its target and its arguments are gone with the run."""
    build = VALUES[kind]
    assert await left_by(build, heard, WAYS[way](tmp_path), "stop") == []


@way
@heard
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
@pytest.mark.parametrize("kind", [kind for kind in FAILURES if kind != "thread"])
async def test_a_run_keeps_nothing_of_its_error(
    kind: str, on_failure: str, way: str, heard: bool, tmp_path: Path
) -> None:
    """No cycle holds the error of a run: it is gone when nobody refers to it, and the run with it."""
    if kind == "sibling" and on_failure == "finish":
        pytest.skip("the sibling would be waited for")
    assert await left_by(FAILURES[kind], heard, WAYS[way](tmp_path), on_failure) == []


@pytest.mark.virtual_time
@pytest.mark.usefixtures("no_collector")
async def test_a_cancelled_run_keeps_nothing() -> None:
    """A run that is cancelled lets go of its target and of what it had, too."""
    async with Engine() as engine:
        argument = big()
        seen = weakref.ref(argument)
        running = asyncio.create_task(engine.run([make(argument), sleep_long(argument)]))
        del argument
        await asyncio.sleep(1)
        assert seen() is not None
        running.cancel()
        await asyncio.wait([running])
        del running
        await asyncio.sleep(0)
        assert seen() is None


@pytest.mark.usefixtures("no_collector")
def test_cs_run_keeps_nothing() -> None:
    """`cs.run` lets go of values and errors as `engine.run` does."""
    value = cs.run(make())
    given = weakref.ref(value)
    del value
    assert given() is None
    try:
        cs.run(fail())
    except BoomError as error:
        seen = weakref.ref(error)
    assert seen() is None
