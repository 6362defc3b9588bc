"""The writer of a store: one connection and one thread for all runs that this process records in one file.

What is ready when a commit begins goes with it, of whichever runs; what comes meanwhile goes with the next one. So a
lone commit waits for nobody, and a hundred runs wait for the disk together. Connections of their own would wait for
each other by trying again after a while, for a limited time: of a hundred some would never get through.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from cascade.adapters.forks import in_each_child, leave_alone
from cascade.adapters.spawning import ended
from cascade.adapters.sqlite_bindings.connection import Connection, SqliteError
from cascade.adapters.sqlite_files import (
    BUSY_SECONDS,
    FileWatch,
    Format,
    JournalMode,
    Synchronous,
    Transaction,
    open_connection,
    pragma,
    set_synchronous,
    store_errors,
)
from cascade.spec.errors import StoreError
from cascade.spec.late_dataclasses import dataclass, field

Deed = Callable[[Connection], Any]


class Batch(Protocol):
    """What a run writes: into a transaction that others may share."""

    def write(self, connection: Connection) -> None:
        """Write into the open transaction."""

    def note_written(self) -> None:
        """Note that it is committed."""


@dataclass(slots=True, eq=False)
class _Work:
    """What a run asks for: to do something, or to write a batch. If that is `safe`, it survives loss of power."""

    do: Deed
    batch: Batch | None = None
    safe: bool = False
    asked: float = field(default_factory=time.monotonic)
    result: Any = None
    error: BaseException | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    is_done: bool = False
    waiting: asyncio.Future[None] | None = None

    async def until_done(self) -> Any:
        """Wait until the thread has told that it is done, also when cancelled; return its result."""
        # Once per step of a recorded chain that waits for the disk: a future of the thread pool, which is copied into
        # one of the event loop, takes two more turns of the loop.
        while not self.is_done:
            self.waiting = self.loop.create_future()
            with suppress(asyncio.CancelledError):
                await self.waiting
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback has this frame: they would be a cycle
        return self.result

    def tell(self) -> None:
        """Tell the event loop, from the thread, that it is done."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self.is_done = True
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)


