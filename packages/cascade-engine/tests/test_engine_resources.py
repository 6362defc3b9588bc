"""Claims about resources: when they open, who shares them, and in which order they close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import (
    Engine,
    MessageBus,
    ResourceAcquired,
    ResourceCycleError,
    ResourceNotFoundError,
    ResourceReleased,
    ResourceScopeError,
)
from cascade.spec import Resource, SpecError


class Log:
    """Resources that note when they open and close."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def provider(self, name: str, *, scope: str = "run", needs: str = "") -> Resource:
        @cs.resource(name=name, scope=scope)
        def plain() -> Iterator[str]:
            yield from self._open(name)

        @cs.resource(name=name, scope=scope)
        def nested(inner: str = cs.inject(needs)) -> Iterator[str]:
            yield from self._open(f"{name}({inner})")

        return nested if needs else plain

    def async_provider(self, name: str, *, scope: str = "run") -> Resource:
        @cs.resource(name=name, scope=scope)
        async def provider() -> AsyncIterator[str]:
            await asyncio.sleep(0)
            for value in self._open(name):
                yield value
            await asyncio.sleep(0)

        return provider

    def _open(self, name: str) -> Iterator[str]:
        self.lines.append(f"+{name}")
        yield name
        self.lines.append(f"-{name}")


@cs.task
def use(db: str = cs.inject("db")) -> str:
    return f"used {db}"


