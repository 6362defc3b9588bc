"""Claims about many recorded runs on one engine: what they share, and that none is in another one's way."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import redis
from support.redis_server import RedisProcess
from support.stores import asked, is_postgres, is_redis, opened, path_of, using

import cascade as cs
from cascade.adapters.state import PostgresStates, RedisStates
from cascade.runtime import Engine
from cascade.spec import RunLostError, StoreError

RUNS = 500
THREADS = 4
"""What counts as a handful."""
CONNECTIONS = {"sqlite": 1, "redis": 10, "postgresql": 6}
"""Connections of one engine at the most, by the scheme of the URL."""


class Gate:
    """Where the runs of a test wait for an event."""

    def __init__(self, runs: int) -> None:
        self._missing = runs
        self._all_there = asyncio.Event()
        self._open = asyncio.Event()

    async def passed(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._all_there.set()
        await self._open.wait()

    async def until_all_wait(self, runs: list[asyncio.Task[Any]]) -> None:
        """Wait until all runs wait; raise what one of them has raised before that."""
        there = asyncio.create_task(self._all_there.wait())
        ended, _ = await asyncio.wait([there, *runs], return_when=asyncio.FIRST_COMPLETED)
        for each in ended:
            each.result()

    def open(self) -> None:
        self._open.set()


GATES: list[Gate] = []


@cs.task
def begin(number: int) -> int:
    return number


@cs.task
async def wait(number: int) -> int:
    await GATES[-1].passed()
    return number


@cs.task
def end(number: int, waited: int) -> int:
    return number + waited


def target(number: int) -> Any:
    return end(number, wait(begin(number)))


@asynccontextmanager
async def waiting(engine: Engine, runs: int) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Give runs that all wait for an event, and let them go on afterwards."""
    gate = Gate(runs)
    GATES[:] = [gate]
    began = [
        asyncio.create_task(engine.run(target(number), run_id=f"run {number}")) for number in range(runs)
    ]
    await gate.until_all_wait(began)
    try:
        yield began
    finally:
        gate.open()