class StoreWriter:
    """Does what the runs in one file ask for, in the order in which they ask. Get it from a `WriterLease`."""

    def __init__(self, path: Path, wanted: Format) -> None:
        self._path = path
        self._format = wanted
        self._queue: deque[_Work] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cascade-state")
        self._using = threading.Lock()  # the connection: held by the thread, or by who writes at once
        self._connection: Connection | None = None
        self._watch = FileWatch(path)
        self._mode = JournalMode.DELETE
        self._set: tuple[float, bool] | None = None  # the patience and the safety that the connection has
        self._refused_at = 0.0  # when the file could last not be used, in monotonic seconds
        self._problem = ("", "")  # the store and the problem of that moment

    async def do(self, deed: Deed) -> Any:
        """Do something in the thread, and wait until it has ended, also when cancelled.

        Raises:
            StoreError: If the file can't be opened, is something else, or is locked for longer than `BUSY_SECONDS`.
        """
        work = _Work(deed)
        self._queue.append(work)
        await self._in_thread(self._serve)  # by way of the event loop, which may refuse threads
        return await work.until_done()

    async def write(self, batch: Batch, *, safe: bool) -> None:
        """Write a batch; return when it is committed, also when cancelled.

        Raises:
            StoreError: If that fails; nothing of it is in the file then.
        """
        work = _Work(batch.write, batch, safe)
        self._queue.append(work)
        self._thread.submit(self._serve)  # it may find that an earlier one has taken it along
        await work.until_done()

    def write_now(self, batch: Batch) -> bool:
        """Commit a batch that need not be safe, if that takes no waiting for others; return whether it is committed.

        Raises:
            StoreError: If that fails for another reason.
        """
        # Once per step of a recorded chain: watched by observatory/benchmarks/bench_durability.py.
        if self._queue or self._connection is None or not self._using.acquire(blocking=False):
            return False
        try:
            self._prepare(self._connection, 0.0, safe=False)
            with Transaction(self._connection):
                batch.write(self._connection)
            self._watch.check()
            batch.note_written()
        except (SqliteError, UnicodeError, OverflowError, OSError) as problem:
            if isinstance(problem, SqliteError) and problem.is_busy:
                return False
            with store_errors(self._path):
                raise
        finally:
            self._using.release()
        return True

    async def close(self) -> None:
        """Close the file, when all that was asked for is done."""
        try:
            await self._in_thread(self._close)
        finally:
            self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        doing = asyncio.get_running_loop().run_in_executor(self._thread, work)
        await ended(doing, _go_on)
        doing.result()

    def _serve(self) -> None:
        """Do what was asked for first; if that is a batch, write all those with it that follow."""
        with self._using:
            works: list[_Work] = []
            while self._queue and (not works or (works[0].batch and self._queue[0].batch)):
                works.append(self._queue.popleft())
            if works:
                self._perform(works)
        for work in works:
            work.tell()

    def _perform(self, works: list[_Work]) -> None:
        waited = [work for work in works if work.asked < self._refused_at]
        for work in waited:  # it would wait just as long, and for nothing
            work.error = StoreError(*self._problem)
        works = [work for work in works if work.error is None]
        if not works:
            return
        try:
            if works[0].batch is None and self._connection is not None and not self._watch.is_same():
                self._close_connection()  # a run that begins is not to go into a file that was removed
            connection = self._opened()
            self._prepare(connection, BUSY_SECONDS, safe=any(work.safe for work in works))
            if works[0].batch is not None:
                self._write_all(connection, works)
            else:
                works[0].result = works[0].do(connection)
        except BaseException as problem:  # noqa: BLE001 - raised for each who waits
            if isinstance(problem, StoreError) and _is_busy(problem):
                self._refused_at = time.monotonic()
                self._problem = (problem.store, problem.problem)
            for work in works:
                work.error = work.error or _another(problem)

    def _write_all(self, connection: Connection, works: list[_Work]) -> None:
        """Write batches in one transaction. One that fails is left out of it."""
        with store_errors(self._path), Transaction(connection):
            if len(works) == 1:
                works[0].do(connection)
            else:
                for work in works:
                    self._write_one(connection, work)
        self._watch.check()
        for work in works:
            if work.batch is not None and work.error is None:
                work.batch.note_written()

    def _write_one(self, connection: Connection, work: _Work) -> None:
        connection.execute("SAVEPOINT batch")
        try:
            with store_errors(self._path):
                work.do(connection)
        except StoreError as problem:
            if not connection.in_transaction:  # a full disk, for one, ends all of it
                raise
            connection.execute("ROLLBACK TO batch")
            work.error = problem
        connection.execute("RELEASE batch")

    def _opened(self) -> Connection:
        """Return the connection, which is opened if it is not."""
        if self._connection is not None:
            return self._connection
        connection = open_connection(self._path, synchronous=Synchronous.FULL, wanted=self._format)
        try:
            if not os.access(
                self._path, os.W_OK
            ):  # SQLite tells it with the first commit, when calls were made
                raise StoreError(str(self._path), "is read-only here")
            with store_errors(self._path):
                pragma(connection, "secure_delete = on")  # as `SqliteCatalog.delete` promises
                self._mode = JournalMode(pragma(connection, "journal_mode"))
            self._watch.begin(self._mode)
        except BaseException:
            connection.close()
            raise
        self._connection, self._set = connection, None
        return connection

    def _prepare(self, connection: Connection, patience: float, *, safe: bool) -> None:
        if self._set != (patience, safe):
            connection.set_patience(patience)
            set_synchronous(connection, Synchronous.FULL if safe else Synchronous.OFF, self._mode)
            self._set = (patience, safe)

    def _close(self) -> None:
        with self._using:
            self._close_connection()

    def _close_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with store_errors(self._path):
                connection.close()


def _go_on(request: asyncio.CancelledError) -> None:
    """Let what was asked for go on to its end; who waits is told of the cancellation by the journal's caller."""


def _another(problem: BaseException) -> BaseException:
    """Return an error for one of several who wait: they note on it what was theirs."""
    if type(problem) is not StoreError:
        return problem
    error = StoreError(problem.store, problem.problem)
    error.__cause__ = problem.__cause__
    return error


def _is_busy(problem: StoreError) -> bool:
    return isinstance(problem.__cause__, SqliteError) and problem.__cause__.is_busy


class WriterLease:
    """The use of the writer of a file, until it is released; the last one closes it."""

    def __init__(self, path: Path, wanted: Format) -> None:
        self._key = path.resolve()
        with _making:
            self.writer, users = _writers.get(self._key) or (StoreWriter(path, wanted), 0)
            _writers[self._key] = self.writer, users + 1

    async def release(self) -> None:
        """Let go of the writer."""
        with _making:
            writer, users = _writers.pop(self._key, (self.writer, 0))  # none in a forked child
            if users > 1:
                _writers[self._key] = writer, users - 1
        if users == 1:
            await writer.close()


_writers: dict[Path, tuple[StoreWriter, int]] = {}
_making = threading.Lock()


def _forget_all() -> None:
    global _making
    _making = threading.Lock()
    leave_alone(*(writer for writer, _ in _writers.values()))  # SQLite may not be used across a fork
    _writers.clear()


in_each_child(_forget_all)
