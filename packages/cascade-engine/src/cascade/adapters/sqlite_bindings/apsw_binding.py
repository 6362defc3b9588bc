"""A current SQLite, which the package `apsw` brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import apsw

from cascade.adapters.sqlite_bindings.connection import Access, Connection, Row, SqliteError, Version, uri_of

# The access that the URI asks for may be less than that of the flags, not more.
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI


def _version(text: str) -> Version:
    major, minor, patch, *_ = (*map(int, text.split(".")), 0, 0)
    return major, minor, patch


class ApswBinding:
    """Opens files with `apsw`."""

    name = "apsw"
    version = _version(apsw.sqlite_lib_version())

    def connect(self, path: Path, access: Access, patience: float) -> Connection:
        """Open a file."""
        try:
            opened = apsw.Connection(uri_of(path, access), flags=_FLAGS)
        except apsw.Error as problem:
            raise _error_of(problem) from problem
        opened.set_busy_timeout(round(patience * 1000))
        return ApswConnection(opened)


class ApswConnection:
    """A connection of `apsw`."""

    def __init__(self, opened: apsw.Connection) -> None:
        self._opened = opened
        self._run: Callable[..., Any] = opened.execute
        self._run_many: Callable[..., Any] = opened.executemany

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._opened.in_transaction

    # Errors are mapped in each method: a context manager takes as long as a statement.

    def execute(self, statement: str, values: Sequence[object] = (), /) -> None:
        """Execute a statement that returns no rows."""
        try:
            self._run(statement, values)
        except apsw.Error as problem:
            raise _error_of(problem) from problem

    def executemany(self, statement: str, rows: Iterable[Sequence[object]], /) -> None:
        """Execute a statement once for each row of values."""
        try:
            self._run_many(statement, rows)
        except apsw.Error as problem:
            raise _error_of(problem) from problem

    def select(self, query: str, values: Sequence[object] = (), /) -> list[Row]:
        """Return all rows of a query."""
        try:
            rows: list[Row] = self._run(query, values).fetchall()
        except UnicodeDecodeError:
            return self._select_damaged(query, values)
        except apsw.Error as problem:
            raise _error_of(problem) from problem
        return rows

    def first(self, query: str, values: Sequence[object] = (), /) -> Row | None:
        """Return the row of a query that has one at most."""
        # Once per hit in a cache: watched by observatory/benchmarks/bench_durability.py.
        try:
            row: Row | None = self._run(query, values).fetchone()
        except apsw.Error as problem:
            raise _error_of(problem) from problem
        return row

    def _select_damaged(self, query: str, values: Sequence[object]) -> list[Row]:
        """Return all rows of a query, with marks in damaged texts; `apsw` itself reads none of the row then."""
        try:
            columns = [f"c{number}" for number in range(len(self._run(query, values).description))]
            shown = ", ".join(
                f"typeof({each}) = 'text', CASE typeof({each}) WHEN 'text'"
                f" THEN CAST({each} AS BLOB) ELSE {each} END"
                for each in columns
            )
            found = self._run(
                f"WITH q({', '.join(columns)}) AS ({query}) SELECT {shown} FROM q", values
            ).fetchall()
        except apsw.Error as problem:
            raise _error_of(problem) from problem
        return [
            tuple(
                value.decode("utf-8", "replace") if is_text else value
                for is_text, value in zip(row[::2], row[1::2], strict=True)
            )
            for row in found
        ]

    def changes(self) -> int:
        """Return how many rows the last statement has changed."""
        return self._opened.changes()

    def last_number(self) -> int:
        """Return the number that the last row got which was inserted."""
        return self._opened.last_insert_rowid()

    def set_patience(self, seconds: float, /) -> None:
        """Wait so long for the locks of others."""
        self._opened.set_busy_timeout(round(seconds * 1000))

    def stop_when(self, is_late: Callable[[], bool], /) -> None:
        """Ask now and then whether to break a statement off."""
        self._opened.set_progress_handler(is_late, 10_000)

    def close(self) -> None:
        """Close the file."""
        try:
            self._opened.close()
        except apsw.Error as problem:
            raise _error_of(problem) from problem


def _error_of(problem: apsw.Error) -> SqliteError:
    return SqliteError(str(problem), getattr(problem, "result", 0))  # errors of `apsw` itself have none
