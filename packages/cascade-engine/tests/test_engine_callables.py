"""Claims about what can be a task, and how it is called: wrappers, awaitables, methods, odd parameters."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from support.loops import pass_time

import cascade as cs
from cascade.runtime import MessageBus, TaskExecutionFinished, TaskExecutionStarted, TaskTimeoutError
from cascade.spec import CallError, SpecError

CALLS: list[Any] = []


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def double(x: int) -> int:
    CALLS.append(x)
    await asyncio.sleep(0)
    return 2 * x


class Awaited:
    """An awaitable that is no coroutine."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __await__(self) -> Generator[Any, None, int]:
        return double(self.x).__await__()


async def double_later(x: int) -> Awaitable[int]:
    return double(x)


def in_future(x: int) -> Awaitable[int]:
    return asyncio.ensure_future(double(x))


class Object:
    def __call__(self, x: int) -> Any:
        return double(x)

    def method(self, x: int) -> Any:
        return double(x)


WRAPPERS: dict[str, Callable[[], Callable[..., Any]]] = {
    "wraps": lambda: logged(double),
    "wraps twice": lambda: logged(logged(double)),
    "lambda": lambda: lambda x: double(x),
    "partial": lambda: functools.partial(double),
    "partial of a wrapper": lambda: functools.partial(logged(double)),
    "cache": lambda: functools.lru_cache(double),
    "awaitable": lambda: Awaited,
    "future": lambda: in_future,
    "coroutine of a coroutine": lambda: double_later,
    "object": Object,
    "method": lambda: Object().method,
}
WRAPPERS["awaitable"] = lambda: lambda x: Awaited(x)


@pytest.mark.parametrize("mode", ["inline", "thread"])
@pytest.mark.parametrize("kind", WRAPPERS)
def test_what_is_awaitable_is_awaited(kind: str, mode: Any) -> None:
    """A plain function that returns an awaitable has the awaited value for its own, wherever it runs."""
    if mode == "thread" and kind == "future":
        pytest.skip("a thread has no running loop to make a future in")
    task: cs.Task[int] = cs.task(mode=mode)(WRAPPERS[kind]())
    CALLS.clear()
    assert cs.run(task(1)) == 2
    assert CALLS == [1]
    assert cs.run([task(2), cs.task(lambda x: x + 1)(task(3))]) == [4, 7]


def shapes(task: cs.Task[Any], plain: cs.Task[Any]) -> dict[str, tuple[cs.LazyResult[Any], Any]]:
    """Return trees that are run in different ways, with the value of each; both tasks double."""
    chain: cs.LazyResult[Any] = task(1)
    for _ in range(12):
        chain = plain(chain)
    same = task(1)
    for _ in range(9):
        same = task(same)
    return {
        "alone": (task(1), 2),
        "chain": (chain, 2**13),
        "same": (same, 2**10),
        "below": (plain(task(plain(1))), 8),
        "wide": (cs.gather(*(task(n) for n in range(200))), [2 * n for n in range(200)]),
        "wide and plain": (
            cs.gather(*((task if n % 3 else plain)(n) for n in range(50))),
            [2 * n for n in range(50)],
        ),
        "map": (task.map(x=range(200)), [2 * n for n in range(200)]),
        "map of a map": (task.map(x=task.map(x=range(5))), [4 * n for n in range(5)]),
        "condition": (plain(3).run_if(task(1)), 6),
        "retry": (task(4).with_retry(1), 8),
        "cached": (task(4).with_cache(cs.ByInputs()), 8),
        "slots": (cs.gather(*(task(n).with_constraints(gpu=1) for n in range(4))), [0, 2, 4, 6]),
    }


@pytest.mark.parametrize("listened", [False, True])
@pytest.mark.parametrize("setting", ["plain", "bounded", "recorded"])
@pytest.mark.parametrize("name", list(shapes(cs.task(double), cs.task(double))))
async def test_every_way_of_running_awaits(name: str, setting: str, listened: bool, tmp_path: Any) -> None:
    """Whether it comes once or again, is listened to, bounded or recorded: an awaitable stands for its value."""
    bus = MessageBus()
    seen: list[Any] = []
    if listened:
        bus.subscribe(TaskExecutionStarted, seen.append)
        bus.subscribe(TaskExecutionFinished, seen.append)
    task, plain = cs.task(name="task")(logged(double)), cs.task(name="plain")(lambda x: 2 * x)
    settings: dict[str, Any] = {"bus": bus, "system_resources": {"gpu": 1}}
    if setting == "bounded":
        settings["max_concurrency"] = 2
    if setting == "recorded":
        settings["state"] = f"sqlite:///{tmp_path}/runs.db"
    async with cs.Engine(**settings) as engine:
        for time in range(3):
            target, value = shapes(task, plain)[name]
            seen.clear()
            assert await engine.run(target, run_id=f"run {time}") == value
            begun = [event.task_id for event in seen if isinstance(event, TaskExecutionStarted)]
            ended = [event.task_id for event in seen if isinstance(event, TaskExecutionFinished)]
            assert sorted(begun) == sorted(ended)
            assert len(set(begun)) == len(begun)


