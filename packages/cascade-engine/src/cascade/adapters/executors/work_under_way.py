"""Work under way of an executor: whoever closes it waits for the end of that."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future


class WorkUnderWay:
    """Counts work, also of several event loops: each piece is done in a `with` block, or from `begin` to `end`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._ended: Future[None] | None = None

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        with self._lock:
            self._count += 1

    def end(self) -> None:
        ended = None
        with self._lock:
            self._count -= 1
            if not self._count:
                ended, self._ended = self._ended, None
        if ended is not None:
            ended.set_result(None)

    async def ended(self) -> None:
        """Wait until nothing is under way."""
        with self._lock:
            if not self._count:
                return
            if self._ended is None:
                self._ended = Future()
                self._ended.set_running_or_notify_cancel()  # one who waits no more leaves it to the others
            ended = self._ended
        await asyncio.wrap_future(ended)
