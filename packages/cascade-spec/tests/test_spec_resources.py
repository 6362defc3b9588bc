"""Claims about the declaration of resources."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.spec import Inject, Scope, SpecError


@cs.resource
def db() -> Iterator[str]:
    yield "db"


@cs.resource(name="cache", scope="task")
async def make_cache(store: str = cs.inject("db"), size: int = 3) -> AsyncIterator[str]:
    yield store


def test_a_resource_is_named_by_its_function_or_by_name() -> None:
    """A resource has its function's name, or the one given, and the scope of the run unless told otherwise."""
    assert (db.name, db.scope, db.is_async) == ("db", Scope.RUN, False)
    assert (make_cache.name, make_cache.scope, make_cache.is_async) == ("cache", Scope.TASK, True)


def test_a_resource_says_what_it_requires() -> None:
    """Parameters with an injected default are the resources that a resource requires."""
    assert make_cache.requires == {"store": "db"}
    assert db.requires == {}


def test_a_provider_is_a_generator_function() -> None:
    """`@cs.resource` on what is no generator function is refused; through `functools.wraps` one is still seen."""

    def plain() -> int:
        return 1

    with pytest.raises(SpecError, match="which is not a generator function; yield the resource once"):
        cs.resource(plain)  # type: ignore[arg-type]

    def provider() -> Iterator[int]:
        yield 1

    @functools.wraps(provider)
    def wrapped() -> Iterator[int]:
        return provider()

    assert cs.resource(wrapped).name == "provider"


def test_every_parameter_of_a_provider_is_filled() -> None:
    """A parameter without a default is refused, with the resource and the parameter; `*args` need nothing."""

    def provider(url: str) -> Iterator[int]:
        yield 1

    def open_one(*args: Any, **kwargs: Any) -> Iterator[int]:
        yield 1

    with pytest.raises(SpecError, match="resource 'provider' has a parameter 'url' that nothing fills"):
        cs.resource(provider)
    assert cs.resource(open_one).requires == {}


def test_an_unknown_scope_is_refused() -> None:
    """A scope that does not exist is refused, and those that do are listed."""

    def provider() -> Iterator[int]:
        yield 1

    with pytest.raises(SpecError, match="unknown resource scope 'global'; use one of 'run', 'task'"):
        cs.resource(scope="global")(provider)


def test_a_resource_is_injected_by_name_or_by_itself() -> None:
    """`cs.inject` takes a name or the resource, and refuses anything else."""
    assert cs.inject("db") == cs.inject(db) == Inject("db")
    with pytest.raises(SpecError, match=r"cs\.inject\(3\); give the name"):
        cs.inject(3)  # type: ignore[arg-type]


def test_a_task_knows_its_injected_defaults() -> None:
    """A task gives the resource for each parameter whose default is injected."""

    @cs.task
    def query(sql: str, conn: object = cs.inject("db")) -> None: ...

    assert query.injected == {"conn": "db"}
