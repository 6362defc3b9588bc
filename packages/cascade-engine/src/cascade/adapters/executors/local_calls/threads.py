"""Calls in threads, in a pool of their own."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from cascade.adapters.executors.chunks import CHUNK_SECONDS, ChunkCall, Progress
from cascade.adapters.executors.local_calls.chunk_feed import ChunkFeed
from cascade.adapters.executors.local_calls.thread_chunk import ThreadChunk
from cascade.adapters.executors.waiting import outcome_of, wait_until_done
from cascade.adapters.executors.worker_slots import WorkerSlot, WorkerSlots

_BORROWERS = 10_000
"""No bound: a call that borrows its slot has a thread beside the one that lends it, and waits."""


class Admission:
    """Holds a slot in a `with` block; a `call` inside the block uses it."""

    # No generator with a decorator, which sets the traceback of what passes through: a frozen exception refuses that.

    __slots__ = ("_shown", "_slot", "_slots", "_token")

    def __init__(self, slots: WorkerSlots, shown: ContextVar[WorkerSlot | None]) -> None:
        self._slots = slots
        self._shown = shown

    async def __aenter__(self) -> WorkerSlot:
        self._slot = await self._slots.take(self._shown.get())
        self._token = self._shown.set(self._slot)
        return self._slot

    async def __aexit__(self, *_: object) -> None:
        self._shown.reset(self._token)
        self._slots.give_back(self._slot)


class ThreadCalls:
    """Makes calls in `size` threads. May serve several event loops at once."""

    def __init__(self, size: int | None = None) -> None:
        size = size or min(32, (os.cpu_count() or 1) + 4)  # what `ThreadPoolExecutor` takes
        self._slots = WorkerSlots(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="cascade")
        self._more: ThreadPoolExecutor | None = None  # for calls in borrowed slots
        # The slot of the call that the current code is a part of: threads get a copy of their caller's context.
        self._slot: ContextVar[WorkerSlot | None] = ContextVar("cascade_thread", default=None)

    def admission(self) -> Admission:
        """Wait for a thread; the next `call` in this context uses it."""
        return Admission(self._slots, self._slot)

    async def call(
        self, func: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Call a function in a thread, with a copy of this context; when cancelled, return after it has ended."""
        slot = self._slot.get()
        if slot is None or slot.used:
            async with self.admission() as slot:
                return await self._call(slot, func, args, kwargs)
        return await self._call(slot, func, args, kwargs)

    async def call_chunk(
        self, func: Callable[..., object], calls: Sequence[ChunkCall]
    ) -> AsyncIterator[Progress]:
        """Call a function once for each of `calls`, in one thread; each call has its own copy of this context.

        When cancelled, the calls that have not begun are not made, and the one under way is waited for.
        """
        slot = self._slot.get()
        if slot is None or slot.used:
            async with self.admission() as slot:
                async for progress in self._call_chunk(slot, func, calls):
                    yield progress
            return
        async for progress in self._call_chunk(slot, func, calls):
            yield progress

    async def _call_chunk(
        self, slot: WorkerSlot, func: Callable[..., object], calls: Sequence[ChunkCall]
    ) -> AsyncIterator[Progress]:
        slot.used = True
        chunk = ThreadChunk(func, calls, contextvars.copy_context())
        threads = self._threads if slot.lender is None else self._extra()
        feed = ChunkFeed()

        def take_back() -> None:
            feed.put(chunk.take_back())

        work = threads.submit(chunk.run, feed.put_last)

        def tell() -> None:
            # One call is kept if none has begun: so each chunk makes some progress, also on a busy machine.
            feed.put(chunk.take_back(kept=0 if chunk.has_begun else 1))

        # After this the thread has one call left, whose end ends the chunk.
        tick = asyncio.get_running_loop().call_later(CHUNK_SECONDS, tell) if len(calls) > 1 else None
        try:
            async for progress in feed.until_done(work, take_back):
                yield progress
        finally:
            if tick is not None:
                tick.cancel()

    async def _call(
        self,
        slot: WorkerSlot,
        func: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> Any:
        slot.used = True
        context = contextvars.copy_context()
        threads = self._threads if slot.lender is None else self._extra()
        return await wait_until_done(threads.submit(context.run, outcome_of, func, args, kwargs), late=True)

    def _extra(self) -> ThreadPoolExecutor:
        if self._more is None:
            self._more = ThreadPoolExecutor(_BORROWERS, thread_name_prefix="cascade-nested")
        return self._more

    def close(self) -> None:
        """End the threads, all calls of which have ended."""
        self._threads.shutdown()
        if self._more is not None:
            self._more.shutdown()
