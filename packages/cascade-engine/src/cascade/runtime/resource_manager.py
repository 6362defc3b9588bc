"""Resources at run time: which provider gives what, and when each is opened and released.

What a resource requires is opened before it, and released after it. Providers of scope `run` are opened when the first
call wants them and released at the end of the run, all in one asyncio task, the keeper, which shares the context of the
run's inline tasks. Those of scope `task` are opened and released in the asyncio task of the call that they serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context

from cascade.adapters.spawning import spawn
from cascade.adapters.travelling.providers import Generator, open_provider, release_provider
from cascade.adapters.travelling.worker_resources import WorkerResource
from cascade.runtime.exceptions import DriverResourceError, ResourceCancelledError
from cascade.runtime.sharing.engine_resources import EngineResources
from cascade.runtime.sharing.resource_registry import ResourceRegistry
from cascade.spec.calls.error_text import (
    add_note,
    error_text,
    is_error,
    notes_of,
    put_traceback,
    traceback_of,
)
from cascade.spec.common import GIVEN, INPUTS
from cascade.spec.resource import Resource, Scope, Where

__all__ = ["ResourceRegistry", "ResourceStack", "RunResources", "note_others"]

Announce = Callable[[Resource, BaseException | None, bool], None]
"""Called with each resource that was opened (`True`), or released (`False`, with what the release raised)."""


class ResourceStack:
    """Open resources in the order of opening. They are opened and closed in one asyncio task.

    `values` gets the value of each by its name. `unsettled` counts the atomic ones whose work may be
    undone: they are not released yet, or were with an error.
    """

    def __init__(self, values: dict[str, object], announce: Announce) -> None:
        self.values = values
        self._announce = announce
        self._open: list[tuple[Resource, Generator]] = []
        self.unsettled = 0

    async def open(self, resource: Resource) -> object:
        """Open a resource and return its value. What it requires must be open.

        Raises:
            ResourceYieldError: If it yields nothing.
        """
        injected = {parameter: self.values[name] for parameter, name in resource.requires.items()}
        for parameter, contract in resource.inputs.items():
            injected[parameter] = contract.read(self.values[INPUTS])
        generator, value = await open_provider(resource, injected)
        self._open.append((resource, generator))
        self.values[resource.name] = value
        self.unsettled += resource.atomic
        self._announce(resource, None, True)
        return value

    async def close(self, failure: BaseException | None) -> list[BaseException]:
        """Release all, the last one first; return what the releases raised.

        A `failure` is thrown into each provider, and so is the first error of a release into those after it.
        """
        errors: list[BaseException] = []
        while self._open:
            resource, generator = self._open.pop()
            trace = None if failure is None else traceback_of(failure)
            error = await release_provider(resource, generator, failure)
            if failure is not None:
                put_traceback(failure, trace)  # its way through the provider is no part of it
            self.values.pop(resource.name, None)
            self._announce(resource, error, False)
            if failure is None and error is None:
                self.unsettled -= resource.atomic
            if error is not None:
                add_note(error, f"while releasing resource '{resource.name}'")
                errors.append(error)
                failure = error if failure is None else failure
        return errors


def note_others(error: BaseException, others: Iterable[BaseException]) -> None:
    """Add to an error, as notes, what releases raised after it."""
    for other in others:
        add_note(error, " ".join([f"and then: {error_text(other)}", *notes_of(other)]))


def _is_cancelled() -> bool:
    """Tell whether the current asyncio task was asked to end by a cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class RunResources:
    """The resources of one run: the values of its inputs, and the open resources of scope `run` by name.

    Those of workers, if calls of this process take them, are the engine's.

    `keeper` is the asyncio task that opens and releases them; `lost` is what it was cancelled with while it held them,
    by the task group of a resource say. `fail` is called then, to end the run.
    """

    def __init__(
        self,
        registry: ResourceRegistry,
        engine: EngineResources,
        inputs: Mapping[str, object],
        announce: Announce,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._of_workers: dict[str, WorkerResource] = {}
        self._fail = fail
        self.lost: BaseException | None = None
        self._held: tuple[str, ...] = ()  # the names of what was open when it was lost
        self.values: dict[str, object] = {INPUTS: inputs}
        self._registry = registry
        self._wanted: asyncio.Queue[tuple[Resource, asyncio.Future[object]] | None] | None = None
        self._opening: dict[str, asyncio.Future[object]] = {}
        self.keeper: asyncio.Task[list[BaseException]] | None = None
        self._failure: BaseException | None = None
        self._stack = ResourceStack(self.values, announce)
        self._entering = False
        self._closing = False

    @property
    def is_undone(self) -> bool:
        """Whether what was done with an atomic resource may be undone: it is not released, or was with an error."""
        return self._stack.unsettled > 0

    def are_open(self, names: Iterable[str]) -> bool:
        """Tell whether all of these are open for the whole run."""
        return all(name in self.values for name in names)

    async def provide(self, names: Iterable[str], stack: ResourceStack, context: Context) -> None:
        """Open what a call needs for these names: those of scope `run` for the whole run, others on its own `stack`.

        Raises:
            CascadeError: If a name has no provider, or one can't be opened.
            BaseException: Whatever a provider raises.
        """
        for name in names:
            if name in GIVEN:
                continue
            for resource in self._registry.opening_order(name, "a task"):
                if resource.where is Where.WORKER:
                    if resource.name not in self.values:
                        of_worker = self.of_worker(resource.name, "a task")
                        self.values[resource.name] = await self._engine.value_of(of_worker)
                    stack.values[resource.name] = self.values[resource.name]
                elif resource.scope is Scope.RUN:
                    stack.values[resource.name] = await self._shared(resource, context)
                elif resource.name not in stack.values:
                    await stack.open(resource)

    def take_along(self, names: Iterable[str], values: dict[str, object]) -> tuple[str, ...]:
        """Put what a call in another process takes under these names into `values`: what stands for it there.

        Returns the modules in which these resources are found.

        Raises:
            CascadeError: As `of_worker`.
        """
        modules: dict[str, None] = {}
        for name in names:
            if name not in GIVEN:
                values[name] = self.of_worker(name, "a task")
                needed = self._registry.opening_order(name, "a task")
                modules.update((resource.reference[0], None) for resource in needed)
        return tuple(modules)

    def of_worker(self, name: str, wanted_by: str) -> WorkerResource:
        """Return what stands for a resource in a call that another process makes.

        Raises:
            DriverResourceError: If it can't travel, or something that it needs can't.
            ResourceInputError: If the value of an input that it takes can't be encoded.
            CascadeError: If it is not known, or an input is missing or of another type.
        """
        made = self._of_workers
        if name not in made:
            from cascade.adapters.travelling.resource_keys import (  # noqa: PLC0415 - brings hashing
                worker_resource,
            )

            for resource in self._registry.opening_order(name, wanted_by):
                if resource.where is not Where.WORKER:
                    raise DriverResourceError(
                        wanted_by if resource.name == name else f"resource '{name}'", resource.name
                    )
                inputs = {
                    parameter: each.read(self.values[INPUTS]) for parameter, each in resource.inputs.items()
                }
                needs = {parameter: made[each] for parameter, each in resource.requires.items()}
                made[resource.name] = worker_resource(resource, needs, inputs)
        return made[name]

    async def close(self, failure: BaseException | None) -> list[BaseException]:
        """Release all, at the end of the run; return what the releases raised. A cancellation meanwhile comes last."""
        if self.keeper is None or self._wanted is None:
            return []
        self._failure = failure
        self._closing = True
        self._wanted.put_nowait(None)
        if self._entering:
            self.keeper.cancel()  # nobody waits any more for what is being opened
        cancelled = False
        while not self.keeper.done():
            try:
                await asyncio.wait([self.keeper])
            except asyncio.CancelledError:
                cancelled = True  # a release is never left half done
        errors = self.keeper.result()
        if cancelled:
            errors.append(asyncio.CancelledError())
        return errors

    def loss(self) -> BaseException | None:
        """Return the error for a keeper that was cancelled; used where no resource has raised one of its own."""
        if self.lost is None:
            return None
        loss = ResourceCancelledError(self._held)
        loss.__cause__ = self.lost
        return loss

    def _lose(self, cancelled: BaseException) -> None:
        """Note that the keeper was cancelled, and not by this run, which fails now."""
        if self.lost is None and not self._closing:
            self.lost = cancelled
            self._held = tuple(name for name in self.values if name not in GIVEN)
            self._fail(cancelled)

    async def _shared(self, resource: Resource, context: Context) -> object:
        if resource.name in self.values:
            return self.values[resource.name]
        opening = self._opening.get(resource.name)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception())):
            opening = self._opening[resource.name] = asyncio.get_running_loop().create_future()
            self._want(resource, opening, context)
        return await asyncio.shield(opening)

    def _want(self, resource: Resource, opening: asyncio.Future[object], context: Context) -> None:
        if self._wanted is None:
            self._wanted = asyncio.Queue()
            self.keeper = spawn(self._keep(self._wanted), context)
        self._wanted.put_nowait((resource, opening))

    async def _keep(
        self, wanted: asyncio.Queue[tuple[Resource, asyncio.Future[object]] | None]
    ) -> list[BaseException]:
        """Open what is wanted until told to close; all of it in this one asyncio task."""
        stack = self._stack
        while True:
            try:
                request = await wanted.get()
            except asyncio.CancelledError as cancelled:
                self._lose(cancelled)  # the run closes in order
                continue
            if request is None:
                break
            resource, opening = request
            if self._closing:
                opening.cancel()
                continue
            self._entering = True
            try:
                value = await stack.open(resource)
            except BaseException as error:  # noqa: BLE001 - raised in the call that wants it
                if is_error(error, asyncio.CancelledError) and _is_cancelled():
                    self._lose(error)
                if not opening.done():
                    opening.set_exception(error)
                    opening.exception()  # the caller may be gone
            else:
                if not opening.done():
                    opening.set_result(value)
            finally:
                self._entering = False
        return await stack.close(self._failure)