def connections(url: str) -> int:
    """Return how many connections there are to a store, but for the one that asks."""
    if is_postgres(url):
        return (
            int(asked(url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'client%'")[0][0])
            - 1
        )
    if is_redis(url):
        with closing(redis.Redis.from_url(url)) as client:
            return len(client.client_list()) - 1
    path = Path(path_of(url)).resolve()
    return sum(each.resolve() == path for each in Path("/proc/self/fd").iterdir())


async def test_hundreds_of_runs_share_a_handful_of_threads_and_connections(every_url: str) -> None:
    """500 recorded runs in progress take a handful of threads and connections; all end right, and nothing stays."""
    before = threading.active_count()
    async with Engine(state=every_url) as engine:
        async with waiting(engine, RUNS) as runs:
            assert threading.active_count() - before <= THREADS
            assert (
                1
                <= await asyncio.to_thread(connections, every_url)
                <= CONNECTIONS[every_url.partition(":")[0]]
            )
        assert await asyncio.gather(*runs) == [2 * number for number in range(RUNS)]
        assert await engine.run(target(7), run_id="run 7") == 14  # it is recorded, and makes no call
    await asyncio.to_thread(until_none, every_url)


def until_none(url: str) -> None:
    ends = time.monotonic() + 60
    while connections(url) > 0:  # one that is closed ends a moment later
        assert time.monotonic() < ends
        time.sleep(0.01)


# Commits


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    """The URL of a store whose commits wait for a disk, and what counts these waits."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        yield url, lambda: int(asked(url, "SELECT count(DISTINCT xmin::text) FROM cascade_facts")[0][0])
    elif request.param == "redis":
        with RedisProcess(tmp_path, persistent=True) as server:
            yield server.url, lambda: _waits(server.url)
    else:
        path = tmp_path / "runs.db"
        with using("sqlite3"):  # with a journal that is deleted the file counts its transactions
            yield f"sqlite:///{path}", lambda: int.from_bytes(path.read_bytes()[24:28], "big")


def _waits(url: str) -> int:
    with closing(redis.Redis.from_url(url)) as client:
        stats = client.info("commandstats")
    return int(stats.get("cmdstat_waitaof", {}).get("calls", 0))


async def test_runs_that_commit_at_the_same_time_wait_for_the_disk_together(
    counted: tuple[str, Callable[[], int]],
) -> None:
    """200 runs that go on at the same time, with two commits each at least, are fewer than 100 commits of the store."""
    url, count = counted
    async with Engine(state=url, durability="sync") as engine:
        async with waiting(engine, 200) as runs:
            before = await asyncio.to_thread(count)
        await asyncio.gather(*runs)
        assert await asyncio.to_thread(count) - before < 100


# One that fails


def spoil(url: str) -> None:
    """Let the store refuse what one run writes from now on."""
    if is_postgres(url):
        asked(
            url,
            """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.run = (SELECT id FROM cascade_runs WHERE run_id = 'run 13') THEN RAISE 'spoilt'; END IF;
            RETURN new; END $$""",
        )
        asked(
            url, "CREATE TRIGGER refuse BEFORE INSERT ON cascade_facts FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    elif is_redis(url):
        with closing(redis.Redis.from_url(url)) as client:
            client.set("cascade:state:frames:run 13", "spoilt")
    else:
        with closing(opened(path_of(url), 60)) as connection:
            connection.execute(
                """CREATE TRIGGER refuse BEFORE INSERT ON facts
                WHEN new.run = (SELECT id FROM runs WHERE run_id = 'run 13')
                BEGIN SELECT raise(ABORT, 'spoilt'); END"""
            )


async def test_a_batch_that_can_not_be_written_fails_its_own_run_alone(every_url: str) -> None:
    """Of 100 runs that commit at the same time, the one whose batch the store refuses fails; all others go on."""
    async with Engine(state=every_url) as engine:
        async with waiting(engine, 100) as runs:
            await asyncio.to_thread(spoil, every_url)
        results = await asyncio.gather(*runs, return_exceptions=True)
    failed = results.pop(13)
    assert isinstance(failed, StoreError)
    assert re.search("spoilt|WRONGTYPE", str(failed))
    assert results == [2 * number for number in range(100) if number != 13]


async def test_a_run_that_is_taken_over_is_lost_alone(server_url: str) -> None:
    """Of 50 runs one is taken over by another process: that one is told so at its next commit, and all others go on."""
    async with Engine(state=server_url) as engine:
        async with waiting(engine, 50) as runs:
            await asyncio.to_thread(take_over, server_url, "run 13")
        results = await asyncio.gather(*runs, return_exceptions=True)
    lost = results.pop(13)
    assert isinstance(lost, RunLostError)
    assert lost.run_id == "run 13"
    assert results == [2 * number for number in range(50) if number != 13]


def take_over(url: str, run_id: str) -> None:
    if is_postgres(url):
        asked(
            url, f"UPDATE cascade_leases SET owner = 'token process 7 on elsewhere' WHERE run_id = '{run_id}'"
        )
    else:
        with closing(redis.Redis.from_url(url)) as client:
            client.set(f"cascade:state:owner:{run_id}", b"token process 7 on elsewhere")


# Leases


def leases(url: str) -> list[float]:
    """Return how many seconds each lease lasts still."""
    if is_postgres(url):
        rows = asked(url, "SELECT extract(epoch FROM until - clock_timestamp())::float8 FROM cascade_leases")
        return [left for (left,) in rows]
    with closing(redis.Redis.from_url(url)) as client:
        return [client.pttl(key) / 1000 for key in client.keys("cascade:state:lease:*")]


def prolong(url: str) -> None:
    """Let all leases last for an hour: a renewal says anew how long they last."""
    if is_postgres(url):
        asked(url, "UPDATE cascade_leases SET until = clock_timestamp() + interval '1 hour'")
    else:
        with closing(redis.Redis.from_url(url)) as client:
            for key in client.keys("cascade:state:lease:*"):
                client.pexpire(key, 3_600_000)


def until_renewed(url: str, number: int, seconds: float) -> None:
    ends = time.monotonic() + 60
    while not (len(found := leases(url)) == number and max(found) <= seconds):
        assert time.monotonic() < ends
        time.sleep(0.02)


async def test_one_timer_renews_the_leases_of_all_runs(server_url: str) -> None:
    """100 runs that wait keep their leases, which are renewed together; each ends with its run."""
    seconds = 1.0
    states = RedisStates if is_redis(server_url) else PostgresStates
    make = states(server_url, lease_seconds=seconds)
    make.keep_open()
    async with Engine(state=make) as engine:
        async with waiting(engine, 100) as runs:
            for _ in range(2):
                await asyncio.to_thread(prolong, server_url)
                await asyncio.to_thread(until_renewed, server_url, 100, seconds)
            if is_postgres(server_url):
                assert asked(server_url, "SELECT count(DISTINCT xmin::text) FROM cascade_leases") == [(1,)]
        await asyncio.gather(*runs)
        assert all(left <= 0 for left in await asyncio.to_thread(leases, server_url))
    await make.close()
