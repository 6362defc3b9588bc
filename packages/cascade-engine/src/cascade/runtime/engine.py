"""The engine: configuration and shared capacity. What belongs to one run lives in that run."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import copy_context
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.state.memory import InMemoryStateBackend
from cascade.graph.model import Node
from cascade.runtime.bus import MessageBus
from cascade.runtime.caching import SharedCache
from cascade.runtime.capacity import CONCURRENCY, Amount, Capacity, Name, held
from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted, TaskSkipped
from cascade.runtime.exceptions import BlockedLoopWarning, EngineClosedError, EngineLoopError
from cascade.runtime.protocols import CacheBackend, Executor, Solver, StateBackendFactory
from cascade.runtime.resource_manager import ResourceRegistry
from cascade.runtime.run import Resume, Run, RunOptions
from cascade.runtime.spawning import spawn
from cascade.runtime.strategies import GraphReuse, ReuseStats
from cascade.spec.common import GIVEN
from cascade.spec.constraint import exact_amount
from cascade.spec.errors import PolicyError, SpecError
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies import Mode
from cascade.spec.resource import Resource
from cascade.spec.task import Task
from cascade.spec.workflow import WorkflowSpec, collect

BLOCKED_SECONDS = 0.1
"""A task that holds the event loop for so long while others wait is told of at its second offence."""


class OnFailure(StrEnum):
    """What a run does at the first failure: stop, or finish what does not depend on it."""

    STOP = "stop"
    FINISH = "finish"


class Engine:
    """Runs targets in the event loop it is called in. Many runs at once don't see each other.

    `system_resources` are the amounts that constraints share, `max_concurrency` bounds the calls that run at one
    time, `preview` makes the text that finished tasks show of their results (by default they show nothing).
    `async with Engine(...)` closes what the engine opened: its threads, its processes, its cache.
    """

    def __init__(
        self,
        *,
        solver: Solver | None = None,
        executor: Executor | None = None,
        bus: MessageBus | None = None,
        state_backend_cls: StateBackendFactory | None = None,
        cache_backend: CacheBackend | None = None,
        system_resources: Mapping[str, float] | None = None,
        max_concurrency: int | None = None,
        preview: Callable[[object], str] | None = None,
    ) -> None:
        _check_backends(state_backend_cls, cache_backend)
        self.bus = MessageBus() if bus is None else bus
        self.executor: Executor = LocalExecutor() if executor is None else executor
        self.state_backend_cls: StateBackendFactory = state_backend_cls or InMemoryStateBackend
        self.preview = preview
        self.reuse = GraphReuse(self, NativeSolver() if solver is None else solver)
        self.registry = ResourceRegistry()
        self.capacity = Capacity(_totals(system_resources or {}, max_concurrency))
        self.cache = SharedCache(InMemoryCacheBackend() if cache_backend is None else cache_backend)
        self._owned_executor = self.executor if executor is None else None
        self._owned_cache = self.cache.backend if cache_backend is None else None
        self._local = self.executor if type(self.executor) is LocalExecutor else None
        self._admission: Callable[[Node], AbstractAsyncContextManager[object]] | None = getattr(
            self.executor, "admission", None
        )
        # Only the built-in executor may be bypassed: one that builds on it sees every call.
        self._calls_inline = type(self.executor) is LocalExecutor
        self._offences: WeakKeyDictionary[Task[Any], int] = WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drivers: set[asyncio.Task[None]] = set()
        self._beginning = 0  # runs that make their first calls and have no driver yet
        self.turn_ends = 0.0  # when runs that follow each other without a driver owe the event loop its turn
        self._lock = threading.Lock()
        self._closed = False

    def register(self, resource: Resource) -> None:
        """Make a resource known under its name.

        Raises:
            SpecError: If it is no resource.
        """
        self.override_resource_provider(getattr(resource, "name", ""), resource)

    def get_resource_provider(self, name: str) -> Resource:
        """Return the resource that is registered under a name.

        Raises:
            ResourceNotFoundError: If there is none.
        """
        return self.registry.provider(name, "the caller")

    def override_resource_provider(self, name: str, resource: Resource) -> None:
        """Let another resource stand in under a name, from the next run on.

        Raises:
            SpecError: If it is no resource.
        """
        if name in GIVEN:
            raise SpecError(
                f"a resource is named {name!r}", "give it another name: the engine fills this one itself"
            )
        if not isinstance(resource, Resource):
            raise SpecError(
                f"{resource!r} is registered as a resource", "put @cs.resource on a generator function"
            )
        self.registry.register(resource, name)

    async def run(
        self,
        target: object,
        *,
        params: Mapping[str, object] | None = None,
        run_id: str | None = None,
        on_failure: str | OnFailure = OnFailure.STOP,
        spec: WorkflowSpec | None = None,
        resume: str | Resume | None = None,
        restart: bool = False,
    ) -> Any:
        """Run a lazy result, a list or dict of them, or a workflow function that returns one; return its value.

        `params` are the values of the inputs by name, `spec` the inputs that the workflow declares besides those in
        its first structure. With a durable state a `run_id` that is known goes on where it was: as exactly what it
        began as, with `resume="compatible"` as far as its tasks and inputs have not changed, with `restart=True` not at
        all but anew.

        Raises:
            CascadeError: If the target can't be run; nothing has begun then.
            DependencyMissingError: If the target itself was skipped.
            ExceptionGroup: With `on_failure="finish"`, all that failed.
            BaseException: What a task raised, with notes that say which one and where.
        """
        if self._closed:
            raise EngineClosedError
        if callable(target) and not isinstance(target, Task):
            target, spec = collect(target)
        _check_identity(run_id, resume, restart)
        options = RunOptions(
            dict(params or {}),
            run_id,
            _parse(OnFailure, "on_failure", on_failure) is OnFailure.FINISH,
            spec,
            None if resume is None else _parse(Resume, "resume", resume),
            restart,
            held.get(),
            asyncio.current_task(),
        )
        context = copy_context()
        run = Run(self, options, context)
        self._enter_loop()
        turn = self.turn_ends
        try:
            ended = context.run(run.begin, target)
            driver = None if ended else spawn(run.drive(target), context)
            if driver is not None:
                self._drivers.add(driver)
        finally:
            self._beginning -= 1
        if driver is None:
            # Many short runs owe the event loop its turns as one long run does; this one may have begun another turn.
            if self.turn_ends != turn or time.monotonic() > turn:
                await asyncio.sleep(0)
            return run.value
        try:
            cancelled = await _until_done(driver)
        finally:
            self._drivers.discard(driver)
        if run.error is not None:
            error, run.error = run.error, None
            raise error
        if cancelled:
            raise asyncio.CancelledError
        return run.value

    def stats(self) -> ReuseStats:
        """Return how often structures were built, met again and forgotten."""
        return self.reuse.stats

    def runs_plainly(self) -> bool:
        """Tell whether inline calls may be made directly: executor and state are built in, and nothing bounds them."""
        return (
            type(self.executor) is LocalExecutor
            and self.state_backend_cls is InMemoryStateBackend
            and CONCURRENCY not in self.capacity.totals
        )

    def is_heard(self) -> bool:
        """Tell whether somebody listens to what becomes of each call."""
        hears = self.bus.hears
        return hears(TaskExecutionStarted) or hears(TaskExecutionFinished) or hears(TaskSkipped)

    def mode_of(self, lazy: LazyResult[Any]) -> Mode | None:
        """Return where a call runs; `None` on the event loop itself, or where only the executor knows."""
        return None if self._local is None else self._local.mode_of(lazy.task, lazy.policies.mode)

    @property
    def needs_references(self) -> bool:
        """Whether every plain function goes to another process, and so has to be found there."""
        return self._local is not None and self._local.default_mode is Mode.PROCESS

    def is_inline(self, lazy: LazyResult[Any]) -> bool:
        """Tell whether a call runs in the loop's own thread, at once, and may be made without the executor."""
        return self._calls_inline and self.mode_of(lazy) is Mode.INLINE

    def runs_on_loop(self, lazy: LazyResult[Any]) -> bool:
        """Tell whether a call runs inline or is a coroutine, and may be made without the executor."""
        return self._calls_inline and self.mode_of(lazy) in (None, Mode.INLINE)

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait for the worker that a call needs, where the executor tells of that apart from the call."""
        return nullcontext() if self._admission is None else self._admission(node)

    def watch_turn(self, task: Task[Any], seconds: float, own: Iterable[asyncio.Task[Any]]) -> None:
        """Warn, once per task and at its second offence, if it held the loop for long while others waited."""
        if seconds < BLOCKED_SECONDS or asyncio.all_tasks() <= set(own):
            return
        self._offences[task] = self._offences.get(task, 0) + 1
        if self._offences[task] == 2:
            warnings.warn(
                f"task '{task.name}' held the event loop for {seconds:.2f} s while others waited; "
                f'write @cs.task(mode="thread") if it blocks, mode="process" if it computes',
                BlockedLoopWarning,
                stacklevel=2,
            )

    async def close(self) -> None:
        """Cancel the runs under way, wait for them, and close what the engine opened."""
        self._closed = True
        for driver in self._drivers:
            driver.cancel()
        if self._drivers:
            await asyncio.wait(self._drivers)
        if isinstance(self._owned_executor, LocalExecutor):
            await self._owned_executor.close()
        if self._owned_cache is not None:
            await self._owned_cache.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if (self._drivers or self._beginning) and self._loop is not loop:
                raise EngineLoopError
            self._loop = loop
            self._beginning += 1


async def _until_done(driver: asyncio.Task[None]) -> bool:
    """Wait for a run to end; being cancelled cancels the run, and it still ends in order. Tell whether it was."""
    caller = asyncio.current_task()
    assert caller is not None
    before = caller.cancelling()
    try:
        await driver  # a cancellation of the caller goes on to the driver, which ends without an error
    except asyncio.CancelledError:
        return True  # of one that is cancelled before its first turn, and never begins to run
    return caller.cancelling() > before


def _check_identity(run_id: object, resume: object, restart: bool) -> None:
    if run_id is not None and not (isinstance(run_id, str) and run_id):
        raise SpecError(f"run_id={run_id!r}", "give a text that is not empty, or none for an id of its own")
    if resume is not None and restart:
        raise SpecError(f"resume={resume!r} and restart=True", "give one of them: to go on, or to begin anew")
    if resume is not None and run_id is None:
        raise SpecError(f"resume={resume!r} without a run_id", "give the run_id of the run that is to go on")


def _check_backends(state: object, cache: object) -> None:
    forms = "a URL as text (sqlite:///file.db, redis://host:6379/0) in cs.run, or a backend"
    if state is not None and not callable(state):
        raise SpecError(f"a state of type {type(state).__name__}", f"give {forms} that is made with run_id=")
    if cache is not None and not (hasattr(cache, "get") and hasattr(cache, "put")):
        raise SpecError(f"a cache of type {type(cache).__name__}", f"give {forms}")


Word = TypeVar("Word", bound=StrEnum)


def _parse(words: type[Word], argument: str, given: str) -> Word:
    try:
        return words(given)
    except ValueError:
        known = ", ".join(repr(each.value) for each in words)
        raise PolicyError(f"unknown {argument} {given!r}", f"use one of {known}") from None


def _totals(system_resources: Mapping[str, float], max_concurrency: int | None) -> dict[Name, Amount]:
    totals: dict[Name, Amount] = {
        name: exact_amount(name, amount) for name, amount in system_resources.items()
    }
    if max_concurrency is not None:
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise PolicyError(f"max_concurrency={max_concurrency!r}", "give a whole number, 1 or more")
        totals[CONCURRENCY] = max_concurrency
    return totals
