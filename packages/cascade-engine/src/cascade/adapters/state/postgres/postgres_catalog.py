"""The runs in a PostgreSQL server, listed by their metadata alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cascade.adapters.postgres_server import PostgresServer
from cascade.adapters.state.catalog import (
    FactPage,
    FactSummary,
    Finding,
    RunPage,
    RunSummary,
    damaged_summary,
    mark_from,
    mark_of,
    summary_of,
)
from cascade.adapters.state.checked import part_of
from cascade.adapters.state.damage import FAULTS, checking
from cascade.adapters.state.journal import Kind, TimelinePart
from cascade.adapters.state.postgres.postgres_health import inspect_server
from cascade.adapters.state.postgres.postgres_layout import (
    PREFIX,
    STATE,
    VERSION_OF,
    check_current,
    checked_prefix,
)
from cascade.adapters.state.timed_lease import name_of
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.spec.durable import OPEN
from cascade.spec.errors import RunActiveError, RunNotFoundError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

_RUNS = """SELECT r.run_id, r.status, r.task, r.round, r.began, r.updated, r.error, r.rules, r.waits_for,
    CASE WHEN l.until > clock_timestamp() THEN l.owner ELSE '' END, coalesce(f.facts, 0), coalesce(f.size, 0)
    FROM {p}runs r LEFT JOIN {p}leases l USING (run_id) LEFT JOIN (
        SELECT run, count(*) AS facts, sum(octet_length(value))::bigint AS size FROM {p}facts
        WHERE kind <> %(link)s GROUP BY run) f ON f.run = r.id
    ORDER BY r.updated DESC, r.id DESC"""

_RUN_PAGE = """SELECT r.run_id, r.status, r.task, r.round, r.began, r.updated, r.error, r.rules, r.waits_for,
    CASE WHEN l.until > clock_timestamp() THEN l.owner ELSE '' END, 0, 0
    FROM {p}runs r LEFT JOIN {p}leases l USING (run_id)
    ORDER BY r.updated DESC, r.id DESC LIMIT %(count)s OFFSET %(first)s"""
_TOTAL = "SELECT count(*) FROM {p}runs"

_ONE = """SELECT r.run_id, r.status, r.task, r.round, r.began, r.updated, r.error, r.rules, r.waits_for,
    CASE WHEN l.until > clock_timestamp() THEN l.owner ELSE '' END,
    (SELECT count(*) FROM {p}facts f WHERE f.run = r.id AND f.kind <> %(link)s),
    (SELECT coalesce(sum(octet_length(f.value)), 0)::bigint FROM {p}facts f WHERE f.run = r.id)
    FROM {p}runs r LEFT JOIN {p}leases l USING (run_id) WHERE r.run_id = %(run_id)b"""

_ONE_UNCOUNTED = """SELECT r.run_id, r.status, r.task, r.round, r.began, r.updated, r.error, r.rules, r.waits_for,
    CASE WHEN l.until > clock_timestamp() THEN l.owner ELSE '' END, 0, 0
    FROM {p}runs r LEFT JOIN {p}leases l USING (run_id) WHERE r.run_id = %(run_id)b"""

_RECOVERABLE = """SELECT r.run_id, r.status, r.task, r.round, r.began, r.updated, r.error, r.rules, r.waits_for,
    '', 0, 0 FROM {p}inputs JOIN {p}runs r ON r.id = run LEFT JOIN {p}leases l USING (run_id)
    WHERE r.status = ANY(%(open)s) AND coalesce(l.until <= clock_timestamp(), true) ORDER BY r.updated, r.id"""

_RECORD = "SELECT record FROM {p}runs WHERE run_id = %(run_id)b"
_INPUTS = "SELECT data FROM {p}inputs WHERE run = (SELECT id FROM {p}runs WHERE run_id = %(run_id)b)"

_HEAD = """SELECT run_id, status, task, round, began, updated, error, rules, waits_for FROM {p}runs
    WHERE run_id = %(run_id)b"""

_FACTS = """SELECT f.round, f.task, f.place, f.kind, f.at, octet_length(f.value)
    FROM {p}facts f JOIN {p}runs r ON r.id = f.run WHERE r.run_id = %(run_id)b AND f.kind <> %(link)s
    ORDER BY f.round, f.at"""

_FACT_PAGE = """SELECT f.round, f.frame, f.node, f.kind, f.task, f.place, f.at, octet_length(f.value)
    FROM {p}facts f JOIN {p}runs r ON r.id = f.run WHERE r.run_id = %(run_id)b AND f.kind <> %(link)s
    AND (f.round, f.frame, f.node, f.kind) > (%(round)s, %(frame)b, %(node)b, %(kind)s)
    ORDER BY f.round, f.frame, f.node, f.kind LIMIT %(count)s"""

_TIMELINE = """SELECT t.drive, t.number, t.data, t.at FROM {p}timelines t JOIN {p}runs r ON r.id = t.run
    WHERE r.run_id = %(run_id)b AND (t.number = 0 OR NOT %(sums)s) ORDER BY t.drive, t.number"""

_LEASE = """SELECT until > clock_timestamp(), owner FROM {p}leases WHERE run_id = %(run_id)b FOR UPDATE"""
_DELETE_LEASE = "DELETE FROM {p}leases WHERE run_id = %(run_id)b"
_DELETE_RUN = "DELETE FROM {p}runs WHERE run_id = %(run_id)b"


class PostgresCatalog:
    """The runs in a PostgreSQL server, in tables whose names begin with `prefix`; for code outside an event loop.

    The server sends no values.

    Raises:
        MissingExtraError: If the extra `cascade-engine[postgres]` is not installed.
        SpecError: If `url` is none of PostgreSQL, or no table can have the `prefix`.
    """

    def __init__(self, url: str, *, prefix: str = PREFIX) -> None:
        self._server = PostgresServer(url)
        self._prefix = checked_prefix(prefix)

    @property
    def address(self) -> str:
        """What tells this store from all others that share a value store."""
        return f"{self._server.address} {self._prefix}"

    def runs(self) -> list[RunSummary]:
        """Return all runs, the last updated first.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            rows = [] if connection is None else self._rows(connection, _RUNS, link=int(Kind.FRAME))
        return [_listed(*row) for row in rows]

    def run_page(self, first: int, count: int) -> RunPage:
        """Return so many runs, the last updated first, from a number on that counts from 0.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            if connection is None:
                return RunPage([], 0)
            rows = self._rows(connection, _RUN_PAGE, first=first, count=count)
            return RunPage([_listed(*row) for row in rows], self._rows(connection, _TOTAL)[0][0])

    def find(self, run_id: str, *, counted: bool = True) -> RunSummary:
        """Return one run; unless its facts are to be `counted`, `facts` and `size` are 0.

        Raises:
            RunNotFoundError: If the server has no such run.
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            own = {"run_id": as_bytes(run_id), "link": int(Kind.FRAME)}
            statement = _ONE if counted else _ONE_UNCOUNTED
            for row in [] if connection is None else self._rows(connection, statement, **own):
                return _listed(*row)
        raise RunNotFoundError(run_id, self._server.address)

    def fact_page(self, run_id: str, after: str | None, count: int) -> FactPage:
        """Return so many facts of a run: the first ones, or those that follow on an earlier page.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunDamagedError: If its data can't be read.
            SpecError: If `after` comes from no page.
            StoreError: If the server can't be read.
        """
        last = (-1, b"", b"", -1) if after is None else mark_from(after)
        keys = dict(zip(("round", "frame", "node", "kind"), last, strict=True))
        own = {"run_id": as_bytes(run_id), "link": int(Kind.FRAME), "count": count}
        with self._connection() as connection:
            if connection is None or not self._rows(connection, _HEAD, run_id=own["run_id"]):
                raise RunNotFoundError(run_id, self._server.address)
            rows = self._rows(connection, _FACT_PAGE, **own, **keys)
        with checking(self._server.address, run_id):
            facts = [
                FactSummary(number, as_text(task), as_text(place), Kind(kind), float(at), int(size))
                for number, _, _, kind, task, place, at, size in rows
            ]
            return FactPage(facts, mark_of(*rows[-1][:4]) if len(rows) == count else None)

    def facts(self, run_id: str) -> list[FactSummary]:
        """Return what is recorded of a run, in the order of rounds, then of time.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunDamagedError: If its data can't be read.
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            heads = [] if connection is None else self._rows(connection, _HEAD, run_id=as_bytes(run_id))
            if connection is None or not heads:
                raise RunNotFoundError(run_id, self._server.address)
            rows = self._rows(connection, _FACTS, run_id=as_bytes(run_id), link=int(Kind.FRAME))
        with checking(self._server.address, run_id):
            _summary(heads[0], "", 0, 0)
            return [
                FactSummary(int(number), as_text(task), as_text(place), Kind(kind), float(at), int(size))
                for number, task, place, kind, at, size in rows
            ]

    def timeline(self, run_id: str, *, sums: bool = False) -> list[TimelinePart]:
        """Return the parts of a run's timeline, by drive and number; with `sums` only those that sum up a drive.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunDamagedError: If they can't be read.
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            own = as_bytes(run_id)
            if connection is None or not self._rows(connection, _HEAD, run_id=own):
                raise RunNotFoundError(run_id, self._server.address)
            rows = self._rows(connection, _TIMELINE, run_id=own, sums=sums)
        with checking(self._server.address, run_id):
            return [part_of(row) for row in rows]

    def recoverable(self) -> list[RunSummary]:
        """Return the runs that another process may go on with, those that were updated last at the end.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            given = [str(each) for each in OPEN]
            rows = [] if connection is None else self._rows(connection, _RECOVERABLE, open=given)
        return [_listed(*row) for row in rows]

    def inputs(self, run_id: str) -> bytes | None:
        """Return what a run has kept of its inputs, encoded; `None` if it has kept nothing, or is not there.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            rows = [] if connection is None else self._rows(connection, _INPUTS, run_id=as_bytes(run_id))
            return rows[0][0] if rows else None

    def record(self, run_id: str) -> bytes | None:
        """Return the record of a run, encoded; `None` if it has none, or is not there.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._connection() as connection:
            rows = [] if connection is None else self._rows(connection, _RECORD, run_id=as_bytes(run_id))
            return (rows[0][0] or None) if rows else None

    def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunActiveError: If somebody drives it.
            StoreError: If the server can't be written.
        """
        with self._connection() as connection:
            deleted = 0
            if connection is not None:
                deleted = self._delete(connection, run_id)
            if not deleted:
                raise RunNotFoundError(run_id, self._server.address)

    def _delete(self, connection: Connection, run_id: str) -> int:
        own = {"run_id": as_bytes(run_id)}
        with connection.transaction():
            # Locked: who wants to drive the run meanwhile waits, and finds that it is gone.
            for is_held, owner in self._rows(connection, _LEASE, **own):
                if is_held:
                    raise RunActiveError(run_id, self._server.address, name_of(owner))
            deleted = connection.execute(self._sql(_DELETE_RUN), own).rowcount
            if deleted:
                connection.execute(self._sql(_DELETE_LEASE), own)
        return deleted

    def inspect(self) -> list[Finding]:
        """Return the server's version, and what its commits survive.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._server.blocking_connection() as connection:
            return inspect_server(connection)

    def close(self) -> None:
        """Do nothing: each method has a connection of its own."""

    @contextmanager
    def _connection(self) -> Iterator[Connection | None]:
        """Lend a connection, once the version of the store was checked; `None` if there is no store.

        Raises:
            StoreFormatError: If a newer version has written it.
            StoreError: If the server can't be read.
        """
        with self._server.blocking_connection() as connection:
            try:
                rows = self._rows(connection, VERSION_OF, kind=STATE)
            except self._server.undefined_table:
                rows = []
            for (version,) in rows:
                check_current(self._server.address, STATE, version)
            yield connection if rows else None

    def _rows(self, connection: Connection, text: str, **given: object) -> list[tuple[Any, ...]]:
        return connection.execute(self._sql(text), given, binary=True).fetchall()

    def _sql(self, text: str) -> bytes:
        return text.format(p=self._prefix).encode()


def _listed(*row: Any) -> RunSummary:
    *columns, owner, facts, size = row
    driver = name_of(owner) if owner else ""
    try:
        return _summary(columns, driver, facts, size)
    except FAULTS:
        return damaged_summary(as_text(columns[0]), driver, facts, size)


def _summary(columns: Sequence[Any], driver: str, facts: int, size: int) -> RunSummary:
    """Return the summary of a run's row.

    Raises:
        FAULTS: If it is damaged.
    """
    run_id, status, task, number, began, updated, error, rules, waits_for = columns
    texts = (as_text(error), rules, as_text(waits_for))
    told = (as_text(run_id), status, as_text(task), number, began, updated, *texts)
    return summary_of(told, driver, facts, size)
