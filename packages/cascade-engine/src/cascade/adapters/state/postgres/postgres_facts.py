"""Plain batches: facts that are put for a run, and nothing else. Most batches of a run are that.

Each is one statement. It locks the row of the lease, so that nobody takes the run over before the facts are there, and
puts nothing if the run has another owner. It does not renew the lease, nor touch the row of the run: that is left to a
batch a second or so, which `RunRows` writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.adapters.postgres_statement import (
    BIGINT,
    BYTEA,
    SMALLINT,
    Answer,
    PreparedStatement,
    array,
    bigint,
    double,
    smallint,
)
from cascade.adapters.state.journal import Changes, Fact, Head
from cascade.adapters.state.servers.run_table import Write
from cascade.adapters.text_bytes import as_bytes

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_PUT = """WITH own AS MATERIALIZED (SELECT r.id FROM {p}leases l JOIN {p}runs r USING (run_id)
    WHERE l.run_id = $1::bytea AND l.owner = $2::bytea AND set_config('synchronous_commit', '{safe}', true) <> ''
    FOR UPDATE OF l)
    INSERT INTO {p}facts (at, run, round, frame, node, kind, above, task, place, value)
    SELECT $3::double precision, own.id, {row}
    ON CONFLICT (run, round, frame, node, kind) DO UPDATE SET above = excluded.above,
    task = excluded.task, place = excluded.place, at = excluded.at, value = excluded.value"""

_ONE = """$4::bigint, $5::bytea, $6::bytea, $7::smallint, $8::bytea, $9::bytea, $10::bytea, $11::bytea FROM own"""
_MANY = """g.* FROM own, unnest($4::bigint[], $5::bytea[], $6::bytea[], $7::smallint[], $8::bytea[], $9::bytea[],
    $10::bytea[], $11::bytea[]) AS g"""
_TYPES = (BIGINT, BYTEA, BYTEA, SMALLINT, BYTEA, BYTEA, BYTEA, BYTEA)

MOST = 10_000
"""Facts that one statement puts, at most."""

MOST_BYTES = 8 << 20
"""Bytes of values that one statement puts, unless one value alone has more."""

_NO_HEAD = Head()


class PlainFacts:
    """Puts facts into tables whose names begin with `prefix`; if that is `safe`, they are on the server's disk then."""

    def __init__(self, prefix: str, safe: bool) -> None:
        given = {"p": prefix, "safe": "on" if safe else "off"}
        name = f"{prefix}facts_{given['safe']}"
        self._one = PreparedStatement(f"{name}_one", _PUT.format(row=_ONE, **given))
        self._many = PreparedStatement(f"{name}_many", _PUT.format(row=_MANY, **given))

    async def put(self, connection: Connection, write: Write) -> bool:
        """Put the facts of a batch for which `are_all` is true.

        Returns False if nothing is put: the run has another owner, or the server has refused something.
        """
        statement = self._statement(write)
        if not statement.is_prepared(connection) and not await statement.prepare(connection):
            return False
        answer = self._send(statement, connection, write)
        await answer.taken()
        return self._are_put(statement, connection, write, answer)

    def put_soon(self, connection: Connection, write: Write) -> tuple[Answer, Callable[[], bool]] | None:
        """Begin to put them; return the server's answer, and what tells then whether they are put, as `put` does.

        Returns `None` if the statement is not prepared yet.
        """
        statement = self._statement(write)
        if not statement.is_prepared(connection):
            return None
        answer = self._send(statement, connection, write)
        return answer, partial(self._are_put, statement, connection, write, answer)

    def _statement(self, write: Write) -> PreparedStatement:
        return self._one if len(write.changes.facts) == 1 else self._many

    def _send(self, statement: PreparedStatement, connection: Connection, write: Write) -> Answer:
        run, facts = write.run, write.changes.facts
        head = (as_bytes(run.run_id), run.holder, double(time.time()))
        if len(facts) == 1:
            return statement.send(connection, (*head, *_row(facts[0])))
        rows = {(fact.place, fact.kind): _row(fact) for fact in facts}  # one statement can't put a row twice
        columns = zip(_TYPES, zip(*rows.values(), strict=True), strict=True)
        return statement.send(connection, (*head, *(array(of, column) for of, column in columns)))

    def _are_put(
        self, statement: PreparedStatement, connection: Connection, write: Write, answer: Answer
    ) -> bool:
        if not answer.is_done:
            statement.forget(connection)
        return answer.rows > 0


def _row(fact: Fact) -> tuple[bytes, ...]:
    (frame, node), kind, value, (task, place) = fact
    return (
        bigint(frame.round),
        frame.digest,
        node,
        smallint(kind),
        frame.above,
        as_bytes(task),
        as_bytes(place),
        value,
    )


def are_all(changes: Changes) -> bool:
    """Tell whether a batch has nothing but facts, and not too many of them for one statement."""
    facts = changes.facts
    if changes.anew or changes.rounds is not None or changes.frames or changes.nodes or changes.timeline:
        return False
    if not 0 < len(facts) <= MOST or changes.head != _NO_HEAD:
        return False
    return len(facts) == 1 or sum(len(fact.value) for fact in facts) <= MOST_BYTES
