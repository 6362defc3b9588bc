"""State in an SQLite file: a table of runs, a table of their facts, and a writer thread for each run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from cascade.adapters.sqlite_bindings.connection import Connection, SqliteError
from cascade.adapters.sqlite_files import (
    BUSY_SECONDS,
    FileWatch,
    Format,
    JournalMode,
    Synchronous,
    claim,
    open_connection,
    pragma,
    store_errors,
    transaction,
)
from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.journal import Changes, Durability, Fact, Loaded
from cascade.adapters.state.lease import FileLease, this_process
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.sqlite.run_files import RunFiles
from cascade.adapters.values.value_files import FileValueStore
from cascade.adapters.write_lock import lock_for
from cascade.spec.durable import RunStatus
from cascade.spec.errors import RunActiveError, RunLostError, StoreError
from cascade.spec.protocols import Codec

T = TypeVar("T")

RUNS = Format(
    name="store of runs",
    mark=0x43534452,
    version=2,
    tables=(
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, run_id TEXT UNIQUE NOT NULL, status TEXT NOT NULL, task TEXT NOT NULL,
            round INTEGER NOT NULL, began REAL NOT NULL, updated REAL NOT NULL, error TEXT NOT NULL,
            record BLOB NOT NULL, target BLOB NOT NULL,
            rules INTEGER NOT NULL DEFAULT 1, owner TEXT NOT NULL DEFAULT '')""",
        """CREATE TABLE facts (
            run INTEGER NOT NULL, round INTEGER NOT NULL, frame BLOB NOT NULL, node BLOB NOT NULL,
            kind INTEGER NOT NULL, above BLOB NOT NULL, task TEXT NOT NULL, place TEXT NOT NULL,
            at REAL NOT NULL, value BLOB NOT NULL,
            UNIQUE (run, round, frame, node, kind))""",
    ),
    # Cascade 0.1 wrote version 1. A step and the views for it say the same, one to write and one to look.
    steps={
        1: (
            "ALTER TABLE runs ADD COLUMN rules INTEGER NOT NULL DEFAULT 1",
            "ALTER TABLE runs ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
        ),
    },
    views={1: ("CREATE TEMP VIEW runs AS SELECT *, 1 AS rules, '' AS owner FROM main.runs",)},
)
"""`rules` are those of the run's digests; `owner` is who drives the run, or did so last."""

_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT = f"INSERT OR REPLACE INTO facts VALUES {_ROW}"
_MANY = 64
"""Rows that are put by one statement, which keeps out of the interpreter's way and the interpreter out of its own."""
_PUT_MANY = f"INSERT OR REPLACE INTO facts VALUES {', '.join([_ROW] * _MANY)}"

_SHORT_ROWS, _SHORT_BYTES = 16, 16_384


