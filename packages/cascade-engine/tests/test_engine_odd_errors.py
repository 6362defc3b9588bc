"""Claims about exceptions that are hard to handle: they come out as they are, and nothing else suffers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Engine, Event, MessageBus, ResourceReleased, TaskExecutionFinished, TaskRetrying
from cascade.spec.calls import error_text as texts


@dataclass(frozen=True)
class FrozenError(Exception):
    """Refuses attributes, `__notes__` and `__traceback__` among them."""

    why: str = "closed"


class NotesError(Exception):
    """What it has for notes is no list."""

    __notes__ = "no list"  # type: ignore[assignment]


class NumberOfNotesError(Exception):
    __notes__ = 3  # type: ignore[assignment]


class RaisingNotesError(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise RuntimeError("no notes")


class TextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class ExitingTextError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__


class WrongTextError(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


class ClassError(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class EmptyError(Exception):
    """Counts as false."""

    def __len__(self) -> int:
        return 0


class RaisingTruthError(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


@dataclass
class UnhashableError(Exception):
    """Equal by value, so that it has no hash."""

    why: str = "x"


class UnequalError(Exception):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]


class ClosedError(Exception):
    """None of its attributes can be read."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


KINDS: list[Callable[[], Exception]] = [
    FrozenError,
    NotesError,
    NumberOfNotesError,
    RaisingNotesError,
    TextError,
    ExitingTextError,
    WrongTextError,
    ClassError,
    EmptyError,
    RaisingTruthError,
    UnhashableError,
    UnequalError,
    ClosedError,
]
odd = pytest.mark.parametrize("make", KINDS)

WAYS = ["inline", "thread", "async", "cached", "timed", "map item", "map of coroutines", "nested", "resource"]


_raised: list[Exception] = []


@cs.task
def _raise_last() -> None:
    raise _raised.pop()


def failing(error: Exception, way: Any) -> cs.LazyResult[Any]:
    def plain(*given: object) -> None:
        raise error

    async def later(*given: object) -> None:
        await asyncio.sleep(0)
        raise error

    if way == "map item":
        return cs.task(plain).map([1])
    if way == "map of coroutines":
        return cs.task(later).map([1])
    if way == "nested":
        return cs.task(lambda: cs.task(plain)())()
    if way == "resource":
        return cs.task(plain)(cs.inject("db"))
    if way == "cached":
        _raised.append(error)
        return _raise_last().with_cache(cs.ByInputs())
    if way == "timed":
        return cs.task(later)().with_timeout(60)
    return cs.task(later)() if way == "async" else cs.task(mode=way)(plain)()


def what_comes_out(call: Callable[[], object]) -> int | None:
    """Return the id of what a call raises: `pytest.raises` can't hold such exceptions."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any
        return id(error)
    return None


class Watched:
    """An engine with two resources and a listener, and what became of them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.events: list[Event] = []

    def engine(self) -> Engine:
        bus = MessageBus()
        bus.subscribe(Event, self.events.append)
        engine = Engine(bus=bus)
        engine.register(cs.resource(name="db")(self._db))
        engine.register(cs.resource(name="tx", scope="task")(self._tx))
        return engine

    def _db(self) -> Iterator[int]:
        yield 1
        self.log.append("db went on")

    async def _tx(self) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            self.log.append("tx")

    @cs.task
    async def sibling(self, db: int = cs.inject("db"), tx: int = cs.inject("tx")) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            self.log.append("sibling")


@pytest.mark.virtual_time
@odd
@pytest.mark.parametrize("way", WAYS)
async def test_an_odd_exception_comes_out_as_it_is(make: Callable[[], Exception], way: str) -> None:
    """The very object comes out; siblings are awaited, resources released, and each call has its last event."""
    error, world = make(), Watched()
    came_out: list[int] = []

    @cs.task
    async def soon() -> None:
        await asyncio.sleep(0.01)

    async with world.engine() as engine:
        target = [world.sibling(), failing(error, way).after(soon())]
        try:
            await engine.run(target)
        except Exception as raised:  # noqa: BLE001 - not with pytest.raises, which such exceptions break
            came_out.append(id(raised))
    assert came_out == [id(error)]
    assert world.log == ["sibling", "tx"]
    released = [event.name for event in world.events if isinstance(event, ResourceReleased)]
    assert released == ["tx", "db"]
    ends = [event for event in world.events if isinstance(event, TaskExecutionFinished) and event.error]
    assert any(str(event.error).startswith(type(error).__name__) for event in ends)