@cs.task
def first(*values: object) -> object:
    return values[0]


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["run", "task"])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_both_kinds_and_scopes_are_opened_and_released(kind: str, scope: str) -> None:
    """A generator and an async generator, of either scope, give their value to the task and are released."""
    log = Log()
    make = log.provider if kind == "sync" else log.async_provider
    assert await cs.arun(use(), resources=[make("db", scope=scope)]) == "used db"
    assert log.lines == ["+db", "-db"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("mode", ["inline", "thread", None])
async def test_tasks_of_each_kind_get_it(mode: Any) -> None:
    """Inline, in a thread and as `async def`, a task gets its resource."""
    log = Log()

    async def later(db: str = cs.inject("db")) -> str:
        return db

    def plain(db: str = cs.inject("db")) -> str:
        return db

    task: cs.Task[str] = cs.task(later) if mode is None else cs.task(mode=mode)(plain)
    assert await cs.arun(task(), resources=[log.provider("db")]) == "db"


def test_what_nobody_asks_for_is_not_opened() -> None:
    """A resource is acquired on first use: one that no task that runs asks for is never opened."""
    log = Log()

    @cs.task
    def no() -> bool:
        return False

    skipped = use().run_if(no(), otherwise="else")
    assert cs.run(first(skipped), resources=[log.provider("db"), log.provider("other")]) == "else"
    assert log.lines == []


@pytest.mark.virtual_time
async def test_a_run_shares_one_instance() -> None:
    """All tasks of a run that ask at the same time get one instance, opened once."""
    opened: list[object] = []

    @cs.resource
    async def db() -> AsyncIterator[object]:
        await asyncio.sleep(1)
        opened.append(object())
        yield opened[-1]

    @cs.task
    async def get(number: int, db: object = cs.inject("db")) -> object:
        return db

    values = await cs.arun([get(number) for number in range(20)], resources=[db])
    assert len(opened) == 1
    assert all(value is opened[0] for value in values)


@pytest.mark.virtual_time
async def test_each_run_has_its_own_instance() -> None:
    """Runs of one engine at the same time each open their own."""
    log = Log()

    async with Engine() as engine:
        engine.register(log.async_provider("db"))
        await asyncio.gather(*(engine.run(use()) for _ in range(5)))
    assert sorted(log.lines) == ["+db"] * 5 + ["-db"] * 5


def test_scope_task_is_one_instance_per_call() -> None:
    """A resource of scope `task` is opened for each call and released right after it."""
    log = Log()
    cs.run(first(use(), use()), resources=[log.provider("db", scope="task")])
    assert log.lines == ["+db", "-db", "+db", "-db"]


def test_scope_task_is_one_instance_per_attempt() -> None:
    """A retried call gets a fresh resource of scope `task` each time; one of scope `run` stays."""
    log = Log()

    @cs.task(retry=1)
    def flaky(db: str = cs.inject("db"), pool: str = cs.inject("pool")) -> None:
        log.lines.append("call")
        if log.lines.count("call") == 1:
            raise ValueError("once")

    class _Quiet(Log):
        def _open(self, name: str) -> Iterator[str]:
            log.lines.append(f"+{name}")
            try:
                yield name
            finally:
                log.lines.append(f"-{name}")

    quiet = _Quiet()
    cs.run(flaky(), resources=[quiet.provider("db", scope="task"), quiet.provider("pool")])
    assert log.lines == ["+db", "+pool", "call", "-db", "+db", "call", "-db", "-pool"]


def test_scope_task_is_released_before_the_returned_tree_starts() -> None:
    """A resource of scope `task` covers the function's own body: it is closed before the returned tree runs."""
    log = Log()

    @cs.task
    def inner() -> None:
        log.lines.append("inner")

    @cs.task
    def outer(db: str = cs.inject("db")) -> cs.LazyResult[None] | None:
        return inner()

    cs.run(outer(), resources=[log.provider("db", scope="task")])
    assert log.lines == ["+db", "-db", "inner"]


def test_a_run_scoped_resource_outlives_the_rounds() -> None:
    """A resource of scope `run` stays open over all rounds of a tail-call loop."""
    log = Log()

    @cs.task
    def count(left: int, db: str = cs.inject("db")) -> int | cs.LazyResult[int]:
        return count(left - 1) if left else 0

    assert cs.run(count(5), resources=[log.provider("db")]) == 0
    assert log.lines == ["+db", "-db"]


def test_nested_resources_open_first_and_close_last() -> None:
    """A resource that needs another one gets it; they are released in reverse order."""
    log = Log()
    resources = [
        log.provider("db", needs="pool"),
        log.provider("pool", needs="config"),
        log.provider("config"),
    ]
    assert cs.run(use(), resources=resources) == "used db(pool(config))"
    opened = ["+config", "+pool(config)", "+db(pool(config))"]
    assert log.lines == opened + [line.replace("+", "-") for line in reversed(opened)]


def test_release_is_in_reverse_order_of_opening() -> None:
    """Unrelated resources close in the reverse of the order in which they were opened."""
    log = Log()

    @cs.task
    def both(a: str = cs.inject("a"), b: str = cs.inject("b")) -> str:
        return a + b

    assert cs.run(both(), resources=[log.provider("b"), log.async_provider("a")]) == "ab"
    assert log.lines == ["+a", "+b", "-b", "-a"]
    log.lines.clear()
    cs.run(both(), resources=[log.async_provider("b", scope="task"), log.provider("a", scope="task")])
    assert log.lines == ["+a", "+b", "-b", "-a"]


def test_scope_task_may_need_scope_run() -> None:
    """A resource of scope `task` may be built on one that the run shares."""
    log = Log()
    resources = [log.provider("db", scope="task", needs="pool"), log.provider("pool")]
    cs.run(first(use(), use()), resources=resources)
    assert log.lines == ["+pool", "+db(pool)", "-db(pool)", "+db(pool)", "-db(pool)", "-pool"]


def test_scope_run_may_not_need_scope_task() -> None:
    """A resource that the run shares can't be built on one that a single call has; both are named."""
    log = Log()
    resources = [log.provider("db", needs="pool"), log.provider("pool", scope="task")]
    with pytest.raises(ResourceScopeError, match="'db' of scope 'run' can't take resource 'pool'"):
        cs.run(use(), resources=resources)
    assert log.lines == []


def test_a_resource_may_be_injected_anywhere() -> None:
    """`cs.inject` stands for the resource as an argument, at any depth of one, and as a default."""
    log = Log()

    @cs.task
    def show(x: object, y: object = None, db: str = cs.inject("db")) -> object:
        return [x, y, db]

    value = cs.run(
        show(cs.inject("db"), y=[{"k": (cs.inject("db"), 1)}], db="given"), resources=[log.provider("db")]
    )
    assert value == ["db", [{"k": ("db", 1)}], "given"]
    assert cs.run(show(1), resources=[log.provider("db")]) == [1, None, "db"]


async def test_a_provider_can_be_overridden() -> None:
    """`override_resource_provider` lets another resource stand in under the name, nested users included."""
    log = Log()

    async with Engine() as engine:
        engine.register(log.provider("db", needs="pool"))
        engine.register(log.provider("pool"))
        before = await engine.run(use())
        fake = log.provider("fake")
        engine.override_resource_provider("pool", fake)
        assert engine.get_resource_provider("pool") is fake
        value = [before, await engine.run(use())]
    assert value == ["used db(pool)", "used db(fake)"]


def test_an_unregistered_resource_is_refused_before_anything_runs() -> None:
    """A missing provider is an error that names the task, the resource and what is registered."""
    log, calls = Log(), list[int]()

    @cs.task
    def before() -> None:
        calls.append(1)

    with pytest.raises(
        ResourceNotFoundError, match=r"task 'use' wants resource 'db'.*registered: cache"
    ) as caught:
        cs.run(first(before(), use()), resources=[log.provider("cache")])
    assert isinstance(caught.value, LookupError)
    with pytest.raises(ResourceNotFoundError, match="resource 'db' wants resource 'pool'"):
        cs.run(use(), resources=[log.provider("db", needs="pool")])
    assert not calls
    with pytest.raises(ResourceNotFoundError):
        Engine().get_resource_provider("db")


def test_resources_that_need_each_other_are_refused_before_anything_runs() -> None:
    """A cycle among resources is an error that names those on it in order."""
    log = Log()
    resources = [
        log.provider("db", needs="pool"),
        log.provider("pool", needs="config"),
        log.provider("config", needs="pool"),
    ]
    with pytest.raises(ResourceCycleError, match="pool -> config -> pool") as caught:
        cs.run(use(), resources=resources)
    assert caught.value.names == ("pool", "config")
    assert log.lines == []


def test_only_resources_can_be_registered() -> None:
    """A plain function, or anything else, is refused when it is registered."""
    with pytest.raises(SpecError, match=r"put @cs\.resource on a generator function"):
        Engine().register(lambda: None)  # type: ignore[arg-type]


async def test_opening_and_releasing_are_told() -> None:
    """`ResourceAcquired` and `ResourceReleased` tell name and scope."""
    heard: list[object] = []
    bus = MessageBus()
    bus.subscribe(ResourceAcquired, heard.append)
    bus.subscribe(ResourceReleased, heard.append)
    log = Log()

    async with Engine(bus=bus) as engine:
        engine.register(log.provider("db", scope="task", needs="pool"))
        engine.register(log.async_provider("pool"))
        await engine.run(use(), run_id="r")
    assert heard == [
        ResourceAcquired("r", "pool", "run"),
        ResourceAcquired("r", "db", "task"),
        ResourceReleased("r", "db", "task"),
        ResourceReleased("r", "pool", "run"),
    ]


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["run", "task"])
async def test_a_provider_is_entered_and_left_in_one_asyncio_task(scope: str) -> None:
    """A provider runs in one asyncio task from its first to its last line, so it may hold a cancel scope."""
    seen: list[object] = []

    @cs.resource(scope=scope)
    async def db() -> AsyncIterator[str]:
        seen.append(asyncio.current_task())
        async with asyncio.timeout(1000):
            yield "db"
        seen.append(asyncio.current_task())

    await cs.arun(use(), resources=[db])
    assert seen[0] is seen[1]
