"""SQLite files: how the stores open them, which journal is safe, and which program and version a file belongs to.

A file is readable by its owner only, and writers wait for each other. A file of another program or of a newer version
is refused before anything in it is changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_bindings.connection import (
    Access,
    Connection,
    ResultCode,
    SqliteError,
    Version,
)
from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import StoreError, StoreFormatError, StoreNotFoundError
from cascade.spec.late_dataclasses import dataclass, field

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


@lru_cache(maxsize=16)  # asked with each transaction
def journal_mode(version: Version) -> JournalMode:
    """Return the journal that is safe with a version of the SQLite library.

    From 3.7.0 to 3.51.2 two connections that write and check-point at the same moment may damage a write-ahead log;
    3.44.6, 3.50.7 and what follows them in their series have the correction.

    Source: https://www.sqlite.org/wal.html, section "The WAL-Reset Bug".
    """
    corrected = version >= (3, 51, 3) or any(
        version[:2] == series[:2] and version >= series for series in ((3, 44, 6), (3, 50, 7))
    )
    return JournalMode.WAL if corrected else JournalMode.DELETE


def open_connection(
    path: str | os.PathLike[str], *, synchronous: Synchronous, wanted: Format | None = None
) -> Connection:
    """Open a file, made with mode 0600 if it is not there; transactions begin only where they are begun explicitly.

    With `wanted` the file is claimed; one of another format stays as it is. The connection may be used from any
    thread, from one at a time. `EXTRA` is what `FULL` asks for where the journal is deleted: give `FULL` for safety
    from loss of power. With a write-ahead log `OFF` is made `NORMAL`, which waits for no disk there either and can't
    damage the file.

    Raises:
        StoreError: If it can't be opened, is no database, or is locked for longer than `BUSY_SECONDS`.
        StoreFormatError: If it is not of the format that is wanted, or was written by a newer version.
    """
    with store_errors(path):
        _make_private(os.fspath(path))
        connection = binding().connect(Path(path), Access.WRITE, BUSY_SECONDS)
        try:
            has_links = Path(path).stat().st_nlink > 1
            with _link_errors() if has_links else nullcontext():
                if wanted is not None:
                    is_claimed(connection, path, wanted)  # setting the journal changes the file
                mode = _set_journal(connection, has_links)
            set_synchronous(connection, synchronous, mode)
            if wanted is not None:
                claim(connection, path, wanted)
        except BaseException:
            connection.close()
            raise
        return connection


def set_synchronous(connection: Connection, synchronous: Synchronous, mode: JournalMode) -> None:
    """Set when a connection waits for the disk, as `open_connection` does. No transaction may be open."""
    if synchronous is Synchronous.FULL and mode is not JournalMode.WAL:
        synchronous = Synchronous.EXTRA
    if synchronous is Synchronous.OFF and mode is JournalMode.WAL:
        synchronous = Synchronous.NORMAL
    connection.execute(f"PRAGMA synchronous = {synchronous}")


@contextmanager
def open_for_reading(path: str | os.PathLike[str], wanted: Format) -> Iterator[Connection]:
    """Open a file as `open_to_look` does, and close it at the end. Errors are those of `store_errors`.

    A file of an older version is read as if it had been migrated, and stays as it is.

    Raises:
        StoreNotFoundError: If there is no such file.
        StoreError: If it can't be read.
    """
    with store_errors(path), closing(open_to_look(path)) as connection:
        _make_views(connection, wanted)
        connection.execute("PRAGMA query_only = on")
        yield connection


def open_to_look(path: str | os.PathLike[str]) -> Connection:
    """Open an existing file in the way that leaves the fewest traces; nothing is to be written by the connection.

    Its journal stays what it is. What a killed process has left beside the file is brought in or rolled back, as by
    whoever opens the file next.

    Raises:
        StoreNotFoundError: If there is no such file.
        StoreError: If it can't be read.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreNotFoundError(str(path), "there is no such file")
    with store_errors(path):
        return _look_into(path)


def _look_into(path: Path) -> Connection:
    # Who may write removes the files of a write-ahead log that were not there before; who may not leaves those that
    # were there. A half written transaction has to be rolled back, which takes writing.
    ways = [Access.WRITE]
    if _beside(path, "-wal").exists():
        ways.insert(0, Access.READ)
    elif not _beside(path, "-journal").exists():
        ways.append(Access.READ_ALONE)
    for access in ways:
        connection = binding().connect(path, access, BUSY_SECONDS)
        try:
            pragma(connection, "user_version")
        except SqliteError as problem:
            connection.close()
            if access is ways[-1] or problem.code not in (ResultCode.CANTOPEN, ResultCode.READONLY):
                raise
        else:
            break
    return connection


def _beside(path: Path, end: str) -> Path:
    """Return a file that SQLite has beside one, by the name that it has behind all links."""
    path = path.resolve()
    return path.with_name(path.name + end)


