"""The rows of one run in an SQLite file: how they are read, and written batch by batch."""

from __future__ import annotations

import time
from itertools import chain
from secrets import token_hex

from cascade.adapters.sqlite_bindings.connection import Connection
from cascade.adapters.sqlite_files import store_errors
from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.journal import KEPT_DRIVES, Changes, Fact, Loaded, TimelinePart
from cascade.adapters.state.lease import this_process
from cascade.adapters.state.sqlite.run_files import RunFiles
from cascade.spec.durable import RunStatus
from cascade.spec.errors import RunLostError
from cascade.spec.late_dataclasses import dataclass

_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT = f"INSERT OR REPLACE INTO facts VALUES {_ROW}"
_MANY = 64
"""Rows that are put by one statement, which keeps out of the interpreter's way and the interpreter out of its own."""
_PUT_MANY = f"INSERT OR REPLACE INTO facts VALUES {', '.join([_ROW] * _MANY)}"


_FORGET_DRIVES = """DELETE FROM timelines WHERE run = ? AND drive <
    (SELECT DISTINCT drive FROM timelines WHERE run = ? ORDER BY drive DESC LIMIT 1 OFFSET ?)"""


class RunRows:
    """Reads and writes the rows of one run, with its `files` beside the store. Used by one thread at a time."""

    def __init__(self, store: str, run_id: str, files: RunFiles) -> None:
        self.store = store
        self._run_id = run_id
        self._files = files
        self._run: int | None = None  # the number of the run's own row
        self._owner = ""  # by whom the run was written last, as far as is known here
        self._token = f"{token_hex(16)} {this_process()}"
        self._drive: int | None = None  # whose timeline was written last
        self._is_new = False  # it has no other drives

    def batch(self, changes: Changes) -> Batch:
        """Return what writes some changes."""
        return Batch(self, changes)

    def read(self, connection: Connection, anew: bool) -> Loaded | None:
        """Return what is stored of the run, unless it is to be forgotten.

        Raises:
            RunDamagedError: If it is not what was written.
            StoreError: If it can't be read.
        """
        with store_errors(self.store):
            self._files.open()
            return self._loaded(connection, anew)

    def _loaded(self, connection: Connection, anew: bool) -> Loaded | None:
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

    def write(self, connection: Connection, changes: Changes) -> int:
        """Write changes into the open transaction; return the number of the run's own row.

        Raises:
            RunLostError: If somebody else has written the run since.
            StoreError: If a file of a large value can't be written.
        """
        changes = self._files.write_large(changes)
        now = time.time()
        self._files.note_obsolete(connection, self._run, changes)
        run = self._head(connection, changes, now)
        if changes.head.inputs is not None:
            connection.execute("INSERT OR REPLACE INTO inputs VALUES (?, ?)", (run, changes.head.inputs))
        if changes.head.status is RunStatus.SUCCEEDED:
            connection.execute("DELETE FROM inputs WHERE run = ?", (run,))
        if changes.rounds is not None:
            connection.execute("DELETE FROM facts WHERE run = ? AND round <= ?", (run, changes.rounds))
        if changes.frames:
            connection.executemany(
                "DELETE FROM facts WHERE run = ? AND round = ? AND frame = ?",
                [(run, frame.round, frame.digest) for frame in changes.frames],
            )
        if changes.nodes:
            connection.executemany(
                "DELETE FROM facts WHERE run = ? AND round = ? AND frame = ? AND node = ?",
                [(run, place.frame.round, place.frame.digest, place.node) for place in changes.nodes],
            )
        rows = [_row(run, fact, now) for fact in changes.facts]
        whole = len(rows) - len(rows) % _MANY
        for begin in range(0, whole, _MANY):
            connection.execute(_PUT_MANY, [*chain.from_iterable(rows[begin : begin + _MANY])])
        for row in rows[whole:]:
            connection.execute(_PUT, row)
        if changes.timeline:
            self._put_timeline(connection, run, changes.timeline, now)
        return run

    def _put_timeline(self, connection: Connection, run: int, parts: list[TimelinePart], now: float) -> None:
        """Put parts of the run's timeline; those of drives long ago go."""
        for part in parts:
            connection.execute(
                "INSERT OR REPLACE INTO timelines VALUES (?, ?, ?, ?, ?)", (run, *part[:3], now)
            )
        if parts[-1].drive != self._drive and not self._is_new:
            self._drive = parts[-1].drive
            connection.execute(_FORGET_DRIVES, (run, run, KEPT_DRIVES - 1))

    def _head(self, connection: Connection, changes: Changes, now: float) -> int:
        """Write the run's own row; return its number."""
        head = changes.head
        if changes.anew or self._run is None:
            self._is_new = True
            self._check_owner(self._owner_in(connection) == self._owner, connection)
            for table in ("facts", "timelines", "inputs"):
                connection.execute(
                    f"DELETE FROM {table} WHERE run = (SELECT id FROM runs WHERE run_id = ?)", (self._run_id,)
                )
            connection.execute("DELETE FROM runs WHERE run_id = ?", (self._run_id,))
            connection.execute(
                """INSERT INTO runs
                    (run_id, status, task, round, began, updated, error, record, target, rules, owner, waits_for)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
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
                    head.waits_for or "",
                ),
            )
            return connection.last_number()
        connection.execute(
            """UPDATE runs SET updated = ?, status = coalesce(?, status), task = coalesce(?, task),
                round = coalesce(?, round), error = coalesce(?, error), record = coalesce(?, record),
                target = coalesce(?, target), rules = coalesce(?, rules),
                waits_for = coalesce(?, waits_for), owner = ?
                WHERE id = ? AND owner = ?""",
            (
                *(now, head.status, head.task, head.round, head.error, head.record, head.target, head.rules),
                *(head.waits_for, self._token, self._run, self._owner),
            ),
        )
        self._check_owner(connection.changes() == 1, connection)
        return self._run

    def note_written(self, run: int) -> None:
        """Note that changes are committed, and remove the files that have no row any more."""
        self._files.clean()
        self._run, self._owner = run, self._token


@dataclass(slots=True)
class Batch:
    """Changes of one run, which are written in the transaction of somebody else, who tells when it is committed."""

    rows: RunRows
    changes: Changes
    run: int = 0

    def write(self, connection: Connection) -> None:
        """Write the changes into the open transaction."""
        self.run = self.rows.write(connection, self.changes)

    def note_written(self) -> None:
        """Note that they are committed."""
        self.rows.note_written(self.run)


def _row(run: int, fact: Fact, now: float) -> tuple[object, ...]:
    (number, frame, above), node = fact.place
    return run, number, frame, node, fact.kind, above, fact.call.task, fact.call.place, now, fact.value
