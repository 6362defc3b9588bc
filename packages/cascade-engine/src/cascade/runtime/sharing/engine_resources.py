"""Resources of workers in the engine's own process, which makes calls too: each is opened once, for all of its runs.

They live as long as the engine, or as the event loop in which they were opened. One asyncio task, the keeper, opens and
releases them all.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TypeAlias

from cascade.adapters.spawning import seen_through, spawn
from cascade.adapters.travelling.providers import Generator, log_release, open_provider, release_provider
from cascade.adapters.travelling.worker_resources import WorkerResource
from cascade.spec.calls.error_text import is_error
from cascade.spec.resource import Resource

_Request: TypeAlias = tuple[WorkerResource, asyncio.Future[object]]
_Opened: TypeAlias = list[tuple[Resource, Generator]]


class EngineResources:
    """The resources of workers that are open in this process, by their keys."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}
        self._wanted: asyncio.Queue[_Request] = asyncio.Queue()
        self._keeper: asyncio.Task[None] | None = None

    async def value_of(self, wanted: WorkerResource) -> object:
        """Return the value of a resource, which is opened if it is not open yet.

        Raises:
            ResourceYieldError: If its provider yields nothing.
            BaseException: Whatever its provider raises. The next call that takes it tries again.
        """
        if self._keeper is None or self._keeper.done():  # that of an event loop that is gone has released all
            self._values, self._wanted = {}, asyncio.Queue()
            self._keeper = spawn(self._keep(self._values, self._wanted), copy_context())
        if wanted.key in self._values:
            return self._values[wanted.key]
        opening: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._wanted.put_nowait((wanted, opening))
        return await opening

    async def close(self) -> None:
        """Release all, the last one first. What a release raises is logged, and does not stop the others."""
        if self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def _keep(self, values: dict[str, object], wanted: asyncio.Queue[_Request]) -> None:
        """Open what is wanted until cancelled, by `close` or at the end of the event loop; then release all."""
        opened: _Opened = []
        try:
            while True:
                await self._take(await wanted.get(), values, opened)
        except asyncio.CancelledError:
            while not wanted.empty():
                wanted.get_nowait()[1].cancel()
            await seen_through(_release(opened))

    async def _take(self, request: _Request, values: dict[str, object], opened: _Opened) -> None:
        resource, opening = request
        if opening.done():  # nobody waits for it any more
            return
        try:
            value = await _value(resource, values, opened)
        except BaseException as error:
            task = asyncio.current_task()
            if is_error(error, asyncio.CancelledError) and task is not None and task.cancelling():
                opening.cancel()
                raise
            if not opening.done():
                opening.set_exception(error)
        else:
            if not opening.done():
                opening.set_result(value)


async def _value(wanted: WorkerResource, values: dict[str, object], opened: _Opened) -> object:
    if wanted.key not in values:
        needed = {parameter: await _value(each, values, opened) for parameter, each in wanted.needs.items()}
        generator, value = await open_provider(wanted.resource, {**wanted.inputs, **needed})
        opened.append((wanted.resource, generator))
        values[wanted.key] = value
    return values[wanted.key]


async def _release(opened: _Opened) -> None:
    while opened:
        resource, generator = opened.pop()
        error = await release_provider(resource, generator)
        if error is not None:
            log_release(resource, error)
        del error  # its traceback may lead here: they would be a cycle
