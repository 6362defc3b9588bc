"""What the SQLite library of this process means for stores in files."""

from __future__ import annotations

from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_bindings.connection import Version
from cascade.adapters.sqlite_files import OLDEST, JournalMode, journal_mode
from cascade.adapters.state.catalog import Finding


def inspect_library(version: Version | None = None) -> list[Finding]:
    """Return which library stores use in this process, with which journal, and what `durability` means then.

    With `version` it is taken to have another version.
    """
    library = binding()
    version = library.version if version is None else version
    number = f"{'.'.join(map(str, version))} of {library.name}"
    if version < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return [
            Finding("sqlite", number, f"stores need {oldest} or later: pip install 'cascade-engine[sqlite]'")
        ]
    if journal_mode(version) is JournalMode.WAL:
        bug = "without the WAL-reset bug"
        journal = "wal: a write-ahead log"
        sync = "each commit waits for the disk"
    else:
        bug = "has the WAL-reset bug, so no write-ahead log is used; faster: pip install 'cascade-engine[sqlite]'"
        journal = "delete: a journal that is deleted with each commit"
        sync = "each commit waits for the disk, and for its journal to be deleted there"
    return [
        Finding("sqlite", f"{number}, {bug}"),
        Finding("journal mode", journal),
        Finding("durability sync", f"survives loss of power: {sync}"),
        Finding("durability async", "survives the end of the process, not loss of power: no commit waits"),
    ]
