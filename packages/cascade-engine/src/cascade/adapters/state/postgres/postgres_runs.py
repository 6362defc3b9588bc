"""The runs in PostgreSQL: their leases, and their rows by way of `RunRows`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.adapters.postgres_server import PostgresServer
from cascade.adapters.server_lanes import Lane
from cascade.adapters.state.journal import Durability, Loaded
from cascade.adapters.state.postgres.postgres_facts import PlainFacts, are_all
from cascade.adapters.state.postgres.postgres_layout import STATE, STATE_TABLES, Tables
from cascade.adapters.state.postgres.postgres_rows import ROWS_AT_ONCE, RunRows, Stored
from cascade.adapters.state.servers.run_table import ServerRun, Write, Written
from cascade.adapters.state.timed_lease import Refusal
from cascade.adapters.text_bytes import as_bytes
from cascade.spec.errors import StoreError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class PostgresRuns:
    """A `RunTable` in tables whose names begin with `prefix`."""

    def __init__(self, server: PostgresServer, prefix: str, durability: Durability, seconds: float) -> None:
        self.store = server.address
        self.seconds = seconds
        self._server = server
        self._tables = Tables(server, prefix, STATE, STATE_TABLES)
        self._leases = _LeaseStatements(prefix)
        is_safe = durability is Durability.SYNC
        self._rows = RunRows(prefix, self.store, seconds, is_safe)
        self._plain = PlainFacts(prefix, is_safe)

    async def prepare(self) -> None:
        """Make the tables, if they are not there."""
        await self._tables.make()

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._server.close()

    # Leases

    async def take(self, run: ServerRun) -> Refusal | None:
        """Take the lease, or tell who holds it."""
        given = self._given(run)

        async def ask(connection: Connection) -> Refusal | None:
            while True:
                taken = await connection.execute(self._leases.take, given)
                if taken.rowcount == 1:
                    return None
                found = await connection.execute(self._leases.look, given, binary=True)
                row = await found.fetchone()
                if row is not None:  # not deleted since
                    return Refusal(*row)

        return await self._server.do(ask)

    async def renew(self, run: ServerRun) -> bytes | None:
        """Renew the lease if the holder is the owner still; if not, return the owner."""
        given = self._given(run)

        async def ask(connection: Connection) -> bytes | None:
            renewed = await connection.execute(self._leases.renew, given)
            if renewed.rowcount == 1:
                return None
            found = await connection.execute(self._leases.look, given, binary=True)
            row = await found.fetchone()
            return b"" if row is None else bytes(row[0])

        return await self._server.do(ask, Lane.LEASES)

    async def renew_all(self, runs: Sequence[ServerRun]) -> set[ServerRun]:
        """Renew leases by one statement; those whose rows are being written are renewed by that, and not returned."""
        given = {**_many(runs), "seconds": self.seconds}

        async def ask(connection: Connection) -> set[bytes]:
            found = await connection.execute(self._leases.renew_all, given, binary=True)
            return {run_id for (run_id,) in await found.fetchall()}

        renewed = await self._server.do(ask, Lane.LEASES)
        return {run for run in runs if as_bytes(run.run_id) in renewed}

    async def release_all(self, runs: Sequence[ServerRun]) -> None:
        """End leases by one transaction."""
        given = _many(runs)

        async def ask(connection: Connection) -> None:
            async with connection.transaction():
                for statement in self._leases.release_all:
                    await connection.execute(statement, given)

        await self._server.do(ask, Lane.LEASES)

    def _given(self, run: ServerRun) -> dict[str, object]:
        return {"run_id": as_bytes(run.run_id), "holder": run.holder, "seconds": self.seconds}

    # Rows

    async def read(self, run: ServerRun) -> Loaded | None:
        """Return what is stored of a run, in portions that take no server's memory."""
        head = await self._server.do(partial(self._rows.head, run=run))
        run.is_there = head is not None
        if head is None:
            return None
        facts: list[Stored] = []
        more = True
        while more:
            after = facts[-1] if facts else None
            ask = partial(self._rows.facts, run=run, number=head.round or 0, after=after)
            some = await self._server.do(ask)
            facts += some
            more = len(some) == ROWS_AT_ONCE
        return Loaded(head, facts)

    async def write(self, write: Write, lane: Lane) -> bytes | None:
        """Write a batch in a transaction of its own; if its run has another owner, return that one."""
        # Its statement is seen through by itself. If it puts nothing, what follows finds out why.
        if _is_plain(write) and await self._server.do_here(partial(self._plain.put, write=write), lane):
            return None
        return await self._server.do(partial(self._rows.write, write=write), lane)

    def write_soon(self, write: Write) -> asyncio.Future[bool] | None:
        """Begin to write a plain batch now; `None` if it is none, or another write is under way."""
        if not _is_plain(write):
            return None
        return self._server.begin(partial(self._plain.put_soon, write=write), Lane.WRITES)

    async def write_all(self, writes: Sequence[Write]) -> list[Written]:
        """Write batches in one transaction; if the server refuses one of them, each in its own."""
        together = await self._server.do_here(partial(self._together, writes=writes), Lane.WRITES)
        return [await self._alone(write) for write in writes] if together is None else [*together]

    async def _together(self, connection: Connection, writes: Sequence[Write]) -> list[bytes | None] | None:
        try:
            return await self._rows.write_all(connection, writes)
        except self._server.refused:
            if connection.closed:
                raise
            return None

    async def _alone(self, write: Write) -> Written:
        try:
            return await self.write(write, Lane.WRITES)
        except StoreError as problem:
            return problem