@odd
@pytest.mark.parametrize("way", ["inline", "async", "timed"])
async def test_no_retry_is_lost(make: Callable[[], Exception], way: str) -> None:
    """An odd exception is retried as any other, and each retry is told."""
    errors = [make(), make()]
    heard: list[TaskRetrying] = []
    bus = MessageBus()
    bus.subscribe(TaskRetrying, heard.append)

    def plain() -> str:
        if errors:
            raise errors.pop()
        return "there"

    async def later() -> str:
        return plain()

    target = cs.task(plain)() if way == "inline" else cs.task(later)()
    target = (target.with_timeout(60) if way == "timed" else target).with_retry(2)

    async with Engine(bus=bus) as engine:
        value = await engine.run(target)
    assert value == "there"
    assert len(heard) == 2
    assert all(type(make()).__name__ in event.error for event in heard)


@odd
def test_odd_exceptions_are_grouped(make: Callable[[], Exception]) -> None:
    """With `on_failure="finish"` they are in the group that comes out, beside the others, and the rest runs."""
    error = make()
    ran: list[int] = []
    target = [
        failing(error, "inline"),
        failing(ValueError("plain"), "async"),
        cs.task(lambda: ran.append(1))(),
    ]
    with pytest.raises(ExceptionGroup) as caught:
        cs.run(target, on_failure="finish")
    assert id(caught.value.exceptions[0]) == id(error)
    assert ran == [1]


@odd
@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("where", ["opening", "release"])
def test_a_resource_may_raise_an_odd_exception(make: Callable[[], Exception], scope: str, where: str) -> None:
    """What a provider raises comes out, before its `yield` and after it, and the others are released."""
    error = make()
    log = []

    @cs.resource(scope=scope)
    def pool() -> Iterator[int]:
        try:
            yield 1
        finally:
            log.append("pool")

    @cs.resource(scope=scope)
    def db(pool: int = cs.inject("pool")) -> Iterator[int]:
        if where == "opening":
            raise error
        yield pool
        raise error

    @cs.task
    def use(db: int = cs.inject("db")) -> int:
        return db

    assert what_comes_out(lambda: cs.run(use(), resources=[pool, db])) == id(error)
    assert log == ["pool"]


@odd
def test_an_odd_release_is_noted_on_the_failure(make: Callable[[], Exception]) -> None:
    """What a release raises after a failure is in the failure's notes by its class."""

    @cs.resource
    def db() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise make()

    @cs.task
    def use(db: int = cs.inject("db")) -> int:
        raise ValueError("the task's")

    with pytest.raises(ValueError, match="the task's") as caught:
        cs.run(use(), resources=[db])
    assert type(make()).__name__ in " ".join(caught.value.__notes__)


@odd
def test_a_workflow_may_raise_an_odd_exception(make: Callable[[], Exception]) -> None:
    """What a workflow function raises while it builds its lazy results comes out as it is."""
    error = make()

    def workflow() -> cs.LazyResult[int]:
        raise error

    assert what_comes_out(lambda: cs.run(workflow)) == id(error)


@odd
async def test_a_listener_may_raise_an_odd_exception(
    make: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """What a listener raises is logged and stops nothing."""
    bus = MessageBus()

    def broken(event: Event) -> None:
        raise make()

    bus.subscribe(Event, broken)

    async with Engine(bus=bus) as engine:
        value = await engine.run(cs.task(lambda: 1)().with_retry())
    assert value == 1
    assert len([record for record in caplog.records if record.name == "cascade.runtime.bus"]) == 4


@odd
def test_the_text_of_an_odd_exception(make: Callable[[], Exception]) -> None:
    """Its text begins with its class, and asking for it, for its notes or its class raises nothing."""
    error = make()
    assert texts.error_text(error).startswith(type(error).__name__)
    assert isinstance(texts.message_of(error), str)
    assert texts.notes_of(error) == []
    texts.add_note(error, "a note")
    texts.put_traceback(error, None)
    assert texts.is_error(error, Exception)
    assert not texts.is_error(error, (ValueError, KeyError))


def test_the_text_of_an_exception() -> None:
    """The text has class and message; the class alone where there is no message."""
    assert texts.error_text(ValueError("no")) == "ValueError: no"
    assert texts.error_text(ValueError()) == "ValueError"
    assert texts.message_of(ValueError("no")) == "no"
    assert texts.message_of(ValueError()) == "ValueError"
    noted = ValueError()
    noted.add_note("a note")
    assert texts.notes_of(noted) == ["a note"]


def test_a_result_is_not_asked_for_its_text() -> None:
    """A run hands its result over without a `repr`, which may be long to make or raise."""

    class Result:
        def __repr__(self) -> str:
            raise SystemExit("no text")

    assert type(cs.run(cs.task(lambda: Result())())) is Result


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
