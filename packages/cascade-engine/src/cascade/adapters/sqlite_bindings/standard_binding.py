"""SQLite as this Python has it: the `sqlite3` of the standard library."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cascade.adapters.sqlite_bindings.connection import Access, Connection, Row, SqliteError, Version, uri_of


class StandardBinding:
    """Opens files with `sqlite3`."""

    name = "sqlite3"
    version: Version = sqlite3.sqlite_version_info[:3]

    def connect(self, path: Path, access: Access, patience: float) -> Connection:
        """Open a file."""
        with _errors():
            opened = sqlite3.connect(
                uri_of(path, access),
                uri=True,
                timeout=patience,
                isolation_level=None,
                check_same_thread=False,
            )
            opened.text_factory = _text
            return StandardConnection(opened)


class StandardConnection:
    """A connection of `sqlite3`."""

    def __init__(self, opened: sqlite3.Connection) -> None:
        self._opened = opened
        self._cursor = opened.cursor()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._opened.in_transaction

    def execute(self, statement: str, values: Sequence[object] = (), /) -> None:
        """Execute a statement that returns no rows."""
        with _errors():
            self._cursor.execute(statement, values)

    def executemany(self, statement: str, rows: Iterable[Sequence[object]], /) -> None:
        """Execute a statement once for each row of values."""
        with _errors():
            self._cursor.executemany(statement, rows)

    def select(self, query: str, values: Sequence[object] = (), /) -> list[Row]:
        """Return all rows of a query."""
        with _errors(), closing(self._opened.execute(query, values)) as cursor:
            return cursor.fetchall()

    def first(self, query: str, values: Sequence[object] = (), /) -> Row | None:
        """Return the row of a query that has one at most."""
        # Once per hit in a cache: watched by observatory/benchmarks/bench_durability.py.
        try:
            row: Row | None = self._opened.execute(query, values).fetchone()
        except sqlite3.Error as problem:
            raise _error_of(problem) from problem
        return row

    def changes(self) -> int:
        """Return how many rows the last statement has changed."""
        return self._cursor.rowcount

    def last_number(self) -> int:
        """Return the number that the last row got which was inserted."""
        return self._cursor.lastrowid or 0

    def set_patience(self, seconds: float, /) -> None:
        """Wait so long for the locks of others."""
        self.select(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")

    def stop_when(self, is_late: Callable[[], bool], /) -> None:
        """Ask now and then whether to break a statement off."""
        self._opened.set_progress_handler(is_late, 10_000)

    def close(self) -> None:
        """Close the file."""
        with _errors():
            self._cursor.close()  # SQLite keeps a file open for as long as somebody has a statement
            self._opened.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as problem:
        raise _error_of(problem) from problem


def _error_of(problem: sqlite3.Error) -> SqliteError:
    return SqliteError(
        str(problem), getattr(problem, "sqlite_errorcode", 0)
    )  # errors of `sqlite3` itself have none
