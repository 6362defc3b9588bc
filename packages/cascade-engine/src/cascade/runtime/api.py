"""`run` and `arun`: one target, one engine, closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, Unpack, overload

from cascade.adapters.executors.worker_processes.main_guard import check_not_loading
from cascade.runtime.engine import Engine
from cascade.runtime.exceptions import RunningLoopError
from cascade.runtime.settings import (
    ENGINE_RUN_SETTINGS,
    ENGINE_SETTINGS,
    RUN_SETTINGS,
    RunSettings,
    check_known,
    documented,
    part_of,
)
from cascade.spec.calls.blocks import async_block
from cascade.spec.errors import SpecError
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Resource
from cascade.spec.routing import Router

R = TypeVar("R")
K = TypeVar("K")
Lazy: TypeAlias = LazyResult[R] | Router[R]


@overload
async def arun(
    target: LazyResult[R] | Router[R] | Callable[[], LazyResult[R] | Router[R]],
    **settings: Unpack[RunSettings],
) -> R: ...
@overload
async def arun(target: list[LazyResult[R]], **settings: Unpack[RunSettings]) -> list[R]: ...
@overload
async def arun(target: dict[K, LazyResult[R]], **settings: Unpack[RunSettings]) -> dict[K, R]: ...
@overload
async def arun(target: object, **settings: Unpack[RunSettings]) -> Any: ...
@documented(RUN_SETTINGS)
async def arun(target: object, **settings: Unpack[RunSettings]) -> Any:
    """Run a target in the event loop that runs already and return its value; as `Engine.run` otherwise.

    The engine is made for this run and closed with it.

    Raises:
        UnknownSettingError: If a keyword is no setting; it names the nearest one.
    """
    check_known("cs.arun", settings, RUN_SETTINGS)
    async with engine_for(settings) as engine:
        return await engine.run(target, **run_options(settings))


@async_block
async def engine_for(settings: RunSettings) -> AsyncIterator[Engine]:
    """Open an engine for one run with these settings; what it opens is closed with it.

    Raises:
        SpecError: If a setting can't be meant, or settings don't go together.
        StoreError: If the store of the cache can't be opened.
        UnguardedMainError: If a worker process loads the script that this is called in.
    """
    check_not_loading()
    resources = _checked_resources(settings.get("resources"))
    async with Engine(**part_of(settings, ENGINE_SETTINGS)) as engine:
        for resource in resources:
            engine.register(resource)
        yield engine


def run_options(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that `Engine.run` takes."""
    return part_of(settings, ENGINE_RUN_SETTINGS)


def _checked_resources(given: object) -> tuple[Resource, ...]:
    if given is None:
        return ()
    if isinstance(given, Resource):
        raise SpecError(
            f"resources= got the resource '{given.name}' itself", f"give a list: resources=[{given.name}]"
        )
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise SpecError(f"resources= got {type(given).__name__}", "give a list of resources: resources=[db]")
    return tuple(given)


@overload
def run(
    target: LazyResult[R] | Router[R] | Callable[[], LazyResult[R] | Router[R]],
    **settings: Unpack[RunSettings],
) -> R: ...
@overload
def run(target: list[LazyResult[R]], **settings: Unpack[RunSettings]) -> list[R]: ...
@overload
def run(target: dict[K, LazyResult[R]], **settings: Unpack[RunSettings]) -> dict[K, R]: ...
@overload
def run(target: object, **settings: Unpack[RunSettings]) -> Any: ...
@documented(RUN_SETTINGS)
def run(target: object, **settings: Unpack[RunSettings]) -> Any:
    """Run a target in an event loop of its own and return its value; as `arun` otherwise.

    Raises:
        UnknownSettingError: If a keyword is no setting; it names the nearest one.
        RunningLoopError: If an event loop runs already: use `await cs.arun(target)` there.
    """
    check_known("cs.run", settings, RUN_SETTINGS)
    if _loop_is_running():
        raise RunningLoopError
    outcome = _Outcome()
    asyncio.run(outcome.of(arun(target, **settings)))
    return outcome.take()


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Outcome:
    """What a coroutine gave or raised, kept beside its task.

    `asyncio.run` asks for the `repr` of its task, and so for that of what the task ended with: it may be long to make,
    or raise.
    """

    def __init__(self) -> None:
        self._value: Any = None
        self._error: BaseException | None = None

    async def of(self, work: Coroutine[Any, Any, Any]) -> None:
        """Await `work`. A cancellation is left to `asyncio.run`, which knows whether that was Ctrl-C."""
        try:
            self._value = await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised outside of the loop
            self._error = error

    def take(self) -> Any:
        """Return the value, or raise the error; keep neither."""
        value, error = self._value, self._error
        self._value = self._error = None
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # its traceback has this frame: they would be a cycle
