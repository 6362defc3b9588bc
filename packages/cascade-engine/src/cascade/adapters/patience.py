"""Patience: how long a store may take to answer, in time in which this process listens.

An event loop that is busy with hundreds of runs, on a machine that is busy too, comes late to what has long been
answered. So patience is counted in short waits of the loop: while the loop is held up, none of them ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_WAITS = 10


class Patience:
    """So many seconds, from `begin` to `end`; then `then` is called, if it is set."""

    def __init__(self, seconds: float) -> None:
        self._wait = seconds / _WAITS
        self._left = _WAITS
        self._timer: asyncio.TimerHandle | None = None
        self.then: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        return not self._left

    def begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._wait, self._count)

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            self.begin()
        elif self.then is not None:
            self.then()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Cancel what is awaited here when patience is over, and raise a `TimeoutError` then."""
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(0 if self.is_over else None) as limit:
            self.then = lambda: limit.reschedule(clock())
            try:
                yield
            finally:
                self.then = None


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[None]:
    """Do as `asyncio.timeout`, with patience."""
    patience = Patience(seconds)
    patience.begin()
    try:
        async with patience.limit():
            yield
    finally:
        patience.end()
