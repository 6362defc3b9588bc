"""The journal of one run in a server, of whatever kind.

A run is driven by the process that has its lease, which times out unless it is renewed. Each write checks in the same
step that nobody else has opened the run since. So a process that has lost the run can't write any more, however late it
notices that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from cascade.adapters.server_lanes import Lane
from cascade.adapters.state.journal import Changes, Loaded
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.servers.run_table import RunTable, ServerRun, Write
from cascade.adapters.state.servers.sharing import RunsOfStore, Shared
from cascade.adapters.state.timed_lease import RENEWALS, Refusal, TimedLease, now
from cascade.spec.errors import StoreError

_T = TypeVar("_T")

_MANY, _LARGE = 1_000, 1 << 20
"""Facts and bytes of a batch that is written by itself, so that it does not hold up those of other runs."""

_RENEWS_AFTER = 1.0
"""Seconds after which a write renews the lease, at most. It also notes when the run was written last."""


class ServerJournal:
    """One run in a server. With `closes` the connections are its own, and are closed with it."""

    def __init__(self, runs: RunsOfStore, run_id: str, *, closes: bool) -> None:
        self._runs = runs
        self._table: RunTable = runs.table
        self._closes = closes
        self.store = self._table.store
        self._lease = TimedLease(self, run_id, self.store, self._table.seconds)
        self._run = ServerRun(run_id, self._lease.holder)
        self._renews_after = min(_RENEWS_AFTER, self._lease.seconds / 2 / RENEWALS)
        self.is_held = self._lease.is_held
        self.confirm = self._lease.confirm
        self._shared: Shared | None = None  # while it is open
        self._is_silent = False
        self._begun: asyncio.Future[bool] | None = None  # the last write that needed no task

    async def open(self, anew: bool = False) -> Loaded | None:
        """Take the run's lease, and read what is stored of the run. If somebody holds the lease, wait until it ends.

        With `anew` nothing is read.

        Raises:
            RunActiveError: If another process, or another run of this one, renews the lease.
            StoreError: If the server can't be read, or has lost facts of the run.
            StoreFormatError: If a newer version has written the store.
        """
        self._shared = self._runs.shared()
        await self._asked(self._table.prepare())
        await self._lease.take()
        self._shared.keep(self._lease, self._run)
        return None if anew else await self._asked(self._table.read(self._run))

    async def write(self, changes: Changes) -> None:
        """Write a batch as a whole.

        Raises:
            StoreError: If that fails, or the run is not this journal's any more; nothing of it is stored then, unless
                the server's answer was lost.
        """
        if self._shared is None:
            raise StoreError(self.store, "is not open")
        renews, began = self._is_due(), now()
        owner = await self._asked(self._written(self._shared, Write(self._run, changes, renews)))
        if owner is not None:
            raise self._lease.lost_to(owner)
        self._run.is_there = True
        if renews:
            self._lease.note(began)

    def write_soon(self, changes: Changes) -> asyncio.Future[bool] | None:
        """Begin to write a batch now, if that needs no task and nobody is written for; else return `None`.

        The future tells whether it is written. If not, `write` has to write it, or tells why it can't.
        """
        # Once per step of a recorded chain: watched by the rows "durable ... in PostgreSQL" of the observatory.
        if self._shared is None or self._is_due():
            return None
        begun = self._table.write_soon(Write(self._run, changes, renews=False))
        if begun is not None:
            self._begun = begun
        return begun

    def _is_due(self) -> bool:
        """Tell whether the next write renews the lease: one of seconds need not be renewed by each write."""
        return self._lease.seconds - self._lease.left() > self._renews_after

    async def _written(self, shared: Shared, write: Write) -> bytes | None:
        if _is_large(write.changes):
            return await self._table.write(write, Lane.ANY)
        return await shared.writer.do(write)

    async def close(self) -> None:
        """Release the lease, and close the connections if they are this journal's own."""
        shared, self._shared = self._shared, None
        try:
            if shared is not None:
                await shared.let_go(self._lease)
                begun, self._begun = self._begun, None
                is_silent = begun is not None and begun.done() and begun.exception() is not None
                if not (is_silent or self._is_silent):
                    with suppress(StoreError):  # all is written; without an answer the lease ends by itself
                        await shared.release(self._run)
        finally:
            if self._closes:
                await self._table.close()

    # The table of the lease

    async def take(self, holder: bytes) -> Refusal | None:
        """Take the lease, or tell who holds it.

        Raises:
            StoreError: If the server does not answer.
        """
        return await self._asked(self._table.take(self._run))

    async def renew(self, holder: bytes) -> bytes | None:
        """Renew the lease if this journal is the owner still; if not, return the owner.

        Raises:
            StoreError: If the server does not answer.
        """
        return await self._asked(self._table.renew(self._run))

    async def _asked(self, asking: Awaitable[_T]) -> _T:
        """Await what the server is asked, and note whether it answers: if not, `close` does not ask it to release."""
        try:
            answer = await asking
        except StoreError as error:
            # A more special one tells of what the server has answered: of a run that is damaged, or another's now.
            self._is_silent = type(error) is StoreError
            raise
        self._is_silent = False
        return answer


def _is_large(changes: Changes) -> bool:
    facts = changes.facts
    return len(facts) > _MANY or sum(len(fact.value) for fact in facts) > _LARGE


class ServerStates:
    """Makes the state backends of runs in one store. `options` are those of a `RecordedState`.

    After `keep_open` the runs share what `make` has made, connections among it, until `close`.
    """

    def __init__(self, make: Callable[[], RunsOfStore], **options: Any) -> None:
        self._make = make
        self._options = options
        self._keeps_open = False
        self._kept: RunsOfStore | None = None

    def keep_open(self) -> None:
        """Let runs share connections from the next one on; whoever asks for that calls `close`."""
        self._keeps_open = True

    def __call__(self, run_id: str) -> RecordedState:
        """Return the state backend of a run."""
        if self._keeps_open and self._kept is None:
            self._kept = self._make()
        journal = ServerJournal(self._kept or self._make(), run_id, closes=self._kept is None)
        return RecordedState(journal, run_id, **self._options)

    async def close(self) -> None:
        """Close the connections."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.table.close()
