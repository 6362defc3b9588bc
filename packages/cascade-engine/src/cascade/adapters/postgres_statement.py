"""One statement, prepared in a PostgreSQL server and executed without a cursor.

A cursor converts values by their types and waits by a task or two of the event loop: for a statement of one row, that
takes longer than the server. Here the caller gives parameters as bytes in PostgreSQL's binary form, and a callback of
the loop takes the answer. All of it is libpq's own interface, as `psycopg.pq` documents it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

bigint = Struct("!q").pack
smallint = Struct("!h").pack
double = Struct("!d").pack
"""Numbers in PostgreSQL's binary form; `bytea` is the bytes themselves."""

BYTEA, BIGINT, SMALLINT = 17, 20, 21
"""PostgreSQL's numbers of types, for arrays of them."""

_ARRAY, _LENGTH = Struct("!iiIii").pack, Struct("!i").pack
_BINARY = 1


def array(of: int, elements: Sequence[bytes]) -> bytes:
    """Return an array of elements of one type, none of which is NULL, in binary form."""
    parts = [_ARRAY(1, 0, of, len(elements), 1)]
    for each in elements:
        parts += (_LENGTH(len(each)), each)
    return b"".join(parts)


_known: WeakKeyDictionary[Connection, set[bytes]] = WeakKeyDictionary()
"""The names of the statements that are prepared in each connection."""


class PreparedStatement:
    """A statement whose parameters are written as `$1`, `$2`, each with a cast that tells its type.

    `name` is what it is called in the server, one name for each text.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name = name.encode()
        self._text = text.encode()

    async def rows(self, connection: Connection, given: Sequence[bytes]) -> int | None:
        """Execute it in a transaction of its own; return how many rows it has put, or `None` if the server refuses it.

        It is seen through to its end also when the caller is cancelled, who gets a `CancelledError` then.

        Raises:
            psycopg.OperationalError: If the connection breaks.
        """
        # Once per step of a recorded chain: watched by the rows "durable ... in PostgreSQL" of the observatory.
        pgconn = connection.pgconn
        known = _known.setdefault(connection, set())
        if self._name not in known:
            pgconn.send_prepare(self._name, self._text)
            if not _is_done(await _Answer(pgconn).taken()):
                return None
            known.add(self._name)
        pgconn.send_query_prepared(self._name, given, [_BINARY] * len(given), _BINARY)
        results = await _Answer(pgconn).taken()
        if not _is_done(results):
            known.discard(self._name)  # perhaps something between here and the server has forgotten it
            return None
        return results[0].command_tuples or 0


def _is_done(results: Sequence[psycopg.pq.abc.PGresult]) -> bool:
    return len(results) == 1 and results[0].status == _COMMAND_OK


_COMMAND_OK = 1  # of libpq's `ExecStatusType`


class _Answer:
    """What a server says to what was sent to it last."""

    __slots__ = ("_error", "_is_there", "_loop", "_pgconn", "_results", "_socket", "_waiting")

    def __init__(self, pgconn: psycopg.pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = pgconn.socket
        self._results: list[psycopg.pq.abc.PGresult] = []
        self._error: Exception | None = None
        self._is_there = False
        self._waiting: asyncio.Future[None] | None = None

    async def taken(self) -> list[psycopg.pq.abc.PGresult]:
        """Wait until it is there, also when cancelled; return it."""
        loop, cancelled = self._loop, None
        if self._pgconn.flush():  # not all has been sent
            loop.add_writer(self._socket, self._send)
        loop.add_reader(self._socket, self._read)
        try:
            while not self._is_there:
                self._waiting = loop.create_future()
                try:
                    await self._waiting
                except asyncio.CancelledError as request:
                    cancelled = request
            if self._error is not None:
                raise self._error
            if cancelled is not None:
                raise cancelled
            return self._results
        finally:
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._error = cancelled = None  # their tracebacks have this frame: they would be cycles

    def _send(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._end(error)

    def _read(self) -> None:
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._end(None)
                    return
                self._results.append(result)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        self._is_there, self._error = True, error
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
