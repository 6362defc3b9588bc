"""What the stores ask of an SQLite library: connections, and one kind of error.

There are two bindings: `apsw`, which brings a current SQLite, and the `sqlite3` of this Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Row: TypeAlias = tuple[Any, ...]
Version: TypeAlias = tuple[int, int, int]


class Access(StrEnum):
    """What a file is opened for, in the words of SQLite's URIs. A file that is missing is not made.

    Reading makes the files of a write-ahead log where they are missing, and leaves them. `READ_ALONE` makes none: it
    reads the file as it is, without a look at locks and logs.
    """

    READ = "mode=ro"
    WRITE = "mode=rw"
    READ_ALONE = "mode=ro&immutable=1"


class ResultCode(IntEnum):
    """The primary result codes that the stores look at. Source: https://www.sqlite.org/rescode.html."""

    BUSY = 5
    LOCKED = 6
    READONLY = 8
    INTERRUPT = 9
    CORRUPT = 11
    CANTOPEN = 14


class SqliteError(Exception):
    """What SQLite, or a binding, refused to do. `code` is the primary result code, 0 if the binding refused it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text, code)
        self.text = text
        self.code = code & 0xFF

    def __str__(self) -> str:
        return self.text

    @property
    def is_busy(self) -> bool:
        """Whether another connection is in the way, so that waiting may help."""
        return self.code in (ResultCode.BUSY, ResultCode.LOCKED)


class Connection(Protocol):
    """An open file. It may be used from any thread, from one at a time.

    Transactions begin where they are begun explicitly. Each method raises an `SqliteError`, or a `UnicodeError` or an
    `OverflowError` for a value that no file can hold. Damaged text is read with a mark in place of what is damaged:
    it hides no other.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, statement: str, values: Sequence[object] = (), /) -> None:
        """Execute a statement that returns no rows."""

    def executemany(self, statement: str, rows: Iterable[Sequence[object]], /) -> None:
        """Execute a statement once for each row of values."""

    def select(self, query: str, values: Sequence[object] = (), /) -> list[Row]:
        """Return all rows of a query. Nothing of it stays open, which would keep the file locked."""

    def first(self, query: str, values: Sequence[object] = (), /) -> Row | None:
        """Return the row of a query that has one at most."""

    def changes(self) -> int:
        """Return how many rows the last statement has changed."""

    def last_number(self) -> int:
        """Return the number that the last row got which was inserted."""

    def set_patience(self, seconds: float, /) -> None:
        """Wait so long for the locks of others."""

    def stop_when(self, is_late: Callable[[], bool], /) -> None:
        """Ask now and then, while a statement takes its time, whether to break it off: `ResultCode.INTERRUPT`."""

    def close(self) -> None:
        """Close the file; a second time does nothing."""


class Binding(Protocol):
    """A library that opens files. `name` is its own, `version` that of the SQLite which it uses."""

    name: str
    version: Version

    def connect(self, path: Path, access: Access, patience: float) -> Connection:
        """Open a file, and wait so many seconds for the locks of others.

        Raises:
            SqliteError: If it can't be opened.
        """


def uri_of(path: Path, access: Access) -> str:
    """Return the name of a file as both libraries take it, also one whose name is no text."""
    return f"{path.absolute().as_uri()}?{access}"
