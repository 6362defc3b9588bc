"""The layout of a store in PostgreSQL: its tables, and how they come to be.

Text of users is kept as bytes: PostgreSQL's own text can't hold a zero character, nor half of one.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cascade.adapters.postgres_server import PostgresServer
from cascade.spec.errors import SpecError, StoreFormatError

if TYPE_CHECKING:
    import psycopg

PREFIX = "cascade_"
"""What the names of all tables of a store begin with by default."""

STATE, CACHE = "state", "cache"
"""The kinds of stores that a database may have beside each other."""

VERSIONS = {STATE: 2, CACHE: 1}
"""The versions of their tables. In version 1 a store of runs has no inputs, and nothing that a run waits for."""

_NAME = re.compile("[a-z_][a-z0-9_]{0,39}")
_LOCK = 0x43736364  # any number, the same for all who make tables


def checked_prefix(prefix: str) -> str:
    """Return a prefix of table names.

    Raises:
        SpecError: If tables can't be named so.
    """
    if not _NAME.fullmatch(prefix):
        raise SpecError(
            f"prefix={prefix!r} begins no name of a table", "use lower-case letters, digits and _"
        )
    return prefix


_WRITE = """CREATE FUNCTION {p}write(
    _run_id bytea, _holder bytea, _seconds double precision, _safe boolean, _anew boolean, _now double precision,
    _status text, _task bytea, _round bigint, _error bytea, _record bytea, _target bytea, _rules bigint,
    _last bigint, _old_rounds bigint[], _old_frames bytea[], _old_nodes bytea[],
    _rounds bigint[], _frames bytea[], _nodes bytea[], _kinds smallint[], _aboves bytea[], _tasks bytea[],
    _places bytea[], _values bytea[],
    _drives bigint[], _numbers integer[], _parts bytea[], _kept integer,
    _inputs bytea, _waits_for bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE own bigint;
BEGIN
    UPDATE {p}leases SET until = clock_timestamp() + _seconds * interval '1 second'
        WHERE run_id = _run_id AND owner = _holder;
    IF NOT FOUND THEN
        RETURN coalesce((SELECT owner FROM {p}leases WHERE run_id = _run_id), '');
    END IF;
    PERFORM set_config('synchronous_commit', CASE WHEN _safe THEN 'on' ELSE 'off' END, true);
    SELECT id INTO own FROM {p}runs WHERE run_id = _run_id;
    IF _anew THEN
        DELETE FROM {p}runs WHERE id = own;
        INSERT INTO {p}runs (run_id, status, task, round, began, updated, error, record, target, rules, waits_for)
            VALUES (_run_id, _status, _task, _round, _now, _now, _error, _record, _target, _rules, _waits_for)
            RETURNING id INTO own;
    ELSIF own IS NULL THEN
        RETURN '';
    ELSE
        UPDATE {p}runs SET updated = _now, status = coalesce(_status, status), task = coalesce(_task, task),
            round = coalesce(_round, round), error = coalesce(_error, error),
            record = coalesce(_record, record), target = coalesce(_target, target),
            rules = coalesce(_rules, rules), waits_for = coalesce(_waits_for, waits_for) WHERE id = own;
    END IF;
    IF _inputs IS NOT NULL THEN
        INSERT INTO {p}inputs (run, data) VALUES (own, _inputs)
            ON CONFLICT (run) DO UPDATE SET data = excluded.data;
    END IF;
    IF _status = 'succeeded' THEN
        DELETE FROM {p}inputs WHERE run = own;
    END IF;
    IF _last IS NOT NULL THEN
        DELETE FROM {p}facts WHERE run = own AND round <= _last;
    END IF;
    IF cardinality(_old_rounds) > 0 THEN
        DELETE FROM {p}facts f USING unnest(_old_rounds, _old_frames, _old_nodes) AS g (round, frame, node)
            WHERE f.run = own AND f.round = g.round AND f.frame = g.frame AND f.node = coalesce(g.node, f.node);
    END IF;
    INSERT INTO {p}facts (run, round, frame, node, kind, above, task, place, at, value)
        SELECT own, g.round, g.frame, g.node, g.kind, g.above, g.task, g.place, _now, g.value
        FROM unnest(_rounds, _frames, _nodes, _kinds, _aboves, _tasks, _places, _values)
        AS g (round, frame, node, kind, above, task, place, value)
        ON CONFLICT (run, round, frame, node, kind) DO UPDATE SET above = excluded.above,
        task = excluded.task, place = excluded.place, at = excluded.at, value = excluded.value;
    IF cardinality(_drives) > 0 THEN
        INSERT INTO {p}timelines (run, drive, number, data, at)
            SELECT own, g.drive, g.number, g.data, _now FROM unnest(_drives, _numbers, _parts)
            AS g (drive, number, data)
            ON CONFLICT (run, drive, number) DO UPDATE SET data = excluded.data, at = excluded.at;
        DELETE FROM {p}timelines WHERE run = own AND drive < (SELECT DISTINCT drive FROM {p}timelines
            WHERE run = own ORDER BY drive DESC LIMIT 1 OFFSET _kept - 1);
    END IF;
    RETURN NULL;
END $$"""
"""Writes a batch and renews the lease, or changes nothing and returns the owner that the run has now, empty if none.

A function, so that a batch is one statement: it is sent in one go, and is a whole or nothing by itself. Of what is to
be deleted, a node that is NULL stands for all nodes of its frame. Of the timeline so many drives are kept.
"""

_INPUTS = "CREATE TABLE {p}inputs (run bigint PRIMARY KEY REFERENCES {p}runs ON DELETE CASCADE, data bytea NOT NULL)"
_WAITS_FOR = "waits_for bytea NOT NULL DEFAULT ''"

STATE_TABLES = (
    "CREATE TABLE {p}leases (run_id bytea PRIMARY KEY, owner bytea NOT NULL, until timestamptz NOT NULL)",
    f"""CREATE TABLE {{p}}runs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run_id bytea UNIQUE NOT NULL, status text NOT NULL,
        task bytea NOT NULL, round bigint NOT NULL, began double precision NOT NULL,
        updated double precision NOT NULL, error bytea NOT NULL, record bytea NOT NULL, target bytea NOT NULL,
        rules bigint NOT NULL, {_WAITS_FOR})""",
    """CREATE TABLE {p}facts (
        run bigint NOT NULL REFERENCES {p}runs ON DELETE CASCADE, round bigint NOT NULL, frame bytea NOT NULL,
        node bytea NOT NULL, kind smallint NOT NULL, above bytea NOT NULL, task bytea NOT NULL,
        place bytea NOT NULL, at double precision NOT NULL, value bytea NOT NULL,
        PRIMARY KEY (run, round, frame, node, kind))""",
    """CREATE TABLE {p}timelines (
        run bigint NOT NULL REFERENCES {p}runs ON DELETE CASCADE, drive bigint NOT NULL, number integer NOT NULL,
        data bytea NOT NULL, at double precision NOT NULL, PRIMARY KEY (run, drive, number))""",
    _INPUTS,
    _WRITE,
)
"""Leases stand apart from runs: who has opened a run that nobody has begun yet drives it, too."""

STEPS = {STATE: {1: (_INPUTS, f"ALTER TABLE {{p}}runs ADD COLUMN {_WAITS_FOR}", _WRITE)}}
"""By kind and version, the statements that bring a store of that version to the next one.

