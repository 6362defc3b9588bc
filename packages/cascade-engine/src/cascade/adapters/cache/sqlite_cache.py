"""The cache in an SQLite file, which the processes of one host share.

Reads are made in the caller's thread, since most take less time than it takes to wake another one. A read that would
have to wait for a writer is made in the writing thread. Puts that come together share a transaction.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from cascade.adapters.cache.large_values import CacheFiles
from cascade.adapters.cache.pruning import HeldEntry
from cascade.adapters.cache.stored import (
    FOLDER_DIGEST,
    SHORT,
    Encoded,
    StoredCache,
    entry_of,
    hit_of,
    parts_as_text,
    pointer_of,
)
from cascade.adapters.forks import leave_alone, watch_forks
from cascade.adapters.sqlite_bindings.connection import Connection, SqliteError
from cascade.adapters.sqlite_files import (
    Format,
    Synchronous,
    Transaction,
    is_claimed,
    open_connection,
    open_to_look,
    pragma,
    store_errors,
)
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.pointer import is_pointer
from cascade.adapters.values.value_files import FileValueStore
from cascade.adapters.values.value_pointer import is_value_pointer
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.errors import StoreError, StoreFormatError
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit

FORMAT = Format(
    "Cascade cache",
    mark=0x43734361,  # "CsCa"
    version=2,
    tables=(
        """CREATE TABLE entry (
            digest TEXT PRIMARY KEY NOT NULL, task TEXT NOT NULL, parts TEXT NOT NULL, stored_at REAL NOT NULL,
            expires_at REAL, number INTEGER NOT NULL, size INTEGER NOT NULL, value BLOB NOT NULL,
            rules INTEGER NOT NULL DEFAULT 1
        )""",
        "CREATE INDEX entry_of_task ON entry (task, number)",
        "CREATE INDEX entry_by_age ON entry (number, size)",
    ),
    # Cascade 0.1 wrote version 1. Its entries are never hits, and are still listed.
    steps={1: ("ALTER TABLE entry ADD COLUMN rules INTEGER NOT NULL DEFAULT 1",)},
)
"""`rules` are those by which the digest was made."""

_GET = "SELECT value, stored_at, expires_at FROM entry WHERE digest = ?"
_PUT = (
    "INSERT OR REPLACE INTO entry (digest, task, parts, stored_at, expires_at, size, value, rules, number)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM entry))"
)
_ENTRIES = (
    "SELECT digest, task, parts, stored_at, expires_at, {rules} FROM entry WHERE task = ?"
    " ORDER BY number DESC LIMIT ?"
)
# Sums from the youngest on: what lies beyond the bounds goes.
_BEYOND = (
    "SELECT number FROM (SELECT number, row_number() OVER (ORDER BY number DESC) AS rank,"
    " sum(size) OVER (ORDER BY number DESC) AS total FROM entry) WHERE rank > ? OR total > ? LIMIT 1"
)
_TOTALS = "SELECT count(*), total(size) FROM entry"
_EVICT = "DELETE FROM entry WHERE number <= ? AND number > 0"
_EVICTED = "SELECT digest, value, stored_at, expires_at FROM entry WHERE number <= ? AND length(value) < 512"
_HELD = (
    "SELECT digest, stored_at, expires_at, size, CASE WHEN length(value) < ? THEN value END"
    " FROM entry WHERE number > 0"
)
_DROP = "DELETE FROM entry WHERE digest = ? AND stored_at = ?"
_NAME_FOLDER = (
    "INSERT OR IGNORE INTO entry (digest, task, parts, stored_at, expires_at, size, value, rules, number)"
    " VALUES (?, '', '', 0.0, NULL, 0, ?, ?, 0)"
)
_SIZE = 5
"""Where the size stands in a row that is put."""
_SHARE = 16
"""A look at the bounds takes O(entries), so it is made after each 16th part of what they allow or of what is there."""

Row = tuple[Any, ...]


class SqliteCacheBackend(StoredCache):
    """Keeps values in a file, which is made if it is not there; any number of processes may share it.

    It keeps about `max_entries` values and `max_bytes` of encoded values at most; the oldest ones are dropped first.
    `clock` returns seconds; all who share the file need the same one. Loss of power may cost the last values. With
    `create=False` a missing file is not made, and nothing is written before the first put.

    Raises:
        StoreError: If the file can't be opened.
        StoreNotFoundError: If it is not there, and is not to be made.
        StoreFormatError: If it is not a cache, or was written by a newer version.
    """

    def __init__(  # noqa: PLR0913 - public settings
        self,
        path: str | os.PathLike[str],
        codec: Codec | None = None,
        *,
        values: KeptValues | None = None,
        clock: Callable[[], float] = time.time,
        max_entries: int = 1_000_000,
        max_bytes: int = 4 << 30,
        create: bool = True,
    ) -> None:
        super().__init__(codec, clock, values)
        self._path = os.fspath(path)
        self._bounds = (max_entries, max_bytes)
        self._until_look = (0, 0)  # puts and bytes: the first put looks, however few a process makes
        self._files = CacheFiles(FileValueStore.beside(self._path))
        self._evicted: list[str] = []  # names in the value store
        self._is_looking = not create
        self._is_inherited = False
        self._begin()
        watch_forks(self)

    def _begin(self) -> None:
        self._pending: deque[tuple[Row, Future[None]]] = deque()
        self._reading = Lock()
        self._open(to_look=self._is_looking)
        # Its thread begins with the first task and ends with the interpreter at the latest.
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, "cascade-cache")

    def forget_parent(self) -> None:
        """Open the file again in a forked child, when it is needed: SQLite may not be used across a fork."""
        if self._thread is not None:
            leave_alone(self._thread, self._reader, self._writer)
            self._thread, self._is_inherited = None, True

    def _open_thread(self) -> ThreadPoolExecutor:
        if self._thread is None and self._is_inherited:
            self._begin()
            self._is_inherited = False
        if self._thread is None:
            raise StoreError(self._path, "the cache is closed")
        return self._thread

    def _open(self, *, to_look: bool) -> None:
        self._is_looking = to_look
        if to_look:
            self._writer = open_to_look(self._path)
        else:
            self._writer = open_connection(self._path, synchronous=Synchronous.NORMAL, wanted=FORMAT)
        try:
            if to_look:
                self._check_claimed()
                self._reader = open_to_look(self._path)
            else:
                self._reader = open_connection(self._path, synchronous=Synchronous.NORMAL)
        except BaseException:
            self._writer.close()
            raise
        self._reader.set_patience(0)

    def _check_claimed(self) -> None:
        with store_errors(self._path):
            if not is_claimed(self._writer, self._path, FORMAT):
                raise StoreFormatError(
                    self._path, f"is empty, and no {FORMAT.name}", "give the path of another file"
                )

    async def get(self, key: CacheKey) -> Hit | None:
        """Return a value that has not expired and is not damaged.

        Raises:
            StoreError: If the file can't be read, or stays locked for longer than `BUSY_SECONDS`.
        """
        row = await self._read(_fetch_one, _GET, (key.digest,))
        if row is not None and isinstance(row[0], bytes) and is_pointer(row[0]):
            row = await asyncio.wrap_future(self._submit(self._files.load, key.digest, row))
        return None if row is None else await self._hit(key.digest, *row)

    def look(self, key: CacheKey) -> Hit | None:
        """Return what `get` would, if that needs no waiting; `None` if it does, or if something is wrong."""
        # Once per cached call that is not made: watched by observatory/benchmarks/bench_durability.py.
        if self._thread is None or not self._reading.acquire(blocking=False):
            return None
        try:
            row = _fetch_one(self._reader, _GET, (key.digest,))
        except SqliteError:
            return None
        finally:
            self._reading.release()
        # Who wants a large value waits for a thread to read its file.
        if row is None or (isinstance(row[0], bytes) and (is_pointer(row[0]) or is_value_pointer(row[0]))):
            return None
        return hit_of(self._codec, self._clock(), key.digest, *row)

    async def _folder(self, new: str) -> str:
        found: str = await asyncio.wrap_future(self._submit(self._named_folder, new))
        return found

    def _named_folder(self, new: str) -> str:
        if self._is_looking:
            self._stop_looking()
        with store_errors(self._path), Transaction(self._writer):
            self._writer.execute(_NAME_FOLDER, (FOLDER_DIGEST, new.encode(), DIGEST_RULES))
            ((name, *_),) = self._writer.select(_GET, (FOLDER_DIGEST,))
        return bytes(name).decode()

    async def _store(self, encoded: Encoded, data: bytes) -> None:
        key = encoded.key
        row = (
            key.digest,
            key.task,
            parts_as_text(key),
            encoded.stored_at,
            encoded.expires_at,
            len(encoded.data),
            data,
            DIGEST_RULES,
        )
        written: Future[None] = Future()
        self._pending.append((row, written))
        self._submit(self._write)
        await asyncio.wrap_future(written)

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return the entries of a task, the last put first.

        Raises:
            StoreError: If the file can't be read.
        """
        rows = await self._read(_fetch_entries, _ENTRIES, (task, limit))
        found = (entry_of(digest, task, *rest) for digest, _, *rest in rows)
        return [each for each in found if each is not None]

    async def held(self) -> list[HeldEntry]:
        """Return all entries.

        Raises:
            StoreError: If the file can't be read.
        """
        rows = await self._read(_fetch_all, _HELD, (SHORT,))
        return [
            HeldEntry(digest, stored, expires, size, pointer_of(digest, data, stored, expires))
            for digest, stored, expires, size, data in rows
        ]

    async def drop(self, entries: Sequence[HeldEntry]) -> list[HeldEntry]:
        """Remove entries; return those that were removed. One that was put again meanwhile stays.

        Raises:
            StoreError: If the file can't be written.
        """
        dropped: list[HeldEntry] = await asyncio.wrap_future(self._submit(self._drop, entries))
        return dropped

    def _drop(self, entries: Sequence[HeldEntry]) -> list[HeldEntry]:
        if self._is_looking:
            self._stop_looking()
        dropped = []
        self._files.note_replaced(self._writer, ())  # what an earlier transaction has noted was not committed
        with store_errors(self._path), Transaction(self._writer):
            for entry in entries:
                self._files.note_dropped(self._writer, entry.digest, entry.stored_at)
                self._writer.execute(_DROP, (entry.digest, entry.stored_at))
                if self._writer.changes():
                    dropped.append(entry)
            self._files.sweep(self._writer)
        self._files.clean()
        return dropped

    async def close(self) -> None:
        """Write what is pending and close the file."""
        thread, self._thread, self._is_inherited = self._thread, None, False
        if thread is None:
            return
        try:
            await asyncio.wrap_future(thread.submit(self._close))
        finally:
            thread.shutdown()

    def _close(self) -> None:
        with self._reading:
            self._close_connections()

    def _close_connections(self) -> None:
        self._reader.close()
        self._writer.close()

    def _submit(self, work: Callable[..., Any], *args: object) -> Future[Any]:
        return self._open_thread().submit(work, *args)

    async def _read(self, fetch: Callable[[Connection, str, Row], Any], query: str, values: Row) -> Any:
        self._open_thread()
        if self._reading.acquire(blocking=False):
            try:
                return fetch(self._reader, query, values)
            except SqliteError as problem:
                if not problem.is_busy:
                    raise StoreError(self._path, problem.text) from problem
            finally:
                self._reading.release()
        with store_errors(self._path):
            # The thread may open another connection before it comes to this.
            return await asyncio.wrap_future(self._submit(lambda: fetch(self._writer, query, values)))

    def _write(self) -> None:
        """Write all that is pending, in one transaction; in the writing thread."""
        batch = []
        while self._pending:
            row, written = self._pending.popleft()
            if written.set_running_or_notify_cancel():
                batch.append((row, written))
        if not batch:
            return
        try:
            if self._is_looking:
                self._stop_looking()
            rows = self._files.write_large([row for row, _ in batch])
            with store_errors(self._path), Transaction(self._writer):
                self._files.note_replaced(self._writer, rows)
                self._writer.executemany(_PUT, rows)
                self._keep_bounds(len(batch), sum(row[_SIZE] for row in rows))
            self._files.clean()
            if self._values is not None and self._evicted:
                evicted, self._evicted = self._evicted, []
                self._values.delete_now(evicted)
        except BaseException as problem:  # noqa: BLE001 - raised for each who waits
            for _, written in batch:
                written.set_exception(problem)
        else:
            for _, written in batch:
                written.set_result(None)

    def _stop_looking(self) -> None:
        """Open the file for writing: one of an older version is brought up, and the journal is set."""
        with self._reading:
            self._close_connections()  # the journal is set when nobody else has the file open
            try:
                self._open(to_look=False)
            except BaseException:
                self._open(to_look=True)
                raise

    def _keep_bounds(self, puts: int, size: int) -> None:
        """Count what was put; now and then, delete what exceeds the bounds."""
        puts_left, size_left = self._until_look
        self._until_look = (puts_left - puts, size_left - size)
        if min(self._until_look) > 0:
            return
        ((count, total),) = self._writer.select(_TOTALS)
        most, largest = self._bounds
        if count > most or total > largest:
            (beyond,) = self._writer.select(_BEYOND, self._bounds)
            self._files.note_evicted(self._writer, beyond)
            if self._values is not None:
                pointers = [pointer_of(*row) for row in self._writer.select(_EVICTED, beyond)]
                self._evicted += [pointer.name for pointer in pointers if pointer is not None]
            self._writer.execute(_EVICT, beyond)
        self._files.sweep(self._writer)
        self._until_look = (min(most, max(count, 1024)) // _SHARE, largest // _SHARE)


def _fetch_one(connection: Connection, query: str, values: Row) -> Any:
    return connection.first(query, values)


def _fetch_all(connection: Connection, query: str, values: Row) -> list[Any]:
    return connection.select(query, values)


def _fetch_entries(connection: Connection, query: str, values: Row) -> list[Any]:
    # Looked at each time: a file that was opened for looking may be brought up by others meanwhile.
    is_older = pragma(connection, "user_version") < FORMAT.version
    return connection.select(query.format(rules=1 if is_older else "rules"), values)
