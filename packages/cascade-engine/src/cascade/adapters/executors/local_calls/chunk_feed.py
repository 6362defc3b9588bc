"""The way of a chunk's progress from the thread that makes or sends it to the event loop that waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress

from cascade.adapters.executors.chunks import Progress


class ChunkFeed:
    """The progress of one chunk. It is put in from any thread, and taken out in the event loop that made the feed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came: deque[Progress] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def put_last(self, progress: Progress) -> None:
        """Put in what is taken out when the work ends, which follows at once."""
        self._came.append(progress)

    def put(self, progress: Progress) -> None:
        """Put in some progress and wake who waits for it."""
        self._came.append(progress)
        self._wake_from_thread()

    def take(self, progress: Progress, is_last: bool) -> None:
        """Put in some progress. With the last one nobody is woken: whoever cancels then would end an idle worker."""
        if is_last:
            self.put_last(progress)
        else:
            self.put(progress)

    def _wake_from_thread(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def until_done(self, work: Future[None], stop: Callable[[], object]) -> AsyncIterator[Progress]:
        """Give all progress until `work` has really ended, also when cancelled meanwhile.

        `stop` is called at each cancellation: it makes the work end soon.
        """
        work.add_done_callback(lambda _: self._wake_from_thread())
        cancelled: asyncio.CancelledError | None = None
        try:
            while True:
                is_over = work.done()  # asked first: nothing comes after that
                while self._came:
                    yield self._came.popleft()
                if is_over:
                    break
                self._waiting = self._loop.create_future()
                try:
                    await self._waiting
                except asyncio.CancelledError as request:
                    if work.cancel():  # it had not begun
                        raise
                    cancelled = request
                    stop()
            if cancelled is not None:
                raise cancelled
            work.result()
        finally:
            if not work.done():  # the caller has let go of it
                stop()
            cancelled = None  # its traceback has this frame: they would be a cycle
