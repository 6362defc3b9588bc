"""State in an SQLite file: a table of runs, a table of their facts, and one writer for all runs of the process."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cascade.adapters.sqlite_files import Format, store_errors
from cascade.adapters.state.journal import Changes, Durability, Loaded
from cascade.adapters.state.lease import FileLease
from cascade.adapters.state.range_locks import HAS_RANGES, RangeLease, RunLease
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.sqlite.run_files import RunFiles
from cascade.adapters.state.sqlite.run_rows import RunRows
from cascade.adapters.state.sqlite.store_writer import StoreWriter, WriterLease
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.value_files import FileValueStore
from cascade.spec.errors import RunActiveError, StoreError
from cascade.spec.protocols import Codec

_TIMELINES = """CREATE TABLE timelines (
            run INTEGER NOT NULL, drive INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,
            at REAL NOT NULL, PRIMARY KEY (run, drive, number)) WITHOUT ROWID"""
_NO_TIMELINES = """CREATE TEMP VIEW timelines AS
    SELECT 0 AS run, 0 AS drive, 0 AS number, x'' AS data, 0.0 AS at WHERE false"""
_INPUTS = "CREATE TABLE inputs (run INTEGER PRIMARY KEY, data BLOB NOT NULL)"
_NO_INPUTS = "CREATE TEMP VIEW inputs AS SELECT 0 AS run, x'' AS data WHERE false"
_NOTHING_WAITS = "CREATE TEMP VIEW runs AS SELECT *, '' AS waits_for FROM main.runs"
_WAITS_FOR = "waits_for TEXT NOT NULL DEFAULT ''"

RUNS = Format(
    name="store of runs",
    mark=0x43534452,
    version=4,
    tables=(
        f"""CREATE TABLE runs (
            id INTEGER PRIMARY KEY, run_id TEXT UNIQUE NOT NULL, status TEXT NOT NULL, task TEXT NOT NULL,
            round INTEGER NOT NULL, began REAL NOT NULL, updated REAL NOT NULL, error TEXT NOT NULL,
            record BLOB NOT NULL, target BLOB NOT NULL,
            rules INTEGER NOT NULL DEFAULT 1, owner TEXT NOT NULL DEFAULT '', {_WAITS_FOR})""",
        """CREATE TABLE facts (
            run INTEGER NOT NULL, round INTEGER NOT NULL, frame BLOB NOT NULL, node BLOB NOT NULL,
            kind INTEGER NOT NULL, above BLOB NOT NULL, task TEXT NOT NULL, place TEXT NOT NULL,
            at REAL NOT NULL, value BLOB NOT NULL,
            UNIQUE (run, round, frame, node, kind))""",
        _TIMELINES,
        _INPUTS,
    ),
    # Cascade 0.1 wrote version 1; version 2 had no timelines, and version 3 no inputs. A step and the views for it say
    # the same, one to write and one to look.
    steps={
        1: (
            "ALTER TABLE runs ADD COLUMN rules INTEGER NOT NULL DEFAULT 1",
            "ALTER TABLE runs ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
        ),
        2: (_TIMELINES,),
        3: (_INPUTS, f"ALTER TABLE runs ADD COLUMN {_WAITS_FOR}"),
    },
    views={
        1: (
            "CREATE TEMP VIEW runs AS SELECT *, 1 AS rules, '' AS owner, '' AS waits_for FROM main.runs",
            _NO_TIMELINES,
            _NO_INPUTS,
        ),
        2: (_NOTHING_WAITS, _NO_TIMELINES, _NO_INPUTS),
        3: (_NOTHING_WAITS, _NO_INPUTS),
    },
)
"""`rules` are those of the run's digests; `owner` is who drives the run, or did so last."""

_SHORT_ROWS, _SHORT_BYTES = 16, 16_384


class SqliteStateBackend(RecordedState):
    """The facts of one run in an SQLite file, which is made if it is not there.

    `durability="sync"` survives the loss of power. `"async"` survives the end of the process and is several times as
    fast, but loss of power may damage the file. The facts of the last `keep_rounds` rounds of the run's own loop stay
    in the file.

    Raises:
        PolicyError: If `durability` or `keep_rounds` makes no sense.
        SpecError: If `run_id` can't be written as UTF-8.
    """

    def __init__(  # noqa: PLR0913 - public settings
        self,
        path: str | os.PathLike[str],
        *,
        run_id: str,
        durability: str = Durability.SYNC,
        keep_rounds: int = 1,
        codec: Codec | None = None,
        values: KeptValues | None = None,
    ) -> None:
        journal = SqliteJournal(path, run_id, Durability.of(durability))
        super().__init__(journal, run_id, codec=codec, keep_rounds=keep_rounds, values=values)


