"""Patience: how long a store may take to answer, in time in which this process listens.

An event loop that is busy with hundreds of runs, on a machine that is busy too, comes late to what has long been
answered. So patience is counted in short waits of the loop: while the loop is held up, none of them ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

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

    def limit(self) -> Limit:
        """Cancel what is awaited in the returned block when patience is over, and raise a `TimeoutError` then."""
        return Limit(self)


class Limit:
    """A block that ends when a patience is over, as `asyncio.timeout` would end it."""

    # Twice per write to a server: a class takes a third of the time of a generator.
    __slots__ = ("_has_ended", "_is_over", "_patience", "_requests", "_task")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._requests = task, task.cancelling()
        self._is_over = self._has_ended = False
        if self._patience.is_over:
            asyncio.get_running_loop().call_soon(self._end)
        self._patience.then = self._end

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._patience.then = None
        is_over, self._has_ended = self._is_over, True
        if is_over and self._task.uncancel() <= self._requests and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _end(self) -> None:
        if not (self._is_over or self._has_ended):
            self._is_over = True
            self._task.cancel()


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Do as `asyncio.timeout`, with patience."""
    patience = Patience(seconds)
    patience.begin()
    try:
        with patience.limit():
            yield
    finally:
        patience.end()
