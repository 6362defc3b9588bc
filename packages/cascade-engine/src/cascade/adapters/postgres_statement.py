"""One statement, prepared in a PostgreSQL server and executed without a cursor.

A cursor converts values by their types and waits by a task or two of the event loop: for a statement of one row, that
takes longer than the server. Here the caller gives parameters as bytes in PostgreSQL's binary form, and a callback of
the loop takes the answer. All of it is libpq's own interface, as `psycopg.pq` documents it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
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
    """A statement that puts rows. Its parameters are written as `$1`, `$2`, each with a cast that tells its type.

    `name` is what it is called in the server, one name for each text.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name = name.encode()
        self._text = text.encode()

    def is_prepared(self, connection: Connection) -> bool:
        """Tell whether the server knows it already, from this connection."""
        return self._name in _known.get(connection, ())

    async def prepare(self, connection: Connection) -> bool:
        """Let the server know it; return whether it does. This is seen through to its end, as `Answer.taken` says.

        Raises:
            psycopg.OperationalError: If the connection breaks.
        """
        connection.pgconn.send_prepare(self._name, self._text)
        answer = Answer(connection.pgconn)
        await answer.taken()
        if answer.is_done:
            _known.setdefault(connection, set()).add(self._name)
        return answer.is_done

    def forget(self, connection: Connection) -> None:
        """Prepare it anew when it is needed next: something between here and the server may have forgotten it."""
        _known[connection].discard(self._name)

    def send(self, connection: Connection, given: Sequence[bytes]) -> Answer:
        """Execute it, once it is prepared, in a transaction of its own.

        Raises:
            psycopg.OperationalError: If the connection is broken already.
        """
        # Once per step of a recorded chain: watched by the rows "durable ... in PostgreSQL" of the observatory.
        pgconn = connection.pgconn
        pgconn.send_query_prepared(self._name, given, [_BINARY] * len(given), _BINARY)
        return Answer(pgconn)


_COMMAND_OK = 1  # of libpq's `ExecStatusType`


class Answer:
    """What a server says to what was sent to it last. `ended` is called when it is there, or the connection broke."""

    __slots__ = ("_is_writing", "_loop", "_pgconn", "_results", "_socket", "ended", "error", "is_there")

    def __init__(self, pgconn: psycopg.pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = pgconn.socket
        self._results: list[psycopg.pq.abc.PGresult] = []
        self.error: Exception | None = None
        self.is_there = False
        self.ended: Callable[[], None] | None = None
        self._is_writing = bool(pgconn.flush())
        if self._is_writing:  # not all has been sent
            self._loop.add_writer(self._socket, self._send)
        self._loop.add_reader(self._socket, self._read)

    @property
    def is_done(self) -> bool:
        """Tell whether the server has done what it was asked."""
        results = self._results
        return self.error is None and len(results) == 1 and results[0].status == _COMMAND_OK

    @property
    def rows(self) -> int:
        """How many rows were put."""
        return (self._results[0].command_tuples or 0) if self.is_done else 0

    async def taken(self) -> None:
        """Wait until it is there, also when cancelled; a caller who was cancelled gets a `CancelledError` then.

        Raises:
            psycopg.OperationalError: If the connection breaks.
        """
        loop, cancelled = self._loop, None
        try:
            while not self.is_there:
                waiting = loop.create_future()
                self.ended = partial(_wake, waiting)
                try:
                    await waiting
                except asyncio.CancelledError as request:
                    cancelled = request
            if self.error is not None:
                raise self.error
            if cancelled is not None:
                raise cancelled
        finally:
            cancelled = None  # its traceback has this frame: they would be a cycle

    def _send(self) -> None:
        try:
            if not self._pgconn.flush():
                self._stop_writing()
        except Exception as error:  # noqa: BLE001 - told to who waits for the answer
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
        except Exception as error:  # noqa: BLE001 - as above
            self._end(error)

    def _stop_writing(self) -> None:
        self._is_writing = False
        self._loop.remove_writer(self._socket)

    def _end(self, error: Exception | None) -> None:
        self._loop.remove_reader(self._socket)
        if self._is_writing:
            self._stop_writing()
        self.is_there, self.error = True, error
        if self.ended is not None:
            self.ended()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
