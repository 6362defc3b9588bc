"""Claims about SQLite files: which journal, whose file, what it says that it is."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_files import (
    Format,
    JournalMode,
    Synchronous,
    claim,
    journal_mode,
    open_connection,
    pragma,
)
from cascade.spec import StoreError, StoreFormatError

LETTERS = Format("box of letters", 1234, 2, ("CREATE TABLE letter (text TEXT)",))


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 6, 23), "delete"),
        ((3, 7, 0), "delete"),
        ((3, 40, 1), "delete"),
        ((3, 44, 5), "delete"),
        ((3, 44, 6), "wal"),
        ((3, 45, 0), "delete"),
        ((3, 50, 6), "delete"),
        ((3, 50, 7), "wal"),
        ((3, 51, 2), "delete"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
        ((4, 0, 0), "wal"),
    ],
)
def test_the_journal_is_one_that_is_safe(version: tuple[int, int, int], mode: str) -> None:
    """A write-ahead log is used with corrected libraries only, and the journal that is deleted with all others."""
    assert journal_mode(version) == JournalMode(mode)


def test_a_new_file_is_its_owners(tmp_path: Path) -> None:
    """A file is made with mode 0600, and opened with the journal that is safe."""
    path = tmp_path / "new.db"
    connection = open_connection(path, synchronous=Synchronous.FULL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pragma(connection, "journal_mode") == journal_mode(binding().version)
    connection.close()


def test_a_log_is_turned_back_where_it_is_not_safe(tmp_path: Path) -> None:
    """A file that another library left with a write-ahead log is opened with the journal that is safe here."""
    path = tmp_path / "log.db"
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = wal")
    other.close()
    connection = open_connection(path, synchronous=Synchronous.NORMAL)
    assert pragma(connection, "journal_mode") == journal_mode(binding().version)
    connection.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """A file is claimed once; another kind of store and a newer version are refused by name, and left as they are."""
    connection = open_connection(tmp_path / "box.db", synchronous=Synchronous.NORMAL)
    for _ in range(2):
        claim(connection, tmp_path / "box.db", LETTERS)
    before = (tmp_path / "box.db").read_bytes()
    with pytest.raises(StoreFormatError, match=r"box\.db is not a cache; give the path of another file"):
        claim(connection, tmp_path / "box.db", Format("cache", 1, 1, ("CREATE TABLE cache (x)",)))
    with pytest.raises(StoreFormatError, match=r"is a box of letters of version 2.*up to 1; use a newer"):
        claim(connection, tmp_path / "box.db", Format("box of letters", 1234, 1, ()))
    assert (tmp_path / "box.db").read_bytes() == before
    connection.close()


@pytest.mark.parametrize("content", [b"not a database " * 100, None])
def test_what_can_not_be_opened_is_told(tmp_path: Path, content: bytes | None) -> None:
    """A file that is no database, or whose folder is not there, is a `StoreError` that names it."""
    path = tmp_path / ("file.db" if content else "missing/file.db")
    if content:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"store .*file\.db: "):
        open_connection(path, synchronous=Synchronous.FULL)