class FileWatch:
    """Tells whether a connection still writes to what its path leads to.

    SQLite writes on, and says nothing, if its file or its log is removed or replaced. Another SQLite library in the
    same process removes the log when it closes the file, since it does not see the locks of this one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[str] = []
        self._known: list[tuple[int, int] | None] = []

    def begin(self, mode: JournalMode) -> None:
        """Note which files there are; call it after the first transaction of a connection."""
        self._parts = [str(self._path.resolve())]
        if mode is JournalMode.WAL:
            self._parts.append(str(_beside(self._path, "-wal")))
        self._known = [_identity(part) for part in self._parts]

    def check(self) -> None:
        """Check that the files are those that were noted; call it after each commit.

        Raises:
            StoreError: If one was removed or replaced: what was committed may be lost.
        """
        if not self.is_same():
            raise StoreError(
                str(self._path),
                "the file or its log was removed or replaced while it was open; if this process opens it by other"
                " means too, let it use another process",
            )

    def is_same(self) -> bool:
        """Tell whether the files are those that were noted."""
        return [_identity(part) for part in self._parts] == self._known


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - after each commit: half of the time that a `Path` takes
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_views(connection: Connection, wanted: Format) -> None:
    connection.execute("BEGIN")  # from the first look on, the file stays as it is then
    for statement in wanted.views.get(pragma(connection, "user_version"), ()):
        connection.execute(statement)


def _make_private(path: str) -> None:
    # Never opens a file that is there: closing it would drop the locks that this process holds on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _set_journal(connection: Connection, has_links: bool) -> JournalMode:
    """Set the journal that is safe here; another than DELETE only if nobody is in the way.

    A log is beside a file by the file's name. So one that has several names, as hard links, is to have none: each name
    would have a log of its own.
    """
    wanted = JournalMode.DELETE if has_links else journal_mode(binding().version)
    mode = pragma(connection, "journal_mode")
    if mode == wanted:
        return wanted
    try:
        mode = pragma(connection, f"journal_mode = {wanted}")
    except SqliteError as problem:
        if wanted is JournalMode.DELETE and problem.is_busy:
            raise _unsafe_log() from problem
        if wanted is JournalMode.DELETE:
            raise
    if mode != wanted and wanted is JournalMode.DELETE:
        raise _unsafe_log()
    return wanted if mode == wanted else JournalMode.DELETE


@contextmanager
def _link_errors() -> Iterator[None]:
    try:
        yield
    except SqliteError as problem:
        raise SqliteError(
            "the file has several names (hard links), and is in use with a write-ahead log, which belongs to one of"
            " them: use that name, or wait until it is closed",
            problem.code,
        ) from problem


def _unsafe_log() -> SqliteError:
    library = binding()
    number = ".".join(map(str, library.version))
    return SqliteError(
        "the file is locked by a connection that uses a write-ahead log, which this SQLite library"
        f" ({library.name} {number}) is not safe with: wait until that one is closed, or pip install"
        " 'cascade-engine[sqlite]'",
        ResultCode.BUSY,
    )


def claim(connection: Connection, path: str | os.PathLike[str], wanted: Format) -> None:
    """Make the tables in an empty file; check that any other file has them, and bring those of an older version up.

    All of it is one transaction: a file is of one version or of the other.

    Raises:
        StoreFormatError: If the file belongs to something else, or was written by a newer version.
        StoreError: If it can't be read or written.
    """
    with store_errors(path), Transaction(connection):
        if not is_claimed(connection, path, wanted):
            statements = [*wanted.tables, f"PRAGMA application_id = {wanted.mark}"]
        elif (version := pragma(connection, "user_version")) == wanted.version:
            return
        else:
            statements = [each for step in range(version, wanted.version) for each in wanted.steps[step]]
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {wanted.version}")


def is_claimed(connection: Connection, path: str | os.PathLike[str], wanted: Format) -> bool:
    """Tell whether a file has the tables; one that is empty has not, and may get them.

    Raises:
        StoreFormatError: If the file belongs to something else, or was written by a newer version.
    """
    path = os.fspath(path)
    # First: another process may make them between these looks, and marks the file in the same transaction.
    has_tables = connection.first("SELECT 1 FROM sqlite_master LIMIT 1") is not None
    mark, version = pragma(connection, "application_id"), pragma(connection, "user_version")
    if not mark and not version and not has_tables:
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


def pragma(connection: Connection, statement: str) -> Any:
    """Return the value of a pragma; `statement` is its name, or sets it: `journal_mode = wal`."""
    ((value,),) = connection.select(f"PRAGMA {statement}")
    return value


class Transaction:
    """Writes all or nothing: takes the write lock at once, commits at the end, rolls back on an error.

    Raises:
        SqliteError: If that fails; also if another library has set a write-ahead log that this one is not safe with.
    """

    # Once per step of a recorded chain: a generator in its place would take three times as long.

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        if journal_mode(binding().version) is JournalMode.WAL:
            return
        try:
            if pragma(connection, "journal_mode") == JournalMode.WAL:
                raise _unsafe_log()
        except BaseException:
            self._roll_back()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._roll_back()
            return
        try:
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


@contextmanager
def store_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as a `StoreError` that names the file."""
    try:
        yield
    except SqliteError as problem:
        raise StoreError(os.fspath(path), problem.text) from problem
    except (UnicodeError, OverflowError, OSError) as problem:  # no text or number of a file, too
        if isinstance(problem, StoreError):
            raise
        raise StoreError(os.fspath(path), error_text(problem)) from problem