The function of version 1 stays beside that of version 2, which takes more: processes of before go on until they end.
"""

_STORES = "CREATE TABLE IF NOT EXISTS {p}stores (kind text PRIMARY KEY, version integer NOT NULL)"
_NOTE = """INSERT INTO {p}stores (kind, version) VALUES (%(kind)s, %(version)s)
    ON CONFLICT (kind) DO UPDATE SET version = excluded.version"""
VERSION_OF = "SELECT version FROM {p}stores WHERE kind = %(kind)s"

CACHE_TABLES = (
    """CREATE TABLE {p}cache (
        digest bytea PRIMARY KEY, task bytea NOT NULL, parts bytea NOT NULL, stored_at double precision NOT NULL,
        expires_at double precision, rules integer NOT NULL, value bytea NOT NULL)""",
    "CREATE INDEX {p}cache_of_task ON {p}cache (task, stored_at)",
    "CREATE INDEX {p}cache_by_end ON {p}cache (expires_at)",
)


class Tables:
    """The tables of a store of one kind, whose names begin with `prefix`; they are made when they are first used."""

    def __init__(self, server: PostgresServer, prefix: str, kind: str, statements: tuple[str, ...]) -> None:
        self._server = server
        self._prefix = checked_prefix(prefix)
        self._kind = kind
        self._statements = statements

    async def make(self) -> None:
        """Make the tables if they are not there.

        Raises:
            StoreFormatError: If they are of a newer version.
            StoreError: If the server refuses.
        """
        name = f"{self._prefix}{self._kind}"
        if name not in self._server.sound:
            await self._server.do(self._make)
            self._server.sound.add(name)

    async def _make(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        with suppress(self._server.undefined_table):
            # Without a lock: most often all is there, and one who holds the lock may have gone silent.
            if await self._version(connection) == VERSIONS[self._kind]:
                return
        async with connection.transaction():
            # Two who make tables at the same time would meet in PostgreSQL's own tables, and one would fail.
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            await connection.execute(self._sql(_STORES))
            found, wanted = await self._version(connection), VERSIONS[self._kind]
            statements = [*self._statements]
            if found:
                statements = [each for step in range(found, wanted) for each in STEPS[self._kind][step]]
            for statement in statements:
                await connection.execute(self._sql(statement))
            await connection.execute(self._sql(_NOTE), {"kind": self._kind, "version": wanted})

    async def _version(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> int:
        """Return the version of the store, which is known here; 0 if there is none."""
        found = await connection.execute(self._sql(VERSION_OF), {"kind": self._kind})
        row = await found.fetchone()
        if row is None:
            return 0
        check_known(self._server.address, self._kind, row[0])
        version: int = row[0]
        return version

    def _sql(self, statement: str) -> bytes:
        return statement.format(p=self._prefix).encode()


def check_known(address: str, kind: str, found: int) -> None:
    """Check that a store is of this version, or of one that can be brought up to it.

    Raises:
        StoreFormatError: If it is another one.
    """
    if not 1 <= found <= VERSIONS[kind]:
        raise StoreFormatError(
            address,
            f"is a store of version {found}, and this is for version {VERSIONS[kind]}",
            "use a newer cascade-engine, or another prefix",
        )


def check_current(address: str, kind: str, found: int) -> None:
    """Check that a store is of this very version, for who only looks into it.

    Raises:
        StoreFormatError: If it is another one.
    """
    check_known(address, kind, found)
    if found != VERSIONS[kind]:
        raise StoreFormatError(
            address,
            f"is a store of version {found}, and this is for version {VERSIONS[kind]}",
            "record a run in it, or go on with one: that brings it up",
        )