class SqliteStateBackend(RecordedState):
    """The facts of one run in an SQLite file, which is made if it is not there.

    `durability="sync"` survives the loss of power. `"async"` survives the end of the process and is several times as
    fast, but loss of power may damage the file. The facts of the last `keep_rounds` rounds of the run's own loop stay
    in the file.

    Raises:
        PolicyError: If `durability` or `keep_rounds` makes no sense.
        SpecError: If `run_id` can't be written as UTF-8.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        run_id: str,
        durability: str = Durability.SYNC,
        keep_rounds: int = 1,
        codec: Codec | None = None,
    ) -> None:
        journal = SqliteJournal(path, run_id, Durability.of(durability))
        super().__init__(journal, run_id, codec=codec, keep_rounds=keep_rounds)


class SqliteJournal:
    """One run's rows in an SQLite file. Nobody else writes them while the run's lock file is locked.

    A lock file can be removed, and a file can have two names, each with a lock file. So each write checks in the same
    transaction, by a token of the writer, that nobody else has written the run since. A process that has lost the run
    can't write any more.
    """

    def __init__(self, path: str | os.PathLike[str], run_id: str, durability: Durability) -> None:
        self._path = Path(path)
        self.store = str(self._path)
        self._run_id = run_id
        self._durability = durability
        self._lease = FileLease(lock_path(self._path, run_id))
        self._write_lock = lock_for(self._path)
        self._files = RunFiles(FileValueStore.beside(self._path), run_id, safe=durability is Durability.SYNC)
        self._watch = FileWatch(self._path)
        self._writer: ThreadPoolExecutor | None = None
        self._connection: Connection | None = None
        self._run: int | None = None
        self._owner = ""  # by whom the run was written last, as far as is known here
        self._token = f"{token_hex(16)} {this_process()}"

    async def open(self, anew: bool = False) -> Loaded | None:
        """Lock the run and read its rows, unless they are to be forgotten.

        Raises:
            RunActiveError: If another process, or another run of this one, has it.
            StoreError: If the file can't be read, is not a store of runs, or is one of a newer version.
        """
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cascade-state")
        return await self._in_writer(lambda: self._open(anew))

    async def write(self, changes: Changes) -> None:
        """Write a batch as one transaction.

        Raises:
            StoreError: If that fails; nothing of it is in the file then.
        """
        if not self._is_short(changes) or not self._write_here(changes):
            await self._in_writer(lambda: self._write_patiently(changes))

    def _is_short(self, changes: Changes) -> bool:
        """Tell whether writing a batch takes less time than waking a thread: a few rows, and no wait for a disk."""
        if self._durability is Durability.SYNC or len(changes.facts) > _SHORT_ROWS:
            return False
        head = changes.head
        size = len(head.record or b"") + len(head.target or b"")
        return size + sum(len(fact.value) for fact in changes.facts) <= _SHORT_BYTES

    def _write_here(self, changes: Changes) -> bool:
        """Write a batch in the thread of the event loop; return false if that would have to wait for another writer."""
        if self._writer is None or self._connection is None:
            return False
        try:
            self._write(changes, wait=False)
        except BlockingIOError:
            return False
        except StoreError as problem:
            if not _is_busy(problem.__cause__):
                raise
            return False
        return True

    async def close(self) -> None:
        """Close the file and unlock the run."""
        if self._writer is not None:
            writer = self._writer
            try:
                await self._in_writer(self._close)
            finally:
                self._writer = None
                writer.shutdown()

    async def _in_writer(self, work: Callable[[], T]) -> T:
        """Do something in the writer's thread, and wait until it has ended, also when cancelled."""
        if self._writer is None:
            raise StoreError(str(self._path), "is not open")
        doing = asyncio.get_running_loop().run_in_executor(self._writer, work)
        while not doing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([doing])
        return doing.result()

    def _open(self, anew: bool) -> Loaded | None:
        with store_errors(self._path):
            holder = self._lease.take()
        if holder is not None:
            raise RunActiveError(self._run_id, str(self._path), holder)
        safe = self._durability is Durability.SYNC
        with self._write_lock.held():
            self._connection = open_connection(
                self._path, synchronous=Synchronous.FULL if safe else Synchronous.OFF
            )
            claim(self._connection, self._path, RUNS)
            self._watch.begin(JournalMode(pragma(self._connection, "journal_mode")))
            if not os.access(
                self._path, os.W_OK
            ):  # SQLite tells it with the first commit, when calls were made
                raise StoreError(str(self._path), "is read-only here")
            with store_errors(self._path):
                self._connection.execute("PRAGMA secure_delete = on")  # as `SqliteCatalog.delete` promises
                self._files.open()
                loaded = self._read(self._connection, anew)
                if not safe:
                    self._connection.set_patience(0)
            return loaded

    def _read(self, connection: Connection, anew: bool) -> Loaded | None:
        self._owner = self._owner_in(connection)
        rows = (
            []
            if anew
            else connection.select(
                "SELECT id, status, task, record, round, target, error, rules FROM runs WHERE run_id = ?",
                (self._run_id,),
            )
        )
        if not rows:
            return None
        with checking(self.store, self._run_id):
            self._run, *head = rows[0]
            loaded = Loaded(head_of(head), [])
            self._files.sweep(connection, rows[0][0])
            loaded.head.target = self._files.target(loaded.head.target or b"")
            loaded.facts.extend(
                self._files.fact(*fact_of(row))
                for row in connection.select(
                    "SELECT round, frame, above, node, kind, value FROM facts WHERE run = ? AND round = ?",
                    (self._run, loaded.head.round),
                )
            )
            return loaded

    def _owner_in(self, connection: Connection) -> str:
        """Return the token of who has written the run last; empty if nobody has."""
        row = connection.first("SELECT CAST(owner AS BLOB) FROM runs WHERE run_id = ?", (self._run_id,))
        return (
            "" if row is None else row[0].decode("utf-8", "replace")
        )  # also if it is damaged: a restart heals it

    def _check_owner(self, is_mine: bool, connection: Connection) -> None:
        """Check that nobody else has written the run since.

        Raises:
            RunLostError: If somebody has, or the run is gone.
        """
        if is_mine:
            return
        _, _, driver = self._owner_in(connection).partition(" ")
        problem = (
            f"the run '{self._run_id}' has been taken over by {driver}"
            if driver
            else f"it does not know any more who drives the run '{self._run_id}': its data was deleted or lost"
        )
        raise RunLostError(self.store, problem, self._run_id, driver)

    def _write_patiently(self, changes: Changes) -> None:
        """Write a batch in the writer's thread, where it may wait for other writers."""
        if self._durability is Durability.SYNC:
            self._write(changes)
            return
        assert self._connection is not None
        self._connection.set_patience(BUSY_SECONDS)
        try:
            self._write(changes)
        finally:
            self._connection.set_patience(0)

    def _write(self, changes: Changes, wait: bool = True) -> None:
        assert self._connection is not None
        changes = self._files.write_large(changes)
        with self._write_lock.held(wait), store_errors(self._path), transaction(self._connection):
            now = time.time()
            self._files.note_obsolete(self._connection, self._run, changes)
            run = self._head(self._connection, changes, now)
            assert run is not None
            if changes.rounds is not None:
                self._connection.execute(
                    "DELETE FROM facts WHERE run = ? AND round <= ?", (run, changes.rounds)
                )
            if changes.frames:
                self._connection.executemany(
                    "DELETE FROM facts WHERE run = ? AND round = ? AND frame = ?",
                    ((run, frame.round, frame.digest) for frame in changes.frames),
                )
            if changes.nodes:
                self._connection.executemany(
                    "DELETE FROM facts WHERE run = ? AND round = ? AND frame = ? AND node = ?",
                    ((run, place.frame.round, place.frame.digest, place.node) for place in changes.nodes),
                )
            rows = [_row(run, fact, now) for fact in changes.facts]
            whole = len(rows) - len(rows) % _MANY
            for begin in range(0, whole, _MANY):
                self._connection.execute(_PUT_MANY, [*chain.from_iterable(rows[begin : begin + _MANY])])
            self._connection.executemany(_PUT, rows[whole:])
        self._watch.check()
        self._files.clean()
        self._run, self._owner = run, self._token

    def _head(self, connection: Connection, changes: Changes, now: float) -> int | None:
        """Write the run's own row; return its number."""
        head = changes.head
        if changes.anew or self._run is None:
            self._check_owner(self._owner_in(connection) == self._owner, connection)
            connection.execute(
                "DELETE FROM facts WHERE run = (SELECT id FROM runs WHERE run_id = ?)", (self._run_id,)
            )
            connection.execute("DELETE FROM runs WHERE run_id = ?", (self._run_id,))
            connection.execute(
                """INSERT INTO runs
                    (run_id, status, task, round, began, updated, error, record, target, rules, owner)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    self._run_id,
                    head.status or RunStatus.RUNNING,
                    head.task or "",
                    head.round or 0,
                    now,
                    now,
                    head.error or "",
                    head.record or b"",
                    head.target or b"",
                    head.rules or 0,
                    self._token,
                ),
            )
            return connection.last_number()
        connection.execute(
            """UPDATE runs SET updated = ?, status = coalesce(?, status), task = coalesce(?, task),
                round = coalesce(?, round), error = coalesce(?, error), record = coalesce(?, record),
                target = coalesce(?, target), rules = coalesce(?, rules), owner = ?
                WHERE id = ? AND owner = ?""",
            (
                *(now, head.status, head.task, head.round, head.error, head.record, head.target, head.rules),
                *(self._token, self._run, self._owner),
            ),
        )
        self._check_owner(connection.changes() == 1, connection)
        return self._run

    def _close(self) -> None:
        try:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                with store_errors(self._path):
                    connection.close()
        finally:
            self._lease.release()


def _row(run: int, fact: Fact, now: float) -> tuple[object, ...]:
    (number, frame, above), node = fact.place
    return run, number, frame, node, fact.kind, above, fact.call.task, fact.call.place, now, fact.value


def _is_busy(problem: BaseException | None) -> bool:
    return isinstance(problem, SqliteError) and problem.is_busy


def lock_path(path: Path, run_id: str) -> Path:
    """Return the file that is locked while a run of the store at `path` is driven, by whatever name it is called."""
    path = path.resolve()
    own = blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return path.with_name(f"{path.name}-{own}.lock")
