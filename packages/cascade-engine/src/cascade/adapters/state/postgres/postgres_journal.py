"""State in PostgreSQL, shared by many hosts. Needs the extra `cascade-engine[postgres]`.

A run is driven by the process that has its lease, which times out unless it is renewed. Each write checks in the same
transaction that nobody else has opened the run since. So a process that has lost the run can't write any more, however
late it notices that.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cascade.adapters.postgres_server import Deed, PostgresServer
from cascade.adapters.state.journal import Changes, Durability, Loaded
from cascade.adapters.state.postgres.postgres_layout import PREFIX, STATE, STATE_TABLES, Tables
from cascade.adapters.state.postgres.postgres_rows import ROWS_AT_ONCE, RunRows, Stored
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.timed_lease import LEASE_SECONDS, Refusal, TimedLease, now
from cascade.adapters.text_bytes import as_bytes
from cascade.spec.errors import StoreError
from cascade.spec.protocols import Codec

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_T = TypeVar("_T")


class PostgresStateBackend(RecordedState):
    """The facts of one run in a PostgreSQL server, in tables whose names begin with `prefix`.

    `durability="sync"` waits until a commit is on the server's disk, `"async"` does not. The facts of the last
    `keep_rounds` rounds of the run's own loop stay in the store. A run whose process is gone can be taken over after
    `lease_seconds`.

    Raises:
        MissingExtraError: If the extra is not installed.
        SpecError: If `url` is none of PostgreSQL, or no table can have the `prefix`.
        PolicyError: If there is no such durability, or a lease is to last no time.
    """

    def __init__(  # noqa: PLR0913 - public settings
        self,
        url: str | PostgresServer,
        *,
        run_id: str,
        durability: str = Durability.SYNC,
        keep_rounds: int = 1,
        codec: Codec | None = None,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        journal = PostgresJournal(
            url, run_id, Durability.of(durability), lease_seconds=lease_seconds, prefix=prefix
        )
        super().__init__(journal, run_id, codec=codec, keep_rounds=keep_rounds)


class PostgresStates:
    """Makes the state backends of runs in one server, which share its connections.

    `options` are those of `PostgresStateBackend`. After `keep_open` the connections stay open between runs until
    `close`: opening one takes longer than a short run.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._server: PostgresServer | None = None

    def keep_open(self) -> None:
        """Let the connections stay open from the next run on; whoever asks for that calls `close`."""
        self._server = PostgresServer(self._url)

    def __call__(self, run_id: str) -> PostgresStateBackend:
        """Return the state backend of a run."""
        return PostgresStateBackend(self._server or self._url, run_id=run_id, **self._options)

    async def close(self) -> None:
        """Close the connections."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()


class PostgresJournal:
    """One run's rows in a PostgreSQL server. While it is open an asyncio task renews the lease."""

    def __init__(
        self,
        url: str | PostgresServer,
        run_id: str,
        durability: Durability,
        *,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        self._closes_server = isinstance(url, str)
        self._server = PostgresServer(url) if isinstance(url, str) else url
        self.store = self._server.address
        self._tables = Tables(self._server, prefix, STATE, STATE_TABLES)
        self._lease = TimedLease(self, run_id, self.store, lease_seconds)
        self.is_held = self._lease.is_held
        self.confirm = self._lease.confirm
        self._rows = RunRows(prefix, run_id, self.store, self._lease.holder)
        self._statements = _LeaseStatements(prefix)
        self._run_id = as_bytes(run_id)
        self._is_safe = durability is Durability.SYNC
        self._is_open = False
        self._is_silent = False

    async def open(self, anew: bool = False) -> Loaded | None:
        """Take the run's lease, and read what is stored of the run. If somebody holds the lease, wait until it ends.

        With `anew` nothing is read.

        Raises:
            RunActiveError: If another process, or another run of this one, renews the lease.
            StoreError: If the server can't be read.
            StoreFormatError: If a newer version has written the store.
        """
        self._is_open = True
        await self._asked(self._tables.make())
        await self._lease.take()
        return None if anew else await self._loaded()

    async def write(self, changes: Changes) -> None:
        """Write a batch in one transaction.

        Raises:
            StoreError: If that fails, or the run is not this journal's any more; nothing of it is stored then, unless
                the server's answer was lost.
        """
        if not self._is_open:
            raise StoreError(self.store, "is not open")
        began, rows, seconds = now(), self._rows, self._lease.seconds
        owner = await self._do(lambda connection: rows.write(connection, changes, seconds, self._is_safe))
        if owner is not None:
            raise self._lease.lost_to(owner)
        rows.is_there = True
        self._lease.note(began)

    async def close(self) -> None:
        """Release the lease and close the connections."""
        was_open, self._is_open = self._is_open, False
        try:
            await self._lease.stop()
            if was_open and not self._is_silent:
                with suppress(StoreError):  # all is written; without an answer the lease ends by itself
                    await self._do(self._release)
        finally:
            if self._closes_server:
                await self._server.close()

    async def _loaded(self) -> Loaded | None:
        head = await self._do(self._rows.head)
        self._rows.is_there = head is not None
        if head is None:
            return None
        facts: list[Stored] = []
        more = True
        while more:
            ask = partial(self._rows.facts, number=head.round or 0, after=facts[-1] if facts else None)
            some = await self._do(ask)
            facts += some
            more = len(some) == ROWS_AT_ONCE
        return Loaded(head, facts)

    # The table of the lease

    async def take(self, holder: bytes) -> Refusal | None:
        """Take the lease, or tell who holds it.

        Raises:
            StoreError: If the server does not answer.
        """
        given = self._given(holder)

        async def ask(connection: Connection) -> Refusal | None:
            while True:
                taken = await connection.execute(self._statements.take, given)
                if taken.rowcount == 1:
                    return None
                found = await connection.execute(self._statements.look, given, binary=True)
                row = await found.fetchone()
                if row is not None:  # not deleted since
                    return Refusal(*row)

        return await self._do(ask)

    async def renew(self, holder: bytes) -> bytes | None:
        """Renew the lease if the holder is the owner still; if not, return the owner.

        Raises:
            StoreError: If the server does not answer.
        """
        given = self._given(holder)

        async def ask(connection: Connection) -> bytes | None:
            renewed = await connection.execute(self._statements.renew, given)
            return None if renewed.rowcount == 1 else await self._owner(connection)

        return await self._do(ask)

    async def _owner(self, connection: Connection) -> bytes:
        found = await connection.execute(self._statements.look, self._given(b""), binary=True)
        row = await found.fetchone()
        return b"" if row is None else bytes(row[0])

    async def _release(self, connection: Connection) -> None:
        async with connection.transaction():
            for statement in self._statements.release:
                await connection.execute(statement, self._given(self._lease.holder))

    def _given(self, holder: bytes) -> dict[str, object]:
        return {"run_id": self._run_id, "holder": holder, "seconds": self._lease.seconds}

    async def _do(self, deed: Deed[_T]) -> _T:
        return await self._asked(self._server.do(deed))

    async def _asked(self, asking: Awaitable[_T]) -> _T:
        """Await what the server is asked, and note whether it answers: if not, `close` does not ask it to release."""
        try:
            answer = await asking
        except StoreError:
            self._is_silent = True
            raise
        self._is_silent = False
        return answer


class _LeaseStatements:
    """The statements on the lease of one run."""

    def __init__(self, prefix: str) -> None:
        def of(text: str) -> bytes:
            return text.format(p=prefix).encode()

        until = "clock_timestamp() + %(seconds)s * interval '1 second'"
        mine = "run_id = %(run_id)b AND owner = %(holder)b"
        self.take = of(
            f"""INSERT INTO {{p}}leases AS l (run_id, owner, until) VALUES (%(run_id)b, %(holder)b, {until})
            ON CONFLICT (run_id) DO UPDATE SET owner = excluded.owner, until = {until}
            WHERE l.until <= clock_timestamp() OR l.owner = excluded.owner"""
        )
        self.look = of(
            """SELECT owner, extract(epoch FROM until - clock_timestamp())::double precision
            FROM {p}leases WHERE run_id = %(run_id)b"""
        )
        self.renew = of(f"UPDATE {{p}}leases SET until = {until} WHERE {mine}")
        # The owner of a run stays: who has lost the run to this one finds that out, however late.
        self.release = (
            of(f"UPDATE {{p}}leases SET until = 'epoch' WHERE {mine}"),
            of(
                f"""DELETE FROM {{p}}leases l WHERE {mine}
                AND NOT EXISTS (SELECT FROM {{p}}runs r WHERE r.run_id = l.run_id)"""
            ),
        )