def test_a_loop_of_awaitables_goes_on() -> None:
    """A wrapped coroutine that returns the next call is a tail call like any other."""

    @cs.task
    @logged
    async def count(left: int) -> Any:
        return count(left - 1) if left else "done"

    assert cs.run(count(50)) == "done"


def test_a_retry_covers_what_is_awaited() -> None:
    """The failure of what a plain function returned is the failure of its call, and is retried."""
    tries = itertools.count(1)

    @cs.task(retry=3)
    @logged
    async def flaky() -> int:
        await asyncio.sleep(0)
        if (number := next(tries)) < 3:
            raise ValueError(number)
        return number

    assert cs.run(flaky()) == 3
    assert cs.run([flaky(), flaky()]) == [4, 5]


@pytest.mark.stepped_time
async def test_a_timeout_covers_what_is_awaited() -> None:
    """A function in a thread that returns a coroutine is timed until that has ended."""
    began = asyncio.Event()

    @cs.task(mode="thread", timeout=5)
    @logged
    async def slow() -> None:
        began.set()
        await asyncio.sleep(60)

    running = asyncio.create_task(cs.arun(slow()))
    await began.wait()
    await pass_time(5)
    with pytest.raises(TaskTimeoutError):
        await running


def test_slots_are_held_while_it_is_awaited() -> None:
    """With `max_concurrency=1` no other call begins before the awaited one has ended."""
    under_way: list[int] = []
    most: list[int] = []

    @cs.task
    @logged
    async def work(x: int) -> int:
        under_way.append(x)
        most.append(len(under_way))
        await asyncio.sleep(0)
        under_way.remove(x)
        return x

    assert cs.run(work.map(x=range(6)), max_concurrency=1) == list(range(6))
    assert cs.run([work(1), work(2).with_retry(1)], max_concurrency=1) == [1, 2]
    assert set(most) == {1}


def test_a_failure_leaves_no_coroutine_behind() -> None:
    """Coroutines that plain functions gave beside a failing call are ended or never begin; none is forgotten."""
    wait: cs.Task[Any] = cs.task(logged(lambda x: asyncio.sleep(1000)))

    @cs.task
    def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            cs.run([wait(1), wait(2), fail(), wait(3)])
    with pytest.raises(ValueError, match="no"):
        cs.run([wait.map(x=range(20)), fail()])


def test_what_is_awaited_has_a_context_of_its_own() -> None:
    """What a wrapped coroutine sets stays with it, as for any `async def`."""
    variable: ContextVar[str] = ContextVar("variable", default="before")

    @cs.task
    @logged
    async def change() -> None:
        variable.set("after")

    @cs.task
    def read() -> str:
        return variable.get()

    assert cs.run(cs.sequence([change(), read()])) == "before"


def generate() -> Iterator[int]:
    yield 1


async def generate_later() -> AsyncIterator[int]:
    yield 1


class Generating:
    def __call__(self) -> Iterator[int]:
        yield 1


class Plain:
    pass


@pytest.mark.parametrize(
    ("func", "told"),
    [
        (generate, "'generate', which is a generator function; return a list"),
        (generate_later, "'generate_later', which is an async generator function; return a list"),
        (Generating(), "which is a generator function"),
        (Generating().__call__, "which is a generator function"),
        (functools.partial(generate), "'generate', which is a generator function"),
        (functools.lru_cache(generate), "'generate', which is a generator function"),
        (staticmethod(generate), "'generate', which is a generator function"),
        (Plain, "the class 'Plain'; write a function"),
        (int, "the class 'int'; write a function"),
        (classmethod(lambda cls: cls), "a classmethod; write @classmethod above @cs.task"),
        (property(double), "a property; write @property above @cs.task"),
        (5, "5, which can't be called"),
    ],
)
def test_what_can_be_no_task_is_refused_where_it_is_written(func: Any, told: str) -> None:
    """Generators, classes and descriptors are refused by the decorator, with the remedy."""
    with pytest.raises(SpecError) as caught:
        cs.task(func)
    assert told in str(caught.value)


