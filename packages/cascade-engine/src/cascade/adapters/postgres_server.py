"""How the stores reach a PostgreSQL server. The client library is imported when the first `PostgresServer` is made."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from cascade.adapters.addresses import address_of, check_postgres, split
from cascade.adapters.patience import Patience
from cascade.adapters.postgres_statement import Answer
from cascade.adapters.server_errors import ANSWER_SECONDS, server_errors
from cascade.adapters.server_lanes import Lane, Lanes, Place
from cascade.adapters.spawning import ended, spawn
from cascade.spec.errors import MissingExtraError, SpecError, StoreError

if TYPE_CHECKING:
    import psycopg

_CONNECTIONS = 4
"""Connections of one event loop, beside one for each lane. More of them would only wait for the same disk."""

_T = TypeVar("_T")
Deed = Callable[["psycopg.AsyncConnection[tuple[Any, ...]]"], Awaitable[_T]]
"""Something to do with a connection. It may be done twice: the first answer may get lost on its way."""

Begin = Callable[["psycopg.AsyncConnection[tuple[Any, ...]]"], "tuple[Answer, Callable[[], bool]] | None"]
"""Something to begin: gives the answer that the server will give, and what tells then whether it is done."""


class PostgresServer:
    """A server by its URL, with connections for each event loop that are shared by all who use this object.

    `address` may be shown: it has no user or password. Nothing is sent before the first deed.

    Raises:
        MissingExtraError: If the client is not installed.
        SpecError: If `url` is none of PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        check_postgres(url)
        self.address = address_of(url)
        self._url = url
        try:
            import psycopg  # noqa: PLC0415 - an extra, which may be missing
        except ImportError as missing:  # also if the library that it needs is missing
            raise MissingExtraError("PostgreSQL", "postgres") from missing
        self._client: ModuleType = psycopg
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # whose text may have a part of the password
            problem = f"{self.address} asks for something that a URL of a PostgreSQL server can't ask for"
            raise SpecError(problem, "see the parameters of libpq's connection URIs") from None
        self._secrets = [each for each in _secrets(url) if each]
        self.sound: set[str] = set()
        """The stores whose tables were found in this server, in a version that is known here."""
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()

    async def do(self, deed: Deed[_T], lane: Lane = Lane.ANY) -> _T:
        """Do something, in `ANSWER_SECONDS` at most; if the connection turns out to be dead, once more by another one.

        The time begins when there is a place in the lane.

        Raises:
            StoreError: If the server can't be reached, does not answer in time, or refuses what it is asked.
            CancelledError: If the caller is cancelled; that is raised when the deed has ended.
        """
        # In a task of its own: a deed that is cancelled asks the server to stop, and waits for it for seconds.
        doing = spawn(self._done(deed, lane))
        cancelled = await ended(doing, lambda request: None)
        try:
            if cancelled is not None:
                doing.exception()  # asked for: asyncio reports an exception that nobody has retrieved
                raise cancelled
            with self._store_errors():
                return doing.result()
        finally:
            del doing, cancelled  # their tracebacks have this frame: they would be cycles

    async def do_here(self, deed: Deed[_T], lane: Lane) -> _T:
        """Do as `do` does, for a caller that nobody cancels: it needs no task of its own.

        Raises:
            StoreError: As `do`.
        """
        with self._store_errors():
            return await self._done(deed, lane)

    async def _done(self, deed: Deed[_T], lane: Lane) -> _T:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = _Pool(self._client, self._url)
        async with pool.lanes.place(lane) as patience:
            while True:
                connection, is_fresh = await pool.take(patience)
                try:
                    with _hung_up(connection, patience):
                        return await deed(connection)
                except self._client.OperationalError:
                    if patience.is_over:
                        raise TimeoutError from None
                    if is_fresh or not connection.closed:
                        raise
                finally:
                    pool.give_back(connection)

    def begin(self, deed: Begin, lane: Lane) -> asyncio.Future[bool] | None:
        """Begin a deed now, by an idle connection, without a task; return the future of whether it is done.

        If the connection breaks, it is not known to be done. Returns `None`, and does nothing, if there is no place in
        the lane or no idle connection. The future has a `StoreError` if the server does not answer in time.
        """
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        place = None if pool is None else pool.lanes.place_now(lane)
        if pool is None or place is None:
            return None
        connection = pool.take_idle()
        begun = None
        if connection is not None:
            with suppress(
                self._client.OperationalError
            ):  # then it is closed: who asks again gets another one
                begun = deed(connection)
        if begun is None:
            place.end(None)
            if connection is not None:
                pool.give_back(connection)
            return None
        answer, is_done = begun
        future: asyncio.Future[bool] = loop.create_future()
        place.patience.then = partial(_hang_up, connection)
        answer.ended = partial(self._end, _Begun(pool, place, connection, answer, is_done, future))
        return future

    def _end(self, begun: _Begun) -> None:
        pool, place, connection, answer, is_done, future = begun
        is_over = answer.error is not None and place.patience.is_over
        place.patience.then = None
        place.end(TimeoutError() if is_over else answer.error)
        told = is_done()
        pool.give_back(connection)
        if is_over:
            try:
                with self._store_errors():
                    raise TimeoutError
            except StoreError as problem:
                future.set_exception(problem)
        else:
            future.set_result(told)

    @contextmanager
    def blocking_connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Lend a connection for code that runs in no event loop; it is closed afterwards.

        Raises:
            StoreError: If the server can't be reached, does not answer in time, or refuses what it is asked.
        """
        with self._store_errors():
            connection = self._client.Connection.connect(
                self._url, autocommit=True, connect_timeout=int(ANSWER_SECONDS)
            )
            with closing(connection):
                # Not by `options`, which would take the place of those of the URL: a search path, say.
                connection.execute(f"SET statement_timeout = {int(ANSWER_SECONDS * 1000)}".encode())
                yield connection

    @property
    def undefined_table(self) -> type[Exception]:
        """What a client raises when a table is not there."""
        undefined: type[Exception] = self._client.errors.UndefinedTable
        return undefined

    @property
    def refused(self) -> type[Exception]:
        """What a client raises when the server refuses a statement, or goes away meanwhile."""
        refused: type[Exception] = self._client.DatabaseError
        return refused

    def _store_errors(self) -> AbstractContextManager[None]:
        failures = (self._client.Error, OSError, UnicodeError)
        return server_errors(self.address, (TimeoutError,), failures, self._secrets)

    async def close(self) -> None:
        """Close the connections of the running loop; those of others end with their loops."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()


