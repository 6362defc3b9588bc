"""The engine: configuration and shared capacity. What belongs to one run lives in that run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, Unpack

from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.spawning import ended, seen_through, spawn
from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.adapters.travelling.carried_variables import checked_variables
from cascade.runtime.bus import MessageBus
from cascade.runtime.exceptions import EngineClosedError, EngineLoopError
from cascade.runtime.frames.reporting.tracing import Tracing, new_engines
from cascade.runtime.options import RunOptions, checked_options, checked_seconds
from cascade.runtime.progress.displays import ShownRuns
from cascade.runtime.protocols import Executor
from cascade.runtime.recorded_runs.recovered_run import Driven, RecoveredRun
from cascade.runtime.resource_manager import ResourceRegistry
from cascade.runtime.running.run import Run
from cascade.runtime.running.services import EngineParts
from cascade.runtime.settings import (
    ENGINE_RUN_SETTINGS,
    ENGINE_SETTINGS,
    RECOVERY_SETTINGS,
    EngineRunSettings,
    EngineSettings,
    RecoverySettings,
    check_known,
    documented,
    part_of,
)
from cascade.runtime.sharing.blocked_loop import BlockedLoopWatch
from cascade.runtime.sharing.capacity import CONCURRENCY, Amount, Capacity, Name
from cascade.runtime.sharing.engine_resources import EngineResources
from cascade.runtime.sharing.placement import Placement
from cascade.runtime.sharing.single_flight import SharedCache
from cascade.runtime.stores import SHARED_OPTIONS, cache_maker, checked_part, kept_open, state_of
from cascade.runtime.strategies import GraphReuse, ReuseStats
from cascade.runtime.timeline.timeline_of_runs import Timeline
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.common import GIVEN
from cascade.spec.constraint import exact_amount
from cascade.spec.errors import PolicyError, SpecError
from cascade.spec.inputs.workflow import WorkflowSpec
from cascade.spec.resource import Resource
from cascade.spec.targets import made_by
from cascade.spec.task import Task, TaskReference


class Engine:
    """Runs targets in the event loop it is called in. Many runs at once don't see each other.

    What it takes is in the table of settings, `cascade.runtime.settings`; the URLs of stores and the words for
    executors stand for what the engine opens. `async with Engine(...)` closes it: threads, processes, cache and store.
    """

    @documented(ENGINE_SETTINGS)
    def __init__(self, **settings: Unpack[EngineSettings]) -> None:
        """Wire an engine.

        Raises:
            UnknownSettingError: If a keyword is no setting; it names the nearest one.
            SpecError: If a setting can't be meant, or settings don't go together.
            StoreError: If the file of the cache can't be opened.
        """
        check_known("Engine(...)", settings, ENGINE_SETTINGS)
        bus, solver = settings.get("bus"), settings.get("solver")
        state = state_of(settings)
        make_cache = cache_maker(settings)
        preview = _checked_preview(settings.get("preview"))
        timeline = _checked_timeline(settings.get("timeline"))
        self.bus = MessageBus() if bus is None else checked_part("bus", bus, "publish", "hears")
        self._placement = Placement(settings.get("executor"), settings.get("executors"))
        solver = NativeSolver() if solver is None else checked_part("solver", solver, "resolve")
        self._reuse = GraphReuse(self._placement, solver)
        self._registry = ResourceRegistry()
        carried = checked_variables(settings.get("carry"))
        totals = _totals(settings.get("system_resources"), settings.get("max_concurrency"))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drivers: dict[asyncio.Task[None], Run] = {}
        self._beginning = 0  # runs that make their first calls and have no driver yet
        self._slice_ends = (
            0.0  # when runs that follow each other without a driver owe the event loop its turn
        )
        self._lock = threading.Lock()
        self._closed = False
        # What makes spans of its runs, if somebody has instrumented it.
        self.tracing: Tracing | None = new_engines.tracing
        # Opened last, when nothing else can be wrong any more.
        cache, self._owns_cache = make_cache()
        self._open_state = kept_open(settings, state)
        self._stores = part_of(settings, ("state", *SHARED_OPTIONS))
        self._parts = EngineParts(
            bus=self.bus,
            state_factory=state or InMemoryStateBackend,
            timeline=timeline,
            preview=preview,
            placement=self._placement,
            reuse=self._reuse,
            registry=self._registry,
            resources=EngineResources(),
            carried=carried,
            capacity=Capacity(totals),
            cache=SharedCache(cache),
            watch=BlockedLoopWatch(),
        )

    @property
    def executor(self) -> Executor:
        """What makes the calls of tasks that name no executor of their own."""
        return self._placement.default

    def register(self, resource: Resource) -> None:
        """Make a resource known under its name.

        Raises:
            SpecError: If it is no resource, or another one of its name is known.
        """
        name = getattr(resource, "name", "")
        known = self._registry.find(name)
        if known is not None and known is not resource:
            raise SpecError(
                f"two resources are named '{name}'",
                "give one of them another name, as in @cs.resource(name=...), or let it stand in for the other with "
                "engine.override_resource_provider(...)",
            )
        self.override_resource_provider(name, resource)

    def get_resource_provider(self, name: str) -> Resource:
        """Return the resource that is registered under a name.

        Raises:
            ResourceNotFoundError: If there is none.
        """
        return self._registry.provider(name, "the caller")

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
        self._registry.register(resource, name)

    @documented(ENGINE_RUN_SETTINGS)
    async def run(
        self,
        target: object,
        *,
        spec: WorkflowSpec | None = None,
        timeline: Timeline | None = None,
        **settings: Unpack[EngineRunSettings],
    ) -> Any:
        """Run a lazy result, a list or dict of them, or a workflow function that returns one; return its value.

        `spec` are the inputs that the workflow declares besides those in its first structure; `timeline` keeps what
        this run does, in place of the engine's. With a durable state a
        run whose `run_id` is known goes on where it was.

        Raises:
            CascadeError: If the target can't be run; nothing has begun then.
            MissingWheelError: If progress is to be shown, and nothing is installed that shows it.
            DependencyMissingError: If the target itself was skipped.
            ExceptionGroup: With `on_failure="finish"`, all that failed.
            BaseException: What a task raised, with notes that say which one and where.
        """
        if settings:
            check_known("engine.run(...)", settings, ENGINE_RUN_SETTINGS)
        if self._closed:
            raise EngineClosedError
        workflow: object = target
        if callable(target) and not isinstance(target, (Task, StandsForValue)):
            target, spec = made_by(target)
        options = None  # most short runs are given nothing but a target
        shown: ShownRuns | None = None
        if settings or spec is not None or timeline is not None:
            options = checked_options(settings, spec, _checked_timeline(timeline))
            if settings.get("keep_inputs"):
                options = replace(options, workflow=_reference_of(workflow))
            if options.display is not None:
                shown = ShownRuns(options.timeline or self._parts.timeline, options.display)
                options = replace(options, timeline=shown)
        if self.tracing is not None and not self.tracing.is_on:
            self.tracing = None
        run = Run(self._parts, options, self.tracing)
        del options  # as below
        cancelled = None
        try:
            cancelled = await self._complete(run, target)
            return run.take_outcome(cancelled)
        finally:
            if shown is not None:
                shown.end()
            del run, cancelled  # the traceback of an error has this frame: they would be a cycle

    @documented(RECOVERY_SETTINGS)
    async def recover(self, **settings: Unpack[RecoverySettings]) -> list[RecoveredRun]:
        """Go on with each run in the store that was interrupted and has kept its inputs; return what became of them.

        A run was interrupted if it has not ended and no process drives it. It keeps its inputs with `keep_inputs=True`.
        Its workflow is found by its reference, in a module that is imported already. A run that fails stops no other.
        Each run is driven by one process at a time: so many processes may do this at once.

        With `poll` this goes on until it is cancelled. Runs under way are then left as far as they have come, so that
        another process can go on with them at once.

        Raises:
            UnknownSettingError: If a keyword is no setting; it names the nearest one.
            SpecError: If a setting can't be meant, or the engine has no `state` by its URL.
            StoreError: If the store can't be looked at. With `poll` and `told` the latter is called with it.
            EngineClosedError: If the engine is closed.
        """
        # Brings hashing, encoding and catalogs: for recorded runs alone.
        from cascade.runtime.recovery.recoverer import recoverer  # noqa: PLC0415

        check_known("engine.recover(...)", settings, RECOVERY_SETTINGS)
        poll = checked_seconds("poll", settings.get("poll"))
        found = recoverer(self._stores, self._parts, settings, self._go_on, self._check_open)
        return await (found.once() if poll is None else found.for_ever(poll))

    async def _go_on(self, target: object, options: RunOptions) -> Driven:
        """Go on with a run that was interrupted; tell how that went, unless the caller is cancelled.

        Raises:
            EngineClosedError: If the engine is closed.
        """
        self._check_open()
        tracing = None if self.tracing is None or not self.tracing.is_on else self.tracing
        run = Run(self._parts, replace(options, caller=asyncio.current_task()), tracing)
        recorder, error = run.recorder, None
        assert recorder is not None  # the state is that of a URL
        cancelled = None
        try:
            cancelled = await self._complete(run, target)
            run.take_outcome(cancelled)
        except BaseException as problem:
            if cancelled is not None:
                raise
            error = problem
        try:
            return Driven(recorder.resumption.record is not None, recorder.ended, error)
        finally:
            del run, cancelled, error  # as above

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError

    async def _complete(self, run: Run, target: object) -> asyncio.CancelledError | None:
        """Let a run come to its end; return what the caller was cancelled with meanwhile."""
        self._enter_loop()
        slice_ends = self._slice_ends
        try:
            ended = run.context.run(run.begin, target, slice_ends)
            if run.slice_ends:
                self._slice_ends = run.slice_ends
            driver = None if ended else spawn(run.drive(target), run.context)
            if driver is not None:
                self._drivers[driver] = run
        finally:
            self._beginning -= 1
        if driver is not None:
            return await self._until_done(driver, run)
        # Many short runs owe the event loop its turns as one long run does; this one may have begun another slice.
        if self._slice_ends != slice_ends or time.monotonic() > slice_ends:
            await asyncio.sleep(0)
        return None

    def stats(self) -> ReuseStats:
        """Return how often structures were built, met again and forgotten."""
        return self._reuse.stats

    def under_way(self) -> list[str]:
        """Return the names of the calls that are under way and are waited for."""
        return [name for run in self._drivers.values() for name in run.under_way()]

    async def close(self) -> None:
        """Cancel the runs under way, wait for them, and close what the engine opened."""
        self._closed = True
        for driver, run in self._drivers.items():
            run.leave(closing=True)
            _cancel(driver, run, asyncio.CancelledError("the engine is closed"))
        await seen_through(self._close())

    async def _close(self) -> None:
        if self._drivers:
            await asyncio.wait([*self._drivers])
        await self._parts.resources.close()
        await self._placement.close()
        if self._owns_cache:
            await self._parts.cache.backend.close()
        if self._open_state is not None:
            await self._open_state.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _until_done(self, driver: asyncio.Task[None], run: Run) -> asyncio.CancelledError | None:
        """Wait for a run to end; being cancelled cancels the run, and it still ends in order. Return that."""
        try:
            cancelled = await ended(driver, lambda request: _cancel(driver, run, request))
        finally:
            del self._drivers[driver]
        try:
            # Who cancels every asyncio task may have cancelled the run before its first turn.
            return asyncio.CancelledError() if cancelled is None and driver.cancelled() else cancelled
        finally:
            del cancelled  # the traceback of an error has this frame: they would be a cycle

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if (self._drivers or self._beginning) and self._loop is not loop:
                raise EngineLoopError
            self._loop = loop
            self._beginning += 1


def _cancel(driver: asyncio.Task[None], run: Run, request: asyncio.CancelledError) -> None:
    """Let a run end in order with a cancellation."""
    run.leave(closing=False)
    if run.is_driven:
        driver.cancel(*request.args)
    else:
        run.interrupt(request)  # a task that is cancelled before its first turn never begins to run


def _reference_of(workflow: object) -> TaskReference:
    # Brings what reads and writes records: for recorded runs alone.
    from cascade.runtime.recording.inputs_to_keep import workflow_reference  # noqa: PLC0415

    return workflow_reference(workflow)


def _checked_preview(preview: Callable[[object], str] | None) -> Callable[[object], str] | None:
    if preview is not None and not callable(preview):
        raise SpecError(f"preview= got {type(preview).__name__}", "give a function of a result: preview=repr")
    return preview


def _checked_timeline(timeline: Timeline | None) -> Timeline | None:
    if timeline is not None and not isinstance(timeline, Timeline):
        raise SpecError(f"timeline={timeline!r}", "give a Timeline: timeline=cs.Timeline()")
    return timeline


def _totals(system_resources: Mapping[str, float] | None, max_concurrency: int | None) -> dict[Name, Amount]:
    if system_resources is not None and not isinstance(system_resources, Mapping):
        raise SpecError(f"system_resources={system_resources!r}", 'give amounts by name: {"gpu": 2}')
    totals: dict[Name, Amount] = {
        name: exact_amount(name, amount) for name, amount in (system_resources or {}).items()
    }
    if max_concurrency is not None:
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise PolicyError(f"max_concurrency={max_concurrency!r}", "give a whole number, 1 or more")
        totals[CONCURRENCY] = max_concurrency
    return totals