def test_a_wrapper_of_a_generator_is_a_task() -> None:
    """What counts is the function itself: one that makes a list of a generator's items is a plain function."""

    def listed(function: Callable[..., Iterator[Any]]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper() -> Any:
            return [*function()]

        return wrapper

    assert cs.run(cs.task(listed(generate))()) == [1]
    opened = cs.run(cs.task(contextlib.contextmanager(generate))())
    assert hasattr(opened, "__enter__")


def test_the_wrappers_own_signature_counts() -> None:
    """Arity and names are checked against what is called, not against what that wraps."""

    def with_user(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(name: str) -> Any:
            return function("ada", name)

        return wrapper

    @cs.task
    @with_user
    def greet(user: str, name: str) -> str:
        return f"{user} greets {name}"

    assert cs.run(greet("bob")) == "ada greets bob"
    assert cs.run(greet.map(name=["bob", "eve"])) == ["ada greets bob", "ada greets eve"]
    assert cs.run(greet("bob").with_cache(cs.ByInputs())) == "ada greets bob"
    with pytest.raises(CallError, match="greet"):
        cs.run(greet("ada", "bob"))


@cs.resource
def db() -> Iterator[str]:
    yield "open"


def test_a_wrapper_hands_injections_on() -> None:
    """A wrapper that takes any keyword gets the resources that what it wraps asks for by its defaults."""

    @cs.task
    @logged
    def use(x: int, db: Any = cs.inject("db")) -> Any:
        return x, db

    assert cs.run(use(1), resources=[db]) == (1, "open")
    assert cs.run(use(1, db="mine"), resources=[db]) == (1, "mine")
    assert cs.run(use.map(x=[1, 2]), resources=[db]) == [(1, "open"), (2, "open")]


def test_attributes_of_a_function_are_not_those_of_its_task() -> None:
    """A callable with attributes called `map`, `partial` or `signature` makes a task like any other."""

    def work(x: int) -> int:
        return x + 1

    for name in (
        "map",
        "partial",
        "signature",
        "name",
        "func",
        "policies",
        "serial",
        "is_async",
        "injected",
        "on",
    ):
        setattr(work, name, "mine")
    task = cs.task(work)
    assert cs.run(task.map(x=[1, 2])) == [2, 3]
    assert cs.run(task.partial(1)()) == 2
    assert (task.name, task.func, task.is_async, task.on) == ("work", work, False, None)
    assert not hasattr(cs.task(functools.partial(work)), "keywords")


class Holder:
    @cs.task
    @staticmethod
    def below(x: int) -> int:
        return x + 1

    @staticmethod
    @cs.task
    def above(x: int) -> int:
        return x + 2

    @classmethod
    @cs.task
    def of_class(cls, x: int) -> Any:
        return cls.__name__, x

    @cs.task
    def method(self, x: int) -> Any:
        return type(self).__name__, x


def test_methods_of_all_kinds_can_be_tasks() -> None:
    """Static methods take no instance, class methods the class, others the instance; on the class and on an object."""
    for holder in (Holder, Holder()):
        assert cs.run(holder.below(1)) == 2
        assert cs.run(holder.above(1)) == 3
        assert cs.run(holder.below.map(x=[1, 2])) == [2, 3]
        assert cs.run(holder.of_class(1)) == ("Holder", 1)
    assert cs.run(Holder().method(1)) == ("Holder", 1)
    assert cs.run(Holder().method.map(x=[1])) == [("Holder", 1)]


@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_a_parameter_may_be_called_self(mode: Any) -> None:
    """The names that Cascade's own methods use are free for parameters."""

    @cs.task(mode=mode)
    def f(self: int, task: int = 0, args: int = 0, kwargs: int = 0, func: int = 0) -> Any:
        return self, task, args, kwargs, func

    @cs.task
    def same(x: Any) -> Any:
        return x

    assert cs.run(f(self=1, task=2, args=3, kwargs=4, func=5)) == (1, 2, 3, 4, 5)
    assert cs.run(same(f(self=same(1), func=same(2)))) == (1, 0, 0, 0, 2)
    assert cs.run(f.map(self=[1, 2])) == [(1, 0, 0, 0, 0), (2, 0, 0, 0, 0)]
    assert cs.run(f.partial(self=1)(task=2)) == (1, 2, 0, 0, 0)
    assert cs.run(f.partial(self=1).map(task=[2])) == [(1, 2, 0, 0, 0)]
    assert cs.run(cs.map(lambda self: f(self=self), self=[3])) == [(3, 0, 0, 0, 0)]
    assert cs.run(f(self=1).with_cache(cs.ByInputs())) == (1, 0, 0, 0, 0)


def test_positional_only_parameters_work_or_are_refused() -> None:
    """A positional-only parameter takes what stands in its place; an injected default of one is refused by name."""

    @cs.task
    def f(x: Any, y: Any = 2, /, *, db: Any = cs.inject("db")) -> Any:
        return x, y, db

    assert cs.run(f(1), resources=[db]) == (1, 2, "open")
    assert cs.run(f(1, cs.inject("db")), resources=[db]) == (1, "open", "open")
    with pytest.raises(CallError, match=r"positional.only"):
        cs.run(f(x=1), resources=[db])
    with pytest.raises(SpecError, match=r"positional-only parameter 'db'.*put it behind the /"):

        @cs.task
        def g(x: Any, db: Any = cs.inject("db"), /) -> None: ...


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
