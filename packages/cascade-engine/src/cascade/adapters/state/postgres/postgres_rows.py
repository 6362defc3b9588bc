"""The rows of one run in PostgreSQL: how they are read, and written batch by batch.

Each write checks in the same step that the run's lease is in this holder's name: who has lost the run changes no row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import NodeDigest
from cascade.adapters.state.journal import KEPT_DRIVES, Changes, Head, Kind
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.spec.durable import RunStatus

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

Stored: TypeAlias = tuple[NodeDigest, Kind, bytes]

ROWS_AT_ONCE = 10_000
"""Facts that one statement reads or puts, at most."""

_BYTES_AT_ONCE = 8 << 20
"""Bytes of values that one statement puts, unless one value alone has more."""


class RunRows:
    """Reads and writes the rows of one run, in tables whose names begin with `prefix`."""

    def __init__(self, prefix: str, run_id: str, store: str, holder: bytes) -> None:
        self._store = store
        self._run_id = run_id
        self._own = {"run_id": as_bytes(run_id), "holder": holder}
        self._sql = _Statements(prefix)
        self.is_there = False
        """Whether the run has a row of its own, as far as is known here."""

    # Reading

    async def head(self, connection: Connection) -> Head | None:
        """Return what is stored of the run as a whole; `None` if nothing is.

        Raises:
            RunDamagedError: If it is not what was written.
        """
        found = await connection.execute(self._sql.head, self._own, binary=True)
        row = await found.fetchone()
        if row is None:
            return None
        with checking(self._store, self._run_id):
            status, task, record, number, target, error, rules = row
            return head_of((status, as_text(task), record, number, target, as_text(error), rules))

    async def facts(self, connection: Connection, number: int, after: Stored | None) -> list[Stored]:
        """Return facts of a round in the order of their keys, at most `ROWS_AT_ONCE` of those that follow `after`.

        Raises:
            RunDamagedError: If they are not what was written.
        """
        last = (b"", b"", -1) if after is None else (after[0].frame.digest, after[0].node, int(after[1]))
        keys = dict(zip(("frame", "node", "kind"), last, strict=True))
        given = {**self._own, **keys, "round": number, "limit": ROWS_AT_ONCE}
        found = await connection.execute(self._sql.facts, given, binary=True)
        with checking(self._store, self._run_id):
            return [fact_of(row) for row in await found.fetchall()]

    # Writing

    async def write(
        self, connection: Connection, changes: Changes, seconds: float, safe: bool
    ) -> bytes | None:
        """Write a batch and renew the lease for so many seconds; if the run has another owner, return that one."""
        own = {**self._own, "seconds": seconds, "safe": safe, "now": time.time()}
        first, *more = _portions(changes)
        anew = changes.anew or not self.is_there
        if not more:
            return await self._put(connection, {**own, **_arguments(first, anew)})
        async with connection.transaction():
            owner = await self._put(connection, {**own, **_arguments(first, anew)})
            if owner is None:  # and so for what follows: the row of the lease is locked
                for each in more:
                    await self._put(connection, {**own, **_arguments(each, anew=False)})
        return owner

    async def _put(self, connection: Connection, given: dict[str, Any]) -> bytes | None:
        found = await connection.execute(self._sql.write, given, binary=True)
        row = await found.fetchone()
        return None if row is None else row[0]


class _Statements:
    """The statements on the rows of one run. `%b` sends bytes as they are, not as text."""

    def __init__(self, prefix: str) -> None:
        def of(text: str) -> bytes:
            return text.format(p=prefix).encode()

        self.head = of(
            "SELECT status, task, record, round, target, error, rules FROM {p}runs WHERE run_id = %(run_id)b"
        )
        self.facts = of(
            """SELECT f.round, f.frame, f.above, f.node, f.kind, f.value FROM {p}facts f
            JOIN {p}runs r ON r.id = f.run WHERE r.run_id = %(run_id)b AND f.round = %(round)s
            AND (f.frame, f.node, f.kind) > (%(frame)b, %(node)b, %(kind)s)
            ORDER BY f.frame, f.node, f.kind LIMIT %(limit)s"""
        )
        self.write = of(
            """SELECT {p}write(%(run_id)b, %(holder)b, %(seconds)s::double precision, %(safe)s, %(anew)s, %(now)s,
            %(status)s, %(task)b, %(round)s::bigint, %(error)b, %(record)b, %(target)b, %(rules)s::bigint,
            %(last)s::bigint, %(old_rounds)s::bigint[], %(old_frames)b::bytea[], %(old_nodes)b::bytea[],
            %(rounds)s::bigint[], %(frames)b::bytea[], %(nodes)b::bytea[], %(kinds)s::smallint[],
            %(aboves)b::bytea[], %(tasks)b::bytea[], %(places)b::bytea[], %(values)b::bytea[],
            %(drives)s::bigint[], %(numbers)s::integer[], %(parts)b::bytea[], %(kept)s)"""
        )


def _portions(changes: Changes) -> Iterator[Changes]:
    """Split changes so that no statement takes the server's memory; the first has all but most of the facts.

    One statement can't put a row twice: of rows with the same key the last one counts.
    """
    facts = {(fact.place, fact.kind): fact for fact in changes.facts}
    timeline = {(part.drive, part.number): part for part in changes.timeline}
    part = replace(changes, facts=[], timeline=[*timeline.values()])
    size = 0
    for fact in facts.values():
        if part.facts and (len(part.facts) == ROWS_AT_ONCE or size + len(fact.value) > _BYTES_AT_ONCE):
            yield part
            part, size = Changes(), 0
        part.facts.append(fact)
        size += len(fact.value)
    yield part


def _arguments(changes: Changes, anew: bool) -> dict[str, Any]:
    """Return what the function of the store takes, by name."""
    head, facts = changes.head, changes.facts
    if anew:
        head = Head(RunStatus.RUNNING, "", b"", 0, b"", "", 0)
        head.replace(changes.head)
    frames = [*changes.frames, *(node.frame for node in changes.nodes)]
    return {
        "anew": anew,
        "status": None if head.status is None else str(head.status),
        "task": None if head.task is None else as_bytes(head.task),
        "round": head.round,
        "error": None if head.error is None else as_bytes(head.error),
        "record": head.record,
        "target": head.target,
        "rules": head.rules,
        "last": changes.rounds,
        "old_rounds": [frame.round for frame in frames],
        "old_frames": [frame.digest for frame in frames],
        "old_nodes": [*[None] * len(changes.frames), *(node.node for node in changes.nodes)],
        "rounds": [fact.place.frame.round for fact in facts],
        "frames": [fact.place.frame.digest for fact in facts],
        "nodes": [fact.place.node for fact in facts],
        "kinds": [int(fact.kind) for fact in facts],
        "aboves": [fact.place.frame.above for fact in facts],
        "tasks": [as_bytes(fact.call.task) for fact in facts],
        "places": [as_bytes(fact.call.place) for fact in facts],
        "values": [fact.value for fact in facts],
        "drives": [part.drive for part in changes.timeline],
        "numbers": [part.number for part in changes.timeline],
        "parts": [part.data for part in changes.timeline],
        "kept": KEPT_DRIVES,
    }
