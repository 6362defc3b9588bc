"""SQLite files: how the stores open them, which journal is safe, and what a file says that it is.

A file is readable by its owner only, writers wait for each other, and a file of another program or of a newer
version is refused before anything in it is touched.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from cascade.runtime.exceptions import StoreError, StoreFormatError

BUSY_SECONDS = 4.0
"""How long a connection waits for another's lock: an error has to be told within 5 seconds."""


class JournalMode(StrEnum):
    """How SQLite makes a transaction whole."""

    WAL = "wal"
    DELETE = "delete"


class Synchronous(StrEnum):
    """When SQLite waits for the disk.

    `NORMAL` survives the end of the process. `FULL` survives loss of power with a write-ahead log, `EXTRA` with the
    journal that is deleted too: there the deletion itself must reach the disk.
    """

    NORMAL = "normal"
    FULL = "full"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Format:
    """What a kind of store writes: its mark (`application_id`), its version (`user_version`) and its tables."""

    name: str
    mark: int
    version: int
    tables: tuple[str, ...]


def journal_mode(version: tuple[int, int, int]) -> JournalMode:
    """Return the journal that is safe with a version of the SQLite library.

    From 3.7.0 to 3.51.2 two connections that write and check-point at the same moment may damage a write-ahead log;
    3.44.6, 3.50.7 and what follows them in their series have the correction.

    Source: https://www.sqlite.org/wal.html, section "The WAL-Reset Bug".
    """
    corrected = version >= (3, 51, 3) or any(
        version[:2] == series[:2] and version >= series for series in ((3, 44, 6), (3, 50, 7))
    )
    return JournalMode.WAL if corrected else JournalMode.DELETE


def open_connection(path: str | os.PathLike[str], *, synchronous: Synchronous) -> sqlite3.Connection:
    """Open a file, made with mode 0600 if it is not there; transactions begin only where they are told to.

    The connection may be used from any thread, from one at a time. `EXTRA` is what `FULL` asks for where the journal
    is deleted: give `FULL` for safety from loss of power.

    Raises:
        StoreError: If it can't be opened, is no database, or is locked for longer than `BUSY_SECONDS`.
    """
    path = os.fspath(path)
    connection = None
    with told(path):
        try:
            _make_private(path)
            connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            mode = _settle_journal(connection)
            if synchronous is Synchronous.FULL and mode is not JournalMode.WAL:
                synchronous = Synchronous.EXTRA
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            return connection
        except BaseException:
            if connection is not None:
                connection.close()
            raise


def _make_private(path: str) -> None:
    # Never opens a file that is there: closing it would drop the locks that this process holds on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _settle_journal(connection: sqlite3.Connection) -> JournalMode:
    """Set the journal that this library is safe with; another than DELETE only if nobody is in the way."""
    wanted = journal_mode(sqlite3.sqlite_version_info)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == wanted:
        return wanted
    try:
        (mode,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    except sqlite3.OperationalError:
        if wanted is JournalMode.DELETE:
            raise
    if mode != wanted and wanted is JournalMode.DELETE:
        raise sqlite3.OperationalError(
            f"the journal mode stays {mode}, which this SQLite library is not safe with"
        )
    return wanted if mode == wanted else JournalMode.DELETE


def claim(connection: sqlite3.Connection, path: str | os.PathLike[str], wanted: Format) -> None:
    """Make the tables in an empty file; check that any other file has them.

    Raises:
        StoreFormatError: If the file belongs to something else, or was written by a newer version.
        StoreError: If it can't be read or written.
    """
    path = os.fspath(path)
    with told(path), transaction(connection):
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not mark and not version:
            for statement in wanted.tables:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {wanted.mark}")
            connection.execute(f"PRAGMA user_version = {wanted.version}")
        elif mark != wanted.mark:
            raise StoreFormatError(path, f"is no {wanted.name}", "give the path of another file")
        elif version > wanted.version:
            raise StoreFormatError(
                path,
                f"is a {wanted.name} of version {version}, and this is for versions up to {wanted.version}",
                "use a newer cascade-engine, or another file",
            )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing: take the write lock at once, commit at the end, roll back on an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell what goes wrong with a file as a `StoreError` that names it."""
    try:
        yield
    except (sqlite3.Error, OSError) as problem:
        if isinstance(problem, StoreError):
            raise
        raise StoreError(os.fspath(path), f"{type(problem).__name__}: {problem}") from problem
