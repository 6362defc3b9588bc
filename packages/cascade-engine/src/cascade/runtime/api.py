"""`run` and `arun`: one target, one engine, closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypedDict, TypeVar, Unpack, overload

from cascade.adapters import urls
from cascade.adapters.executors.guard import check_not_loading
from cascade.runtime.bus import MessageBus
from cascade.runtime.engine import Engine
from cascade.runtime.exceptions import RunningLoopError
from cascade.runtime.protocols import CacheBackend, Executor, StateBackendFactory
from cascade.spec.blocks import async_block
from cascade.spec.errors import SpecError
from cascade.spec.lazy_types import LazyResult
from cascade.spec.resource import Resource

R = TypeVar("R")
K = TypeVar("K")


class RunSettings(TypedDict, total=False):
    """What may be set for one run: see `Engine` and `Engine.run`.

    `state` and `cache` are backends (`state` what makes one), or the URL of a store: `sqlite:///runs.db`,
    `redis://localhost`. `durability` and `keep_rounds` are for a state that is given by its URL.
    """

    params: Mapping[str, object] | None
    resources: Iterable[Resource]
    system_resources: Mapping[str, float] | None
    state: StateBackendFactory | str | None
    durability: str
    keep_rounds: int
    run_id: str | None
    resume: str | None
    restart: bool
    cache: CacheBackend | str | None
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
    async with engine_for(settings) as engine:
        return await engine.run(target, **run_options(settings))


@async_block
async def engine_for(settings: RunSettings, bus: MessageBus | None = None) -> AsyncIterator[Engine]:
    """Open an engine for one run with these settings, and close what it is given by URL with it.

    Raises:
        SpecError: If a URL is none, or settings don't go together.
        StoreError: If the store of the cache can't be opened.
        UnguardedMainError: If a worker process loads the script that this is called in.
    """
    check_not_loading()
    async with AsyncExitStack() as closing:
        cache = settings.get("cache")
        if isinstance(cache, str):
            cache = urls.cache_from_url(cache)
            closing.push_async_callback(cache.close)
        engine = Engine(
            bus=bus,
            executor=settings.get("executor"),
            state_backend_cls=state_of(settings),
            cache_backend=cache,
            system_resources=settings.get("system_resources"),
        )
        for resource in settings.get("resources", ()):
            engine.register(resource)
        yield await closing.enter_async_context(engine)


def run_options(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that `Engine.run` takes."""
    names = ("params", "run_id", "on_failure", "resume", "restart")
    return {name: value for name, value in settings.items() if name in names}


def state_of(settings: RunSettings) -> StateBackendFactory | None:
    """Return what makes the state backend of a run with these settings.

    Raises:
        SpecError: If the state's URL is none, or is given what only a state of a URL takes.
    """
    state = settings.get("state")
    options: dict[str, Any] = {
        name: settings[name] for name in ("durability", "keep_rounds") if name in settings
    }
    if isinstance(state, str):
        return urls.state_from_url(state, **options)
    if options:
        raise SpecError(
            f"{' and '.join(options)} without the URL of a state",
            "give them to the backend, or state= as a URL",
        )
    return state


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
