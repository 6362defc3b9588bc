"""The rows of runs in PostgreSQL: how they are read, and written batch by batch.

Each write checks in the same step that the run's lease is in this holder's name: who has lost the run changes no row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import NodeDigest
from cascade.adapters.state.journal import Changes, Head, Kind
from cascade.adapters.state.postgres.postgres_batches import BatchStatements
from cascade.adapters.state.postgres.postgres_facts import MOST, MOST_BYTES
from cascade.adapters.state.servers.run_table import ServerRun, Write
from cascade.adapters.text_bytes import as_bytes, as_text

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

Statement: TypeAlias = tuple[bytes, dict[str, Any]]
Stored: TypeAlias = tuple[NodeDigest, Kind, bytes]

ROWS_AT_ONCE = 10_000
"""Facts that one statement reads, at most."""


class RunRows:
    """Reads and writes the rows of runs, in tables whose names begin with `prefix`.

    A write renews the lease for so many `seconds`. One that is `safe` is on the server's disk when it returns.
    """

    def __init__(self, prefix: str, store: str, seconds: float, safe: bool) -> None:
        self._store = store
        self._given = {"seconds": seconds, "safe": safe}
        self._batches = BatchStatements(prefix)
        self._head = (
            f"SELECT status, task, record, round, target, error, rules FROM {prefix}runs WHERE run_id = %(run_id)b"
        ).encode()
        self._facts = f"""SELECT f.round, f.frame, f.above, f.node, f.kind, f.value FROM {prefix}facts f
            JOIN {prefix}runs r ON r.id = f.run WHERE r.run_id = %(run_id)b AND f.round = %(round)s
            AND (f.frame, f.node, f.kind) > (%(frame)b, %(node)b, %(kind)s)
            ORDER BY f.frame, f.node, f.kind LIMIT %(limit)s""".encode()

    # Reading

    async def head(self, connection: Connection, run: ServerRun) -> Head | None:
        """Return what is stored of a run as a whole; `None` if nothing is.

        Raises:
            RunDamagedError: If it is not what was written.
        """
        given = {"run_id": as_bytes(run.run_id)}
        found = await connection.execute(self._head, given, binary=True)
        row = await found.fetchone()
        if row is None:
            return None
        with checking(self._store, run.run_id):
            status, task, record, number, target, error, rules = row
            return head_of((status, as_text(task), record, number, target, as_text(error), rules))

    async def facts(
        self, connection: Connection, run: ServerRun, number: int, after: Stored | None
    ) -> list[Stored]:
        """Return facts of a round in the order of their keys, at most `ROWS_AT_ONCE` of those that follow `after`.

        Raises:
            RunDamagedError: If they are not what was written.
        """
        last = (b"", b"", -1) if after is None else (after[0].frame.digest, after[0].node, int(after[1]))
        keys = dict(zip(("frame", "node", "kind"), last, strict=True))
        given = {**keys, "run_id": as_bytes(run.run_id), "round": number, "limit": ROWS_AT_ONCE}
        found = await connection.execute(self._facts, given, binary=True)
        with checking(self._store, run.run_id):
            return [fact_of(row) for row in await found.fetchall()]

    # Writing

    async def write(self, connection: Connection, write: Write) -> bytes | None:
        """Write a batch and renew the lease; if the run has another owner, return that one."""
        first, *more = self._statements(write)
        if not more:
            return await self._put(connection, first)
        async with connection.transaction():
            owner = await self._put(connection, first)
            if owner is None:  # and so for what follows: the row of the lease is locked
                for each in more:
                    await self._put(connection, each)
        return owner

    async def write_all(self, connection: Connection, writes: Sequence[Write]) -> list[bytes | None]:
        """Write batches of different runs, which are small, in one transaction that is sent in one go."""
        async with connection.pipeline(), connection.transaction():
            asked = [
                await connection.execute(*each, binary=True)
                for write in writes
                for each in self._statements(write)
            ]
            return [await _owner(each) for each in asked]

    def _statements(self, write: Write) -> Iterator[Statement]:
        run = write.run
        own = {**self._given, "run_id": as_bytes(run.run_id), "holder": run.holder, "now": time.time()}
        anew = write.changes.anew or not run.is_there
        for part in _portions(write.changes):
            statement, given = self._batches.of(part, anew)
            yield statement, {**own, **given}
            anew = False

    async def _put(self, connection: Connection, statement: Statement) -> bytes | None:
        return await _owner(await connection.execute(*statement, binary=True))


async def _owner(written: psycopg.AsyncCursor[tuple[Any, ...]]) -> bytes | None:
    row = await written.fetchone()
    return None if row is None else row[0]


def _portions(changes: Changes) -> Iterator[Changes]:
    """Split changes so that no statement takes the server's memory; the first has all but most of the facts.

    One statement can't put a row twice: of rows with the same key the last one counts.
    """
    facts = {(fact.place, fact.kind): fact for fact in changes.facts}
    timeline = {(part.drive, part.number): part for part in changes.timeline}
    part = replace(changes, facts=[], timeline=[*timeline.values()])
    size = 0
    for fact in facts.values():
        if part.facts and (len(part.facts) == MOST or size + len(fact.value) > MOST_BYTES):
            yield part
            part, size = Changes(), 0
        part.facts.append(fact)
        size += len(fact.value)
    yield part
