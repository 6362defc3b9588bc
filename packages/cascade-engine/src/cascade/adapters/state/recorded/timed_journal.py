"""Journals whose calls end in time: a store that does not answer must not hold up a run for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

from cascade.adapters.patience import answered_within
from cascade.adapters.state.journal import ANSWER_SECONDS, Changes, Journal, Loaded
from cascade.spec.errors import StoreError

T = TypeVar("T")

_MOMENT = 0.1
"""Seconds for a journal that has not answered before: enough to let go of the run."""


class TimedJournal:
    """Calls a journal. A call that takes longer than `ANSWER_SECONDS` is cancelled, and is a `StoreError`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seconds = ANSWER_SECONDS
        self.store: str = getattr(journal, "store", type(journal).__name__)
        self.write_now: Callable[[Changes], bool] | None = getattr(journal, "write_now", None)
        self.write_soon: Callable[[Changes], asyncio.Future[bool] | None] | None = getattr(
            journal, "write_soon", None
        )
        self.is_held: Callable[[], bool] | None = getattr(journal, "is_held", None)

    async def open(self, anew: bool) -> Loaded | None:
        """Take the run, and return what is stored of it. It may wait for somebody else's claim on the run to end."""
        opening = self._journal.open(anew=True) if anew else self._journal.open()
        return await self._answer(opening, None)

    async def write(self, changes: Changes) -> None:
        """Write a batch."""
        await self._answer(self._journal.write(changes), self._seconds)

    async def confirm(self) -> None:
        """Renew the claim on the run, of a journal whose claim ends by itself."""
        confirm: Callable[[], Awaitable[None]] = getattr(self._journal, "confirm")  # noqa: B009 - not of all journals
        await self._answer(confirm(), self._seconds)

    async def close(self) -> None:
        """Let go of the run and of the store."""
        await self._answer(self._journal.close(), self._seconds)

    async def _answer(self, call: Awaitable[T], seconds: float | None) -> T:
        """Return the answer of the journal, and wait for it no longer than so many seconds.

        Raises:
            StoreError: If it takes longer; later calls are waited for only for a moment.
        """
        task = asyncio.current_task()
        assert task is not None
        requests = task.cancelling()
        try:
            with nullcontext() if seconds is None else answered_within(seconds):
                answer = await call
        except TimeoutError as problem:
            self._seconds = _MOMENT
            raise StoreError(self.store, "the store does not answer in time") from problem
        if (
            task.cancelling() > requests
        ):  # the call ran to its end all the same; who waits for it is cancelled
            raise asyncio.CancelledError
        return answer