class _Begun(NamedTuple):
    """A deed that is under way without a task."""

    pool: _Pool
    place: Place
    connection: Any
    answer: Answer
    is_done: Callable[[], bool]
    future: asyncio.Future[bool]


class _Pool:
    """The connections of one event loop.

    A pool of a library hides why a server refuses a connection, and needs tasks of its own.
    """

    def __init__(self, client: ModuleType, url: str) -> None:
        self._client = client
        self._url = url
        self._idle: list[Any] = []
        self.lanes = Lanes(_CONNECTIONS, (TimeoutError,))

    def take_idle(self) -> Any:
        """Return a connection that is idle; `None` if there is none."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def take(self, patience: Patience) -> tuple[Any, bool]:
        """Return a connection, and whether it is a new one: an idle one may be dead."""
        connection = self.take_idle()
        if connection is not None:
            return connection, False
        with patience.limit():
            return await self._client.AsyncConnection.connect(self._url, autocommit=True), True

    def give_back(self, connection: Any) -> None:
        """Keep a connection for the next one, unless it is in the midst of something."""
        idle = self._client.pq.TransactionStatus.IDLE
        if not connection.closed and connection.info.transaction_status == idle:
            self._idle.append(connection)
        else:
            connection.pgconn.finish()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


@contextmanager
def _hung_up(connection: Any, patience: Patience) -> Iterator[None]:
    """Hang up on a server that has not answered in time: who waits for the connection gets an error at once."""
    patience.then = partial(_hang_up, connection)
    try:
        yield
    finally:
        patience.then = None


def _hang_up(connection: Any) -> None:
    if not connection.closed:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


def _secrets(url: str) -> Iterator[str]:
    found = split(url, "", "")
    for each in (found.password, found.username):
        if each:
            yield unquote(each)
