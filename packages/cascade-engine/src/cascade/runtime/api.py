"""`run` and `arun`: one target, one engine, closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, TypeVar, Unpack, overload

from cascade.runtime.engine import Engine, OnFailure
from cascade.runtime.exceptions import RunningLoopError
from cascade.runtime.protocols import CacheBackend, Executor, StateBackendFactory
from cascade.spec.errors import SpecError
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Resource

R = TypeVar("R")
K = TypeVar("K")


_NO_STORES = "give a backend; stores that go by a URL are not part of this version"


class RunSettings(TypedDict, total=False):
    """What may be set for one run: see `Engine` and `Engine.run`. `state` makes the run's state backend."""

    params: Mapping[str, object] | None
    resources: Iterable[Resource]
    system_resources: Mapping[str, float] | None
    state: StateBackendFactory | None
    run_id: str | None
    cache: CacheBackend | None
    executor: Executor | None
    on_failure: str


@overload
async def arun(target: LazyResult[R] | Callable[[], LazyResult[R]], **settings: Unpack[RunSettings]) -> R: ...
@overload
async def arun(target: list[LazyResult[R]], **settings: Unpack[RunSettings]) -> list[R]: ...
@overload
async def arun(target: dict[K, LazyResult[R]], **settings: Unpack[RunSettings]) -> dict[K, R]: ...
@overload
async def arun(target: object, **settings: Unpack[RunSettings]) -> Any: ...
async def arun(target: object, **settings: Unpack[RunSettings]) -> Any:
    """Run a target in the event loop that runs already and return its value; as `Engine.run` otherwise.

    The engine is made for this run and closed with it.
    """
    for setting in ("state", "cache"):
        if isinstance(settings.get(setting), str):
            raise SpecError(f"{setting}={settings.get(setting)!r}", _NO_STORES)
    engine = Engine(
        executor=settings.get("executor"),
        state_backend_cls=settings.get("state"),
        cache_backend=settings.get("cache"),
        system_resources=settings.get("system_resources"),
    )
    async with engine:
        for resource in settings.get("resources", ()):
            engine.register(resource)
        return await engine.run(
            target,
            params=settings.get("params"),
            run_id=settings.get("run_id"),
            on_failure=settings.get("on_failure", OnFailure.STOP),
        )


@overload
def run(target: LazyResult[R] | Callable[[], LazyResult[R]], **settings: Unpack[RunSettings]) -> R: ...
@overload
def run(target: list[LazyResult[R]], **settings: Unpack[RunSettings]) -> list[R]: ...
@overload
def run(target: dict[K, LazyResult[R]], **settings: Unpack[RunSettings]) -> dict[K, R]: ...
@overload
def run(target: object, **settings: Unpack[RunSettings]) -> Any: ...
def run(target: object, **settings: Unpack[RunSettings]) -> Any:
    """Run a target in an event loop of its own and return its value; as `arun` otherwise.

    Raises:
        RunningLoopError: If an event loop runs already: use `await cs.arun(target)` there.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(arun(target, **settings))
    raise RunningLoopError