class SqliteStates:
    """Makes the state backends of runs in one file. `options` are those of `SqliteStateBackend`.

    After `keep_open` the file stays open between runs until `close`: opening it and closing it takes longer than a
    short run.
    """

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._path = Path(path)
        self._options = options
        self._keeps_open = False
        self._lease: WriterLease | None = None

    def keep_open(self) -> None:
        """Let the file stay open from the next run on; whoever asks for that calls `close`."""
        self._keeps_open = True

    def __call__(self, run_id: str) -> SqliteStateBackend:
        """Return the state backend of a run."""
        backend = SqliteStateBackend(self._path, run_id=run_id, **self._options)
        if self._keeps_open and self._lease is None:
            self._lease = WriterLease(self._path, RUNS)
        return backend

    async def close(self) -> None:
        """Close the file, unless a run has it open."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.release()


class SqliteJournal:
    """One run's rows in an SQLite file. Nobody else writes them while the run's lock file is locked.

    A lock file can be removed, and a file can have two names, each with a lock file. So each write checks in the same
    transaction, by a token of the writer, that nobody else has written the run since. A process that has lost the run
    can't write any more.
    """

    def __init__(self, path: str | os.PathLike[str], run_id: str, durability: Durability) -> None:
        self._path = Path(path)
        self.store = str(self._path)
        self._run_id = run_id
        self._is_safe = durability is Durability.SYNC
        self._lease = run_lease(self._path, run_id)
        files = RunFiles(FileValueStore.beside(self._path), run_id, safe=self._is_safe)
        self._rows = RunRows(self.store, run_id, files)
        self._writing: WriterLease | None = None

    async def open(self, anew: bool = False) -> Loaded | None:
        """Lock the run and read its rows, unless they are to be forgotten.

        Raises:
            RunActiveError: If another process, or another run of this one, has it.
            StoreError: If the file can't be read, is not a store of runs, or is one of a newer version.
        """
        self._writing = WriterLease(self._path, RUNS)
        with store_errors(self._path):
            holder = self._lease.take()
        if holder is not None:
            raise RunActiveError(self._run_id, str(self._path), holder)
        loaded: Loaded | None = await self._writing.writer.do(
            lambda connection: self._rows.read(connection, anew)
        )
        return loaded

    async def write(self, changes: Changes) -> None:
        """Write a batch as one transaction.

        Raises:
            StoreError: If that fails; nothing of it is in the file then.
        """
        await self._writer().write(self._rows.batch(changes), safe=self._is_safe)

    def write_now(self, changes: Changes) -> bool:
        """Write a batch in the caller's thread, if that takes less time than waking another; return whether it did.

        Raises:
            StoreError: If that fails; nothing of it is in the file then.
        """
        is_short = not self._is_safe and _is_short(changes)
        return is_short and self._writer().write_now(self._rows.batch(changes))

    async def close(self) -> None:
        """Close the file and unlock the run."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                await writing.release()
        finally:
            self._lease.release()

    def _writer(self) -> StoreWriter:
        if self._writing is None:
            raise StoreError(str(self._path), "is not open")
        return self._writing.writer


def _is_short(changes: Changes) -> bool:
    """Tell whether writing a batch takes less time than waking a thread, if it waits for no disk."""
    if len(changes.facts) > _SHORT_ROWS:
        return False
    head = changes.head
    size = len(head.record or b"") + len(head.target or b"")
    return size + sum(len(fact.value) for fact in changes.facts) <= _SHORT_BYTES


def lock_path(path: Path, run_id: str) -> Path:
    """Return the file in which the lock of a run is, by whatever name the store at `path` is called.

    It is one for all runs, where the system has locks of ranges that belong to an open file: on Linux.
    """
    path = path.resolve()
    return path.with_name(f"{path.name}.lock") if HAS_RANGES else own_lock_path(path, run_id)


def own_lock_path(path: Path, run_id: str) -> Path:
    """Return the lock file of a run alone, which earlier versions take on all systems."""
    path = path.resolve()
    own = blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return path.with_name(f"{path.name}-{own}.lock")


def run_lease(path: Path, run_id: str) -> RunLease:
    """Return the lease that a process holds while it drives a run of the store at `path`."""
    file = lock_path(path, run_id)
    return RangeLease(file, run_id, own_lock_path(path, run_id)) if HAS_RANGES else FileLease(file)
