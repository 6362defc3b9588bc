"""What durability costs, against `sqlite3` by itself writing and reading the same bytes on the same disk.

The bytes are those of the measured run: its journal notes each batch that it writes, and a bare connection with the
same journal mode and synchronous setting writes it into a file of its own, by turns with the run. How long a disk
takes to say that it is done varies from moment to moment; so the turns are short and many.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.adapters.cache import SqliteCacheBackend
from cascade.adapters.sqlite_bindings.connection import Connection
from cascade.adapters.sqlite_files import Synchronous, claim, open_connection
from cascade.adapters.state import Changes, Durability, Loaded, RecordedState
from cascade.adapters.state.sqlite.sqlite_journal import RUNS, SqliteJournal
from cascade.runtime.sharing.single_flight import SharedCache
from cascade.spec.protocols import CachedCall, Hit
from observatory.contest import (
    FEWEST_REPEATS,
    Contestants,
    Run,
    Side,
    Stopwatch,
    Timing,
    WrongAnswerError,
)
from observatory.workloads import BY_NAME, CASCADE, Start, chain, fan_out

SYNCHRONOUS = {Durability.SYNC: Synchronous.FULL, Durability.ASYNC: Synchronous.OFF}
BLOB = "x" * 1_000
"""What a cached call has for a value: some text of a usual length."""


class NotedJournal:
    """A journal that keeps what is written through it, in memory as well; short batches are written as it likes."""

    def __init__(self, journal: SqliteJournal, noted: list[Changes]) -> None:
        self._journal = journal
        self._noted = noted

    async def open(self, anew: bool = False) -> Loaded | None:
        return await self._journal.open(anew)

    async def write(self, changes: Changes) -> None:
        self._noted.append(changes)
        await self._journal.write(changes)

    def write_now(self, changes: Changes) -> bool:
        is_written = self._journal.write_now(changes)
        if is_written:
            self._noted.append(changes)
        return is_written

    async def close(self) -> None:
        await self._journal.close()


Statements = list[tuple[str, list[tuple[object, ...]]]]
"""What a bare connection executes in one transaction: a statement, and the rows that it is executed for."""

_INSERT = (
    "INSERT OR REPLACE INTO facts (run, round, frame, node, kind, above, task, place, at, value)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE = "DELETE FROM facts WHERE run = ? AND round <= ?"
_BEGIN = (
    "INSERT INTO runs (id, run_id, status, task, round, began, updated, error, record, target)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ROUND = "UPDATE runs SET updated = ?, round = ?, target = ? WHERE id = ?"
_END = "UPDATE runs SET updated = ?, status = ?, error = ? WHERE id = ?"


@dataclass(slots=True)
class BareRuns:
    """A file like that of the measured runs, written by `sqlite3` alone."""

    connection: Connection
    run: int = 0
    rounds_with_facts: set[int] = field(default_factory=set)

    @classmethod
    def open(cls, path: Path, durability: Durability) -> BareRuns:
        connection = open_connection(path, synchronous=SYNCHRONOUS[durability])
        claim(connection, path, RUNS)
        return cls(connection)

    def statements(self, batches: Iterable[Changes]) -> Statements:
        """Return what writes the bytes of these batches, with the fewest statements."""
        now = time.time()
        made: Statements = []
        facts: list[tuple[object, ...]] = []
        for batch in batches:
            head = batch.head
            if batch.anew:
                self.run += 1
                begun = (
                    head.status,
                    head.task or "",
                    head.round or 0,
                    now,
                    now,
                    "",
                    head.record or b"",
                    head.target or b"",
                )
                made.append((_BEGIN, [(self.run, f"run {self.run}", *begun)]))
                self.rounds_with_facts.clear()
            elif head.round is not None:
                made.append((_ROUND, [(now, head.round, head.target, self.run)]))
            elif head.status is not None:
                made.append((_END, [(now, head.status, head.error, self.run)]))
            gone = {each for each in self.rounds_with_facts if each <= (batch.rounds or 0)}
            if gone and batch.rounds is not None:
                made.append((_DELETE, [(self.run, batch.rounds)]))
                self.rounds_with_facts -= gone
            for (frame, node), kind, value, (task, place) in batch.facts:
                row = (frame.round, frame.digest, node, kind, frame.above, task, place, now, value)
                facts.append((self.run, *row))
                self.rounds_with_facts.add(frame.round)
        return [*made, (_INSERT, facts)] if facts else made

    def write_all(self, batches: Iterable[Statements]) -> None:
        """Execute and commit each batch."""
        connection = self.connection
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in batch:
                if len(rows) == 1:
                    connection.execute(statement, rows[0])
                else:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")


# Rounds


@dataclass(slots=True)
class RoundTurns:
    """The turns of a durable countdown and of the bare loop, taken by the countdown itself after every few rounds."""

    timing: Timing
    bare: BareRuns
    noted: list[Changes]
    ends: float
    began: float = 0.0

    def take(self) -> bool:
        """End a turn of rounds, give the bare loop its turn, and tell whether there is to be another one."""
        ours = time.perf_counter() - self.began
        batches = [self.bare.statements([each]) for each in self.noted]
        self.noted.clear()
        limit = _timed(lambda: self.bare.write_all(batches))
        if len(batches) == self.timing.size:  # not so in the turn that begins the run
            self.timing.ours.append(ours)
            self.timing.limit.append(limit)
        goes_on = len(self.timing.ours) < FEWEST_REPEATS or time.perf_counter() < self.ends
        gc.collect()
        self.began = time.perf_counter()
        return goes_on


TURNS: ContextVar[RoundTurns] = ContextVar("TURNS")


@cs.task
def countdown(left: int) -> Any:
    """Count down for as long as there are turns."""
    turns = TURNS.get()
    if left % turns.timing.size == 0 and not turns.take():
        return 0
    return countdown(left - 1)


async def against_bare_rounds(folder: Path, durability: Durability, seconds: float, rounds: int) -> Timing:
    """Time the rounds of one durable countdown against a loop that writes and commits the same bytes."""
    timing = Timing(rounds, rounds)
    noted: list[Changes] = []
    bare = BareRuns.open(folder / f"bare-rounds-{durability}.db", durability)
    engine = cs.Engine(state_backend_cls=noting(folder / f"rounds-{durability}.db", durability, noted))
    token = TURNS.set(RoundTurns(timing, bare, noted, time.perf_counter() + seconds))
    try:
        await engine.run(countdown(1_000_000_000 * rounds), run_id="rounds")
    finally:
        TURNS.reset(token)
        bare.connection.close()
    return timing


def noting(path: Path, durability: Durability, noted: list[Changes]) -> Callable[..., RecordedState]:
    """Return what makes the state of a run in an SQLite file, and notes what is written there."""

    def make(run_id: str) -> RecordedState:
        return RecordedState(NotedJournal(SqliteJournal(path, run_id, durability), noted), run_id)

    return make


# A fan-out


async def against_bare_fan_out(
    folder: Path, start: Start, durability: Durability, seconds: float, size: int
) -> Timing:
    """Time a durable fan-out against the same run in memory plus one bare transaction of the same rows.

    The store is there already. From cold the engine is new and so are the tasks; else both engines know the structure.
    """
    contestants = Contestants(BY_NAME["fan_out"], size)
    watch = Stopwatch(contestants)
    noted: list[Changes] = []
    bare = BareRuns.open(folder / f"bare-fan-{start}-{durability}.db", durability)
    state = noting(folder / f"fan-{start}-{durability}.db", durability, noted)
    timing = Timing(size, contestants.workload.units(size))
    durable = durable_fan_out(contestants, start, state)
    in_memory = contestants.ours(start)

    async def turn() -> tuple[float, float]:
        ours = await watch.time(durable)
        statements = bare.statements(noted)
        noted.clear()
        return ours, await watch.time(in_memory) + _timed(lambda: bare.write_all([statements]))

    for _ in range(3):
        await turn()
    end = time.perf_counter() + seconds
    while len(timing.ours) < FEWEST_REPEATS or time.perf_counter() < end:
        ours, limit = await turn()
        timing.ours.append(ours)
        timing.limit.append(limit)
    bare.connection.close()
    return timing


def durable_fan_out(contestants: Contestants, start: Start, state: Callable[..., RecordedState]) -> Side:
    """Return the side of a fan-out that is recorded, each time under another run id."""
    known = None if start is Start.COLD else cs.Engine(state_backend_cls=state)
    tasks = fan_out(CASCADE)

    def prepare(salt: int) -> Run:
        engine = cs.Engine(state_backend_cls=state) if known is None else known
        make = fan_out(CASCADE) if known is None else tasks

        async def run() -> object:
            return await engine.run(make(contestants.size, salt), run_id=f"run {salt}")

        return run

    return prepare


# A chain


async def against_bare_commits(folder: Path, durability: Durability, seconds: float, size: int) -> Timing:
    """Time a durable chain against a bare connection that writes the same facts, each in a commit of its own."""
    noted: list[Changes] = []
    name = f"chain-{durability}-{size}"
    bare = BareRuns.open(folder / f"bare-{name}.db", durability)
    engine = cs.Engine(state_backend_cls=noting(folder / f"{name}.db", durability, noted))
    watch = Stopwatch(Contestants(BY_NAME["chain"], size))
    make, timing = chain(CASCADE), Timing(size, size)

    def prepare(salt: int) -> Run:
        async def run() -> object:
            return await engine.run(make(size, salt), run_id=f"run {salt}")

        return run

    async def turn() -> tuple[float, float]:
        ours = await watch.time(prepare)
        rows = [row for statement, rows in bare.statements(noted) if statement == _INSERT for row in rows]
        noted.clear()
        return ours, _timed(lambda: bare.write_all([(_INSERT, [row])] for row in rows))

    await turn()
    end = time.perf_counter() + seconds
    while len(timing.ours) < 3 or time.perf_counter() < end:
        ours, limit = await turn()
        timing.ours.append(ours)
        timing.limit.append(limit)
    bare.connection.close()
    await engine.close()
    return timing


# Cache hits


@cs.task
def cached(number: int) -> str:
    """Return the blob."""
    return BLOB


async def against_bare_select(folder: Path, seconds: float, size: int) -> dict[str, Timing]:
    """Time hits in an SQLite cache against selects of the same blobs by a bare connection to the same file.

    `cache hit` is all that a run does for a call that is not made: its key, asking, decoding, and what the run does
    for any call. `cache hit (asking)` is the key, asking and decoding alone.
    """
    path = folder / "cache.db"
    cache = SqliteCacheBackend(path)
    engine = cs.Engine(cache_backend=cache)
    policy = cs.ByInputs()
    calls = [cached(number).with_cache(policy) for number in range(size)]
    expected = [BLOB] * size
    await engine.run(calls)
    bare = open_connection(path, synchronous=Synchronous.NORMAL)
    digests = bare.select("SELECT digest FROM entry")

    def select() -> None:
        for digest in digests:
            bare.first("SELECT value FROM entry WHERE digest = ?", digest)

    async def run() -> None:
        lazies = [cached(number).with_cache(policy) for number in range(size)]
        if await engine.run(lazies) != expected:
            raise WrongAnswerError("cache hits")

    shared: SharedCache[None] = SharedCache(cache)

    async def ask() -> None:
        for number in range(size):
            hit = await shared.find(policy, CachedCall(cached, (number,), {}), None, _computes_nothing)
            if not isinstance(hit, Hit) or hit.value != BLOB:
                raise WrongAnswerError("cache hits")

    timings = {}
    for name, ours in (("cache hit", run), ("cache hit (asking)", ask)):
        timing = timings[name] = Timing(size, size)
        end = time.perf_counter() + seconds
        await ours()
        while len(timing.ours) < FEWEST_REPEATS or time.perf_counter() < end:
            timing.limit.append(_timed(select))
            gc.collect()
            before = time.perf_counter()
            await ours()
            timing.ours.append(time.perf_counter() - before)
    bare.close()
    await cache.close()
    return timings


def _computes_nothing(owner: None) -> bool:
    return False


# The clock


def _timed(work: Callable[[], None]) -> float:
    gc.collect()
    before = time.perf_counter()
    work()
    return time.perf_counter() - before
