"""SQLite files: how the stores open them, which journal is safe, and which program and version a file belongs to.

A file is readable by its owner only, and writers wait for each other. A file of another program or of a newer version
is refused before anything in it is changed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import StoreError, StoreFormatError, StoreNotFoundError

BUSY_SECONDS = 4.0
"""How long a connection waits for another's lock: an error has to be raised within 5 seconds."""


class JournalMode(StrEnum):
    """How SQLite makes a transaction whole."""

    WAL = "wal"
    DELETE = "delete"


class Synchronous(StrEnum):
    """When SQLite waits for the disk.

    `OFF` survives the end of the process, but loss of power may damage the file. `NORMAL` survives as much; with a
    write-ahead log, loss of power costs the last commits and never the file. `FULL` survives loss of power with a
    write-ahead log, `EXTRA` with the journal that is deleted too: there the deletion itself must reach the disk.
    """

    OFF = "off"
    NORMAL = "normal"
    FULL = "full"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Format:
    """What a kind of store writes: its mark (`application_id`), its version (`user_version`) and its tables.

    `steps` are by version: the statements that bring a file of that version to the next one. `views` are by version
    too: the temporary views that let a file of that version be read as if it were of this one, and not be written.
    """

    name: str
    mark: int
    version: int
    tables: tuple[str, ...]
    steps: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    views: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


OLDEST = (3, 35, 0)
"""The first version of the SQLite library that knows all that the stores say to it."""


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
    """Open a file, made with mode 0600 if it is not there; transactions begin only where they are begun explicitly.

    The connection may be used from any thread, from one at a time. `EXTRA` is what `FULL` asks for where the journal
    is deleted: give `FULL` for safety from loss of power. With a write-ahead log `OFF` is made `NORMAL`, which waits
    for no disk there either and can't damage the file.

    Raises:
        StoreError: If it can't be opened, is no database, or is locked for longer than `BUSY_SECONDS`.
    """
    path = os.fspath(path)
    connection = None
    with store_errors(path):
        try:
            _make_private(path)
            connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            mode = _set_journal(connection)
            if synchronous is Synchronous.FULL and mode is not JournalMode.WAL:
                synchronous = Synchronous.EXTRA
            if synchronous is Synchronous.OFF and mode is JournalMode.WAL:
                synchronous = Synchronous.NORMAL
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            return connection
        except BaseException:
            if connection is not None:
                connection.close()
            raise


@contextmanager
def open_for_reading(path: str | os.PathLike[str], wanted: Format) -> Iterator[sqlite3.Connection]:
    """Open an existing file for reading only, and close it at the end. Errors are those of `store_errors`.

    A transaction that a killed process has left half written is rolled back, as by whoever opens the file next. A file
    of an older version is read as if it had been migrated, and stays as it is.

    Raises:
        StoreNotFoundError: If there is no such file.
        StoreError: If it can't be read.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreNotFoundError(str(path), "there is no such file")
    with store_errors(path):
        connection = _connect(path, "ro")
        try:
            if _needs_recovery(connection):
                connection.close()
                connection = _connect(path, "rw")
            connection.text_factory = _text
            _make_views(connection, wanted)
            connection.execute("PRAGMA query_only = on")
            yield connection
        finally:
            connection.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")  # one text that is damaged hides no other


def _make_views(connection: sqlite3.Connection, wanted: Format) -> None:
    connection.execute("BEGIN")  # from the first look on, the file stays as it is then
    for statement in wanted.views.get(pragma(connection, "user_version"), ()):
        connection.execute(statement)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )


def _needs_recovery(connection: sqlite3.Connection) -> bool:
    """Tell whether a file has a half written transaction, which has to be rolled back: that takes writing."""
    try:
        pragma(connection, "user_version")
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        return True
    return False


def _make_private(path: str) -> None:
    # Never opens a file that is there: closing it would drop the locks that this process holds on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _set_journal(connection: sqlite3.Connection) -> JournalMode:
    """Set the journal that this library is safe with; another than DELETE only if nobody is in the way."""
    wanted = journal_mode(sqlite3.sqlite_version_info)
    mode = pragma(connection, "journal_mode")
    if mode == wanted:
        return wanted
    try:
        mode = pragma(connection, f"journal_mode = {wanted}")
    except sqlite3.OperationalError:
        if wanted is JournalMode.DELETE:
            raise
    if mode != wanted and wanted is JournalMode.DELETE:
        raise sqlite3.OperationalError(
            f"the journal mode stays {mode}, which this SQLite library is not safe with"
        )
    return wanted if mode == wanted else JournalMode.DELETE


def claim(connection: sqlite3.Connection, path: str | os.PathLike[str], wanted: Format) -> None:
    """Make the tables in an empty file; check that any other file has them, and bring those of an older version up.

    All of it is one transaction: a file is of one version or of the other.

    Raises:
        StoreFormatError: If the file belongs to something else, or was written by a newer version.
        StoreError: If it can't be read or written.
    """
    with store_errors(path), transaction(connection):
        if not is_claimed(connection, path, wanted):
            statements = [*wanted.tables, f"PRAGMA application_id = {wanted.mark}"]
        elif (version := pragma(connection, "user_version")) == wanted.version:
            return
        else:
            statements = [each for step in range(version, wanted.version) for each in wanted.steps[step]]
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {wanted.version}")


def is_claimed(connection: sqlite3.Connection, path: str | os.PathLike[str], wanted: Format) -> bool:
    """Tell whether a file has the tables; one that is empty has not, and may get them.

    Raises:
        StoreFormatError: If the file belongs to something else, or was written by a newer version.
    """
    path = os.fspath(path)
    mark, version = pragma(connection, "application_id"), pragma(connection, "user_version")
    if not mark and not version and not select(connection, "SELECT 1 FROM sqlite_master LIMIT 1"):
        return False
    if mark != wanted.mark or version < 1:
        raise StoreFormatError(path, f"is not a {wanted.name}", "give the path of another file")
    if version > wanted.version:
        raise StoreFormatError(
            path,
            f"is a {wanted.name} of version {version}, and this is for versions up to {wanted.version}",
            "use a newer cascade-engine, or another file",
        )
    return True


def select(connection: sqlite3.Connection, query: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Return all rows of a query.

    A cursor that is left half read, as one is whose row can't be read, would keep the file locked.
    """
    with closing(connection.execute(query, parameters)) as cursor:
        return cursor.fetchall()


def pragma(connection: sqlite3.Connection, statement: str) -> Any:
    """Return the value of a pragma; `statement` is its name, or sets it: `journal_mode = wal`."""
    ((value,),) = select(connection, f"PRAGMA {statement}")
    return value


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
def store_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as a `StoreError` that names the file."""
    try:
        yield
    except (
        sqlite3.Error,
        UnicodeError,
        OverflowError,
        OSError,
    ) as problem:  # no text or number of a file, too
        if isinstance(problem, StoreError):
            raise
        raise StoreError(os.fspath(path), error_text(problem)) from problem
