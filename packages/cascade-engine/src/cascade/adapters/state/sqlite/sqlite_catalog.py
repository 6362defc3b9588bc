"""The runs in an SQLite file, listed without their values.

Each method opens the file and closes it. It reads while others write, so what it returns of a run that is driven at
that moment may be some moments old.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import gethostname
from typing import Any

from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_bindings.connection import Connection, ResultCode, SqliteError
from cascade.adapters.sqlite_files import (
    JournalMode,
    Synchronous,
    Transaction,
    is_claimed,
    journal_mode,
    open_connection,
    open_for_reading,
    pragma,
    store_errors,
)
from cascade.adapters.state.catalog import (
    FactPage,
    FactSummary,
    Finding,
    RunPage,
    RunSummary,
    damaged_summary,
    mark_from,
    mark_of,
    summary_of,
)
from cascade.adapters.state.checked import blob, count, moment, part_of, text
from cascade.adapters.state.damage import checking
from cascade.adapters.state.journal import Kind, TimelinePart
from cascade.adapters.state.sqlite.run_files import folder_of
from cascade.adapters.state.sqlite.sqlite_journal import RUNS, run_lease
from cascade.adapters.values.pointer import SIZE, Pointer, is_pointer
from cascade.adapters.values.value_files import FileValueStore
from cascade.spec.errors import DamagedDataError, RunActiveError, RunNotFoundError

CHECK_SECONDS = 2.0
"""How long the file may be checked while runs are driven: who wants to write waits meanwhile, but not for ever."""

_PAGE = 20_000
"""Facts that are read at a time: who wants to write waits while a page is read."""

# A bound on where a scan ends, or a search for one run, would make SQLite read whole values to compare keys:
# values lie in the index that is the table.
_SIZES = "SELECT run, count(*), total(length(value)) FROM facts GROUP BY run"
_FACTS = f"""SELECT run, round, frame, node, kind, task, place, at, length(value),
    CASE length(value) WHEN {SIZE} THEN value END FROM facts
    WHERE (run, round, frame, node, kind) > (?, ?, ?, ?, ?) ORDER BY run, round, frame, node, kind LIMIT ?"""
_TIMELINE = """SELECT drive, number, data, at FROM timelines
    WHERE run = (SELECT id FROM runs WHERE run_id = ?) AND (number = 0 OR NOT ?) ORDER BY drive, number"""
_LATEST = "SELECT id FROM runs ORDER BY updated DESC, id DESC LIMIT ? OFFSET ?"
_SIZE_OF_ONE = "SELECT count(*), total(length(value)) FROM facts WHERE run = ?"
_BEFORE_ALL = (-(2**63), b"", b"", -1)
"""What comes before the round, frame, node and kind of every fact of a run."""

_HEADS = (
    "SELECT id, run_id, status, task, round, began, updated, error, rules, waits_for,"
    " coalesce(length(record) + length(target), 0)"
    " FROM runs"
)


class SqliteCatalog:
    """The runs in an existing SQLite file.

    `RunSummary.size` counts the bytes of a run's values, not those of the file.

    Raises:
        StoreNotFoundError: If there is no such file; it is not made.
        StoreFormatError: If it is something else, or of a newer version.
        StoreError: If it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._values = FileValueStore.beside(self._path)
        self._select("SELECT 1")

    @property
    def address(self) -> str:
        """What tells this store from all others that share a value store."""
        return f"{gethostname()}:{self._path.resolve()}"

    def runs(self) -> list[RunSummary]:
        """Return all runs, the last updated first."""
        sizes = {run: (facts, size) for run, facts, size in self._select(_SIZES)}
        heads = self._select(f"{_HEADS} ORDER BY updated DESC, id DESC")
        found = (self._summary(head, *sizes.get(head[0], (0, 0))) for head in heads)
        return [summary for summary in found if summary is not None]

    def run_page(self, first: int, count: int) -> RunPage:
        """Return so many runs, the last updated first, from a number on that counts from 0."""
        heads = self._select(
            f"{_HEADS} WHERE id IN ({_LATEST}) ORDER BY updated DESC, id DESC", (count, first)
        )
        total = self._select("SELECT count(*) FROM runs")
        found = (self._summary(head, 0, 0) for head in heads)
        return RunPage([run for run in found if run is not None], total[0][0] if total else 0)

    def find(self, run_id: str, *, counted: bool = True) -> RunSummary:
        """Return one run; unless its facts are to be `counted`, `facts` is 0 and `size` has none of them.

        Raises:
            RunNotFoundError: If the store has no such run.
        """
        number = self._number(run_id)
        heads = self._select(f"{_HEADS} WHERE id = ?", (number,))
        facts, size = self._select(_SIZE_OF_ONE, (number,))[0] if counted else (0, 0)
        found = self._summary(heads[0], facts, size) if heads else None
        if found is None:
            raise RunNotFoundError(run_id, str(self._path))
        return found

    def fact_page(self, run_id: str, after: str | None, count: int) -> FactPage:
        """Return so many facts of a run: the first ones, or those that follow on an earlier page.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunDamagedError: If its data can't be read.
            SpecError: If `after` comes from no page of this store.
        """
        number = self._number(run_id)
        last = (number, *(_BEFORE_ALL if after is None else mark_from(after)))
        with checking(str(self._path), run_id):
            rows = [row for row in self._select(_FACTS, (*last, count)) if row[0] == number]
            return FactPage(
                [_fact_of(row) for row in rows], mark_of(*rows[-1][1:5]) if len(rows) == count else None
            )

    def facts(self, run_id: str) -> list[FactSummary]:
        """Return what is recorded of a run, in the order of rounds, then of time.

        Raises:
            RunNotFoundError: If the store has no such run.
        """
        number = self._number(run_id)
        with checking(str(self._path), run_id):
            for head in self._select(f"{_HEADS} WHERE id = ?", (number,)):
                _summary_of(head, "", 0, 0)
            found = [_fact_of(row) for row in self._rows(number)]
        return sorted(found, key=lambda fact: (fact.round, fact.at))

    def timeline(self, run_id: str, *, sums: bool = False) -> list[TimelinePart]:
        """Return the parts of a run's timeline, by drive and number; with `sums` only those that sum up a drive.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunDamagedError: If they can't be read.
        """
        is_text = run_id.encode("utf-8", "replace").decode() == run_id
        rows = self._select(_TIMELINE, (run_id, sums)) if is_text else []
        if not rows:
            self._number(run_id)
        with checking(str(self._path), run_id):
            return [part_of(row) for row in rows]

    def recoverable(self) -> list[RunSummary]:
        """Return the runs that another process may go on with, those that were updated last at the end."""
        heads = self._select(f"{_HEADS} WHERE id IN (SELECT run FROM inputs) ORDER BY updated, id")
        found = (self._summary(head, 0, 0) for head in heads)
        return [run for run in found if run is not None and run.is_open and not run.driver]

    def inputs(self, run_id: str) -> bytes | None:
        """Return what a run has kept of its inputs, encoded; `None` if it has kept nothing, or is not there.

        Raises:
            RunDamagedError: If something else stands in their place.
        """
        rows = self._select(
            "SELECT data FROM inputs WHERE run = (SELECT id FROM runs WHERE run_id = ?)", (run_id,)
        )
        with checking(str(self._path), run_id):
            return blob(rows[0][0]) if rows else None

    def record(self, run_id: str) -> bytes | None:
        """Return the record of a run, encoded; `None` if it has none, or is not there.

        Raises:
            RunDamagedError: If something else stands in its place.
        """
        rows = self._select("SELECT record FROM runs WHERE run_id = ?", (run_id,))
        with checking(str(self._path), run_id):
            return (blob(rows[0][0]) or None) if rows else None

    def delete(self, run_id: str) -> None:
        """Delete a run, with its files; its data in the store's file is overwritten.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunActiveError: If somebody drives it.
        """
        self._number(run_id)
        lease = run_lease(self._path, run_id)
        with store_errors(self._path):
            holder = lease.take()
        if holder is not None:
            raise RunActiveError(run_id, str(self._path), holder)
        try:
            self._delete(self._number(run_id))
            self._values.delete(folder_of(run_id))
        finally:
            lease.release()

    def close(self) -> None:
        """Do nothing: each method opens the file and closes it."""

    def inspect(self) -> list[Finding]:
        """Check the file as a whole: its version, its journal, whether it is sound.

        Raises:
            StoreError: If it can't be read.
        """
        names = [
            run_id for (run_id,) in self._select("SELECT run_id FROM runs WHERE typeof(run_id) = 'text'")
        ]
        with store_errors(self._path):
            driven = any(run_lease(self._path, run_id).holder() for run_id in names)
        with open_for_reading(self._path, RUNS) as connection:
            version, mode = pragma(connection, "user_version"), pragma(connection, "journal_mode")
            sound = _integrity(connection, driven)
        older = ": the next run that is recorded in it brings it up" if version < RUNS.version else ""
        return [Finding("store version", f"{version} of {RUNS.version}{older}"), _journal(mode), sound]

    def _select(self, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with open_for_reading(self._path, RUNS) as connection:
            return connection.select(query, parameters) if is_claimed(connection, self._path, RUNS) else []

    def _rows(self, number: int) -> Iterator[tuple[Any, ...]]:
        """Yield the facts of a run, by node."""
        last: tuple[Any, ...] = (number, *_BEFORE_ALL)
        while True:
            rows = self._select(_FACTS, (*last, _PAGE))
            for row in rows:
                if row[0] != number:
                    return
                yield row
            if len(rows) < _PAGE:
                return
            last = rows[-1][: len(last)]

    def _number(self, run_id: str) -> int:
        is_text = run_id.encode("utf-8", "replace").decode() == run_id  # half a character stands in no file
        rows = self._select("SELECT id FROM runs WHERE run_id = ?", (run_id,)) if is_text else []
        if not rows:
            raise RunNotFoundError(run_id, str(self._path))
        number: int = rows[0][0]
        return number

    def _summary(self, head: tuple[Any, ...], facts: int, size: int) -> RunSummary | None:
        """Return the summary of a run; `None` for one that is gone in the meantime."""
        while True:
            number, run_id = head[:2]
            driver = ""
            if isinstance(run_id, str):
                with store_errors(self._path):
                    driver = run_lease(self._path, run_id).holder()
            try:
                summary = _summary_of(head, driver, facts, size + self._beside(run_id))
            except ValueError:
                return damaged_summary(run_id, driver, facts, int(size))
            if not summary.is_interrupted:
                return summary
            # It may have ended, or have been taken up, between the two looks at it.
            again = self._select(f"{_HEADS} WHERE id = ?", (number,))
            if not again or again[0] == head:
                return summary if again else None
            head = again[0]

    def _beside(self, run_id: object) -> int:
        """Return how many bytes the large values of a run are."""
        return sum(size for _, _, size in self._values.names(folder_of(str(run_id))))

    def _delete(self, number: int) -> None:
        opened = open_connection(self._path, synchronous=Synchronous.FULL, wanted=RUNS)
        with closing(opened) as connection, store_errors(self._path):
            pragma(connection, "secure_delete = on")
            with Transaction(connection):
                connection.execute("DELETE FROM facts WHERE run = ?", (number,))
                connection.execute("DELETE FROM timelines WHERE run = ?", (number,))
                connection.execute("DELETE FROM inputs WHERE run = ?", (number,))
                connection.execute("DELETE FROM runs WHERE id = ?", (number,))
            # A log has what was deleted, until it is written anew; it stays while somebody reads it.
            connection.select("PRAGMA wal_checkpoint(truncate)")


def _fact_of(row: tuple[Any, ...]) -> FactSummary:
    _, at_round, _, _, kind, task, place, at, size, value = row
    return FactSummary(count(at_round), text(task), text(place), Kind(kind), moment(at), _size(size, value))


def _size(size: int, value: object) -> int:
    """Return how many bytes a value is, which may lie beside the store."""
    try:
        return Pointer.read(value).size if isinstance(value, bytes) and is_pointer(value) else size
    except DamagedDataError:
        return size


def _summary_of(head: tuple[Any, ...], driver: str, facts: int, size: float) -> RunSummary:
    *columns, own = head[1:]
    return summary_of(columns, driver, facts, own + int(size))


def _journal(mode: str) -> Finding:
    safe = journal_mode(binding().version)
    if mode == JournalMode.WAL and safe is not JournalMode.WAL:
        return Finding(
            "store journal",
            f"{mode}, which this SQLite library is not safe with",
            "let no other program write it; the next run that is recorded in it sets the safe one",
        )
    return Finding("store journal", mode)


def _integrity(connection: Connection, driven: bool) -> Finding:
    subject = "store integrity"
    if driven:
        ends = time.monotonic() + CHECK_SECONDS
        connection.stop_when(lambda: time.monotonic() > ends)
    try:
        problems = [text for (text,) in connection.select("PRAGMA integrity_check(10)")]
    except SqliteError as problem:
        if problem.code == ResultCode.INTERRUPT:
            late = f"not checked: it takes more than {CHECK_SECONDS:g} s, and runs are being driven"
            return Finding(subject, late)
        if problem.code != ResultCode.CORRUPT:
            raise
        problems = [str(problem)]
    if problems == ["ok"]:
        return Finding(subject, "ok")
    shown = "; ".join(" ".join(text.split()) for text in problems)
    return Finding(subject, shown, "restore the file from a copy, or begin a new one")
