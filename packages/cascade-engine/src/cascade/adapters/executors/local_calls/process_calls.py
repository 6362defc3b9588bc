"""Calls in other processes on this machine. Workers are started when they are needed, and kept."""

from __future__ import annotations

import asyncio
import os
import pickle
import weakref
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Self

from cascade.adapters.call_facts import CallFacts, facts_in_context
from cascade.adapters.executors.arrivals import arrived, arrived_chunk
from cascade.adapters.executors.chunks import ChunkCall, Progress
from cascade.adapters.executors.local_calls.chunk_feed import ChunkFeed
from cascade.adapters.executors.waiting import wait_until_done
from cascade.adapters.executors.work_under_way import WorkUnderWay
from cascade.adapters.executors.worker_processes.workers import Worker
from cascade.adapters.executors.worker_slots import WorkerSlots
from cascade.adapters.forks import leave_alone
from cascade.adapters.travelling.luggage import pack
from cascade.adapters.values.large_results import results_in_context
from cascade.spec.task import AnyTask


class _Admission:
    """Holds a worker in a `with` block; a `call` inside the block uses it."""

    __slots__ = ("_calls", "_task", "_token", "used", "worker")

    def __init__(self, calls: ProcessCalls, task: AnyTask) -> None:
        self._calls = calls
        self._task = task
        self.used = False

    async def __aenter__(self) -> Self:
        self._calls.under_way.begin()
        try:
            self.worker = await self._calls.take_worker(self._task)
        except BaseException:
            self._calls.under_way.end()
            raise
        self._token = self._calls.admitted.set(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._calls.admitted.reset(self._token)
        self._calls.give_back(self.worker)
        self._calls.under_way.end()


class ProcessCalls:
    """Makes calls in up to `size` processes, by default one per core. May serve several event loops at once."""

    def __init__(self, size: int | None = None) -> None:
        size = size or os.cpu_count() or 1
        self.under_way = WorkUnderWay()
        self._slots = WorkerSlots(size)
        self._idle: list[Worker] = []
        # A thread for each worker: it encodes, waits and decodes, while the event loop goes on.
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="cascade-process")
        self.admitted: ContextVar[_Admission | None] = ContextVar("cascade_process", default=None)
        # Without `close` the workers see that we are gone; this spares them a warning about a process left behind.
        self._finalizer = weakref.finalize(self, _kill_all, self._idle)

    def admission(self, task: AnyTask) -> _Admission:
        """Wait for a worker that has started and has imported the task; the next `call` in this context uses it."""
        return _Admission(self, task)

    async def take_worker(self, task: AnyTask) -> Worker:
        """Wait for a worker that knows a task."""
        slot = await self._slots.take()
        worker = self._idle.pop() if self._idle else Worker()
        worker.slot = slot
        try:
            if not worker.has_loaded(task):
                await wait_until_done(self._threads.submit(worker.load, task), worker.kill)
        except BaseException:
            self.give_back(worker)
            raise
        return worker

    def give_back(self, worker: Worker) -> None:
        """Let the next call have a worker, or its slot if it has ended."""
        if worker.lives:
            self._idle.append(worker)
        else:
            # It may have been killed just when it had ended its call: then nobody has waited for the process yet.
            self._threads.submit(worker.end)
        self._slots.give_back(worker.slot)

    async def call(self, task: AnyTask, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Make a call in a worker; when cancelled, kill the worker.

        Raises:
            BoundaryError: If an argument or the result can't be sent.
            RemoteError: If the task raises what can't be sent.
            WorkerDiedError: If the worker ends without an answer.
            WorkerLoadError: If the worker can't find the task.
        """
        admitted = self.admitted.get()
        if admitted is None or admitted.used:
            async with self.admission(task) as admitted:
                return await self._call(admitted, task, args, kwargs)
        return await self._call(admitted, task, args, kwargs)

    async def _call(
        self, admitted: _Admission, task: AnyTask, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        admitted.used = True
        worker = admitted.worker
        known = facts_in_context.get()
        facts = CallFacts("", task.name) if known is None else CallFacts(*known)
        work = self._threads.submit(worker.call, task, ChunkCall(args, kwargs, facts), pack(pickle.dumps))
        return await arrived(await wait_until_done(work, worker.kill, late=True))

    async def call_chunk(self, task: AnyTask, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Make calls in one worker, one after the other; when cancelled, kill the worker."""
        admitted = self.admitted.get()
        if admitted is None or admitted.used:
            async with self.admission(task) as admitted:
                async for progress in self._call_chunk(admitted, task, calls):
                    yield progress
            return
        async for progress in self._call_chunk(admitted, task, calls):
            yield progress

    def _call_chunk(
        self, admitted: _Admission, task: AnyTask, calls: Sequence[ChunkCall]
    ) -> AsyncIterator[Progress]:
        admitted.used = True
        worker = admitted.worker
        feed = ChunkFeed()
        work = self._threads.submit(worker.call_chunk, task, calls, pack(pickle.dumps), feed.take)
        chunk = feed.until_done(work, worker.kill)
        return chunk if results_in_context.get() is None else arrived_chunk(chunk)

    def forget_parent(self) -> None:
        """Leave the workers to the parent of a forked child."""
        self._finalizer.detach()
        for worker in self._idle:
            worker.leave()
        leave_alone(self)

    async def close(self) -> None:
        """End the workers when their calls have ended, also those that wait for a worker."""
        await self.under_way.ended()
        self._finalizer.detach()
        idle = [*self._idle]
        self._idle.clear()
        await asyncio.gather(*(asyncio.to_thread(worker.end) for worker in idle))
        self._threads.shutdown()


def _kill_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.kill()
        worker.end()