def _is_plain(write: Write) -> bool:
    return not write.renews and write.run.is_there and are_all(write.changes)


def _many(runs: Sequence[ServerRun]) -> dict[str, object]:
    return {"run_ids": [as_bytes(run.run_id) for run in runs], "holders": [run.holder for run in runs]}


class _LeaseStatements:
    """The statements on the leases of runs."""

    def __init__(self, prefix: str) -> None:
        def of(text: str) -> bytes:
            return text.format(p=prefix).encode()

        until = "clock_timestamp() + %(seconds)s * interval '1 second'"
        self.take = of(
            f"""INSERT INTO {{p}}leases AS l (run_id, owner, until) VALUES (%(run_id)b, %(holder)b, {until})
            ON CONFLICT (run_id) DO UPDATE SET owner = excluded.owner, until = {until}
            WHERE l.until <= clock_timestamp() OR l.owner = excluded.owner"""
        )
        self.look = of(
            """SELECT owner, extract(epoch FROM until - clock_timestamp())::double precision
            FROM {p}leases WHERE run_id = %(run_id)b"""
        )
        self.renew = of(
            f"UPDATE {{p}}leases SET until = {until} WHERE run_id = %(run_id)b AND owner = %(holder)b"
        )
        # Rows that a write has locked are left out: this would wait for it, and it may come to wait for this.
        mine = "unnest(%(run_ids)b::bytea[], %(holders)b::bytea[]) AS g (run_id, owner)"
        self.renew_all = of(
            f"""UPDATE {{p}}leases l SET until = {until} FROM (SELECT run_id FROM {{p}}leases
            JOIN {mine} USING (run_id, owner) FOR UPDATE OF {{p}}leases SKIP LOCKED) AS free
            WHERE l.run_id = free.run_id RETURNING l.run_id"""
        )
        # The owner of a run stays: who has lost the run to this one finds that out, however late.
        same = "l.run_id = g.run_id AND l.owner = g.owner"
        self.release_all = (
            of(f"UPDATE {{p}}leases l SET until = 'epoch' FROM {mine} WHERE {same}"),
            of(
                f"""DELETE FROM {{p}}leases l USING {mine} WHERE {same}
                AND NOT EXISTS (SELECT FROM {{p}}runs r WHERE r.run_id = l.run_id)"""
            ),
        )
