"""What the SQLite library of this Python means for stores in files."""

from __future__ import annotations

import sqlite3

from cascade.adapters.sqlite_files import OLDEST, JournalMode, journal_mode
from cascade.adapters.state.catalog import Finding


def inspect_library(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> list[Finding]:
    """Return which journal stores use with a version of the library, and what `durability` means then."""
    number = ".".join(map(str, version))
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return [
            Finding("sqlite", number, f"stores need {oldest} or later: use a Python with a newer library")
        ]
    if journal_mode(version) is JournalMode.WAL:
        bug = "without the WAL-reset bug"
        journal = "wal: a write-ahead log"
        sync = "each commit waits for the disk"
    else:
        bug = "has the WAL-reset bug, so no write-ahead log is used"
        journal = "delete: a journal that is deleted with each commit"
        sync = "each commit waits for the disk, and for its journal to be deleted there"
    return [
        Finding("sqlite", f"{number}, {bug}"),
        Finding("journal mode", journal),
        Finding("durability sync", f"survives loss of power: {sync}"),
        Finding("durability async", "survives the end of the process, not loss of power: no commit waits"),
    ]
