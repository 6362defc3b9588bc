"""Claims about context variables: who sees what, and that nothing gets out of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

import pytest

import cascade as cs
from cascade.runtime import Engine

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_context_variables_of_a_provider_reach_the_tasks(kind: str) -> None:
    """What a provider of scope `run` sets is seen by tasks inline, async and in threads, and not by the caller."""

    @cs.resource(name="db")
    def plain() -> Iterator[str]:
        token = tenant.set("acme")
        yield "db"
        tenant.reset(token)

    @cs.resource(name="db")
    async def later() -> AsyncIterator[str]:
        token = tenant.set("acme")
        yield "db"
        tenant.reset(token)

    def inline(db: str = cs.inject("db")) -> str:
        return tenant.get()

    async def coroutine(db: str = cs.inject("db")) -> str:
        return tenant.get()

    tasks = [cs.task(inline), cs.task(mode="thread")(inline), cs.task(coroutine)]
    for task in tasks:
        provider = plain if kind == "sync" else later
        assert await cs.arun([task(), task()], resources=[provider]) == ["acme", "acme"], task
    assert tenant.get() == "nobody"


@pytest.mark.virtual_time
async def test_context_variables_of_tasks_stay_in_the_run() -> None:
    """Inline tasks share the run's context; async and thread tasks have copies; the caller sees none of it."""

    @cs.task
    def put(value: str) -> None:
        tenant.set(value)

    @cs.task
    async def put_later(value: str) -> None:
        tenant.set(value)

    @cs.task
    def get() -> str:
        return tenant.get()

    async with Engine() as engine:
        found = [
            await engine.run(cs.sequence([put("inline"), get()])),
            await engine.run(cs.sequence([put_later("async"), get()])),
            tenant.get(),
        ]
    assert found == ["inline", "nobody", "nobody"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("scope", ["run", "task"])
async def test_a_later_provider_sees_what_an_earlier_one_set(scope: str) -> None:
    """Providers of scope `run` share one context, and those of scope `task` see it, as do retried and capped calls."""

    @cs.resource(name="login")
    def login() -> Iterator[None]:
        token = tenant.set("acme")
        yield
        tenant.reset(token)

    @cs.resource(name="db", scope=scope)
    async def db(login: None = cs.inject("login")) -> AsyncIterator[str]:
        yield f"db of {tenant.get()}"

    calls: list[str] = []

    @cs.task(retry=1)
    async def use(db: str = cs.inject("db")) -> tuple[str, str]:
        calls.append(tenant.get())
        if len(calls) == 1:
            raise ValueError("again")
        return db, tenant.get()

    target = use().with_constraints(gpu=1)
    value = await cs.arun(target, resources=[login, db], system_resources={"gpu": 1})
    assert value == ("db of acme", "acme")
    assert calls == ["acme", "acme"]


@pytest.mark.virtual_time
async def test_runs_do_not_share_a_context() -> None:
    """What a task of one run sets, no task of another sees, not even of a run inside a task."""

    @cs.task
    def put_and_get(value: str) -> str:
        seen = tenant.get()
        tenant.set(value)
        return seen

    async with Engine() as engine:

        @cs.task
        async def outer() -> list[str]:
            tenant.set("outer")
            return [await engine.run(put_and_get("inner")), tenant.get()]

        found = [await engine.run(put_and_get("first")), *await engine.run(outer()), tenant.get()]
    assert found == ["nobody", "outer", "outer", "nobody"]
