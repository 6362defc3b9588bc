"""Processes: calls in other interpreters on this machine. Workers are started when they are needed, and kept."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from cascade.adapters.executors.places import Places
from cascade.adapters.executors.waiting import Outcome, ended
from cascade.adapters.executors.workers import Worker
from cascade.spec.task import Task


class _Admitted:
    """A call that has a worker, which knows its task."""

    __slots__ = ("used", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.used = False


class ProcessCalls:
    """Makes calls in up to `size` processes, by default one per core. May serve several event loops at once."""

    def __init__(self, size: int | None = None) -> None:
        size = size or os.cpu_count() or 1
        self._places = Places(size)
        self._idle: list[Worker] = []
        # A thread for each worker: it encodes, waits and decodes, while the event loop goes on.
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="cascade-process")
        self._admitted: ContextVar[_Admitted | None] = ContextVar("cascade_process", default=None)
        # Without `close` the workers see that we are gone; this spares them a warning about a process left behind.
        self._finalizer = weakref.finalize(self, _kill_all, self._idle)

    @asynccontextmanager
    async def admission(self, task: Task[Any]) -> AsyncIterator[_Admitted]:
        """Wait for a worker that has started and has imported the task; the next `call` in this context has it."""
        place = await self._places.take()
        try:
            worker = self._idle.pop() if self._idle else Worker()
            admitted = _Admitted(worker)
            token = self._admitted.set(admitted)
            try:
                if not worker.has_loaded(task):
                    await self._converse(worker, worker.load, task)
                yield admitted
            finally:
                self._admitted.reset(token)
                if worker.lives:
                    self._idle.append(worker)
        finally:
            self._places.give_back(place)

    async def call(self, task: Task[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call in a worker; when cancelled, kill the worker.

        Raises:
            BoundaryError: If an argument or the result can't be sent.
            RemoteError: If the task raises what can't be sent.
            WorkerDiedError: If the worker ends without an answer.
            WorkerLoadError: If the worker can't find the task.
        """
        admitted = self._admitted.get()
        if admitted is None or admitted.used:
            async with self.admission(task) as admitted:
                return await self._call(admitted, task, args, kwargs)
        return await self._call(admitted, task, args, kwargs)

    async def _call(
        self, admitted: _Admitted, task: Task[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        admitted.used = True
        return await self._converse(admitted.worker, admitted.worker.call, task, args, kwargs)

    async def _converse(self, worker: Worker, request: Callable[..., Outcome], *args: Any) -> Any:
        return await ended(self._threads.submit(request, *args), worker.kill)

    async def close(self) -> None:
        """End the workers, all calls of which have ended."""
        self._finalizer.detach()
        idle = [*self._idle]
        self._idle.clear()
        await asyncio.gather(*(asyncio.to_thread(worker.end) for worker in idle))
        self._threads.shutdown()


def _kill_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.kill()
        worker.end()
