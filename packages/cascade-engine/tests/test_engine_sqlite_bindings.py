"""Claims about the two SQLite libraries: a store moves from one to the other and back, whatever has happened to it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.resuming import WANTED, play, sixty, stopped
from support.stores import opened, using

import cascade as cs
from cascade.adapters.cache import SqliteCacheBackend
from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_bindings.connection import Connection, SqliteError
from cascade.adapters.sqlite_files import JournalMode, Synchronous, journal_mode, open_connection, pragma
from cascade.adapters.state import SqliteCatalog, SqliteStateBackend, inspect_library
from cascade.adapters.state.sqlite.sqlite_journal import RUNS
from cascade.adapters.state.sqlite.store_writer import WriterLease
from cascade.spec import CacheKey, Hit, StoreError, StoreFormatError

HAS_LOG = {"apsw": True, "sqlite3": journal_mode(sqlite3.sqlite_version_info[:3]) is JournalMode.WAL}
"""Which library is one that stores use a log with, as they are installed here."""

pytestmark = pytest.mark.usefixtures("story")


@cs.task
def give(value: int) -> int:
    return value


@cs.task
def keep(value: str) -> str:
    return value


def recording(path: Path, durability: str) -> Any:
    return lambda run_id: SqliteStateBackend(path, run_id=run_id, durability=durability)


def mode_in(path: Path) -> str:
    """Return the journal that a file asks for: the version of its format, in bytes 18 and 19."""
    return {b"\x01\x01": "delete", b"\x02\x02": "wal"}[path.read_bytes()[18:20]]


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("first", ["apsw", "sqlite3"])
async def test_a_run_goes_on_with_the_other_library(tmp_path: Path, first: str, durability: str) -> None:
    """What one library has recorded goes on with the other one, and is listed and ended by the first one."""
    path = tmp_path / "runs.db"
    url, make = f"sqlite:///{path}", recording(path, durability)
    second = "sqlite3" if first == "apsw" else "apsw"
    with using(first):
        alone = await play(url, sixty(), run_id="alone", make=make)
        begun = await stopped(url, sixty(), "chain 5", make=make)
    assert (mode_in(path) == "wal") is HAS_LOG[first]
    with using(second):
        assert {run.run_id for run in SqliteCatalog(path).runs()} == {"alone", "r"}
        gone_on = await stopped(url, sixty(), "end", make=make)
    assert (mode_in(path) == "wal") is HAS_LOG[second]
    with using(first):
        ended = await play(url, sixty(), make=make)
        assert SqliteCatalog(path).inspect()[-1].told == "ok"
    assert ended.value == WANTED
    calls = [*begun.calls, *gone_on.calls, *ended.calls]
    assert set(calls) == set(alone.calls)
    assert sorted(set(calls)) == sorted(set(alone.calls))
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


@pytest.mark.parametrize("first", ["apsw", "sqlite3"])
async def test_a_cache_is_read_by_the_other_library(tmp_path: Path, first: str) -> None:
    """What one library has put is a hit with the other one, and the other way round."""
    path = tmp_path / "cache.db"
    for number, name in enumerate((first, "sqlite3" if first == "apsw" else "apsw", first)):
        with using(name):
            cache = SqliteCacheBackend(path)
            for before in range(number):
                hit = await cache.get(CacheKey(f"{before}", "task"))
                assert hit is not None
                assert hit.value == before
            await cache.put(CacheKey(f"{number}", "task"), number, None)
            await cache.close()


KILLED = """
import os, sys
if sys.argv[2]:
    sys.modules[sys.argv[2]] = None
import cascade as cs

@cs.task(version="1")
def give(value: int) -> int:
    return value

@cs.task(version="1")
def end(value: int) -> int:
    os._exit(9)

cs.run(end(give(1)), state="sqlite:///" + sys.argv[1], run_id="cut", durability="async")
"""


def kill(path: Path, left_out: str) -> None:
    """Record a run whose process ends in the middle, as if it were killed, without one of the libraries."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), left_out], check=False)
    assert done.returncode == 9


async def test_a_log_that_was_left_is_taken_in(tmp_path: Path, each_binding: str) -> None:
    """The log of a process that was killed is read by either library; who writes then leaves the safe journal."""
    path = tmp_path / "runs.db"
    kill(path, "")
    log = tmp_path / "runs.db-wal"
    assert log.stat().st_size > 0
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    facts = SqliteCatalog(path).facts("cut")
    assert [fact.task for fact in facts] == ["give"]
    assert log.exists()
    assert await play(f"sqlite:///{path}", give(1), run_id="other") is not None
    assert not log.exists()
    assert (mode_in(path) == "wal") is HAS_LOG[each_binding]
    assert [fact.task for fact in SqliteCatalog(path).facts("cut")] == ["give"]


async def test_a_journal_that_was_left_is_rolled_back(tmp_path: Path, each_binding: str) -> None:
    """A file with a transaction that the standard library has left half written is whole for either one."""
    path, left = tmp_path / "runs.db", tmp_path / "left.db"
    kill(path, "apsw")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET run_id = 'half'")
        writer.executemany(
            "INSERT INTO facts VALUES (1, 9, ?, x'00', 0, x'', 'late', 'root', 0, zeroblob(3000))",
            [(number.to_bytes(2, "big"),) for number in range(50)],
        )
        for end in ("", "-journal"):
            Path(f"{left}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
        writer.execute("ROLLBACK")
    assert [run.run_id for run in SqliteCatalog(left).runs()] == ["cut"]
    assert (await play(f"sqlite:///{left}", give(1), run_id="other")).value == 1


HOLDING = """
import sys
from pathlib import Path
from cascade.adapters.sqlite_files import Synchronous, open_connection
connection = open_connection(Path(sys.argv[1]), synchronous=Synchronous.FULL)
connection.select("SELECT count(*) FROM sqlite_master")
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Let another process have a file open, with a log."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield


@pytest.mark.skipif(HAS_LOG["sqlite3"], reason="the SQLite of this Python is safe with a log")
async def test_a_log_in_use_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process has a log, a library that is not safe with one reads the file, and does not write it."""
    monkeypatch.setattr("cascade.adapters.sqlite_files.BUSY_SECONDS", 0.1)
    path = tmp_path / "runs.db"
    assert (await play(f"sqlite:///{path}", give(1), run_id="first")).value == 1
    with using("sqlite3"):
        with held(path):
            assert [run.run_id for run in SqliteCatalog(path).runs()] == ["first"]
            refused = await play(f"sqlite:///{path}", give(1), run_id="second")
            assert isinstance(refused.error, StoreError)
            assert "not safe with" in str(refused.error)
            assert "cascade-engine[sqlite]" in str(refused.error)
            assert refused.calls == []
        assert (await play(f"sqlite:///{path}", give(1), run_id="second")).value == 1


@pytest.mark.skipif(HAS_LOG["sqlite3"], reason="the SQLite of this Python is safe with a log")
async def test_a_log_that_comes_later_is_refused_too(tmp_path: Path) -> None:
    """If another process begins a log while the file is open, the next commit is refused, and nothing is written."""
    path = tmp_path / "runs.db"

    @cs.task
    def meet(value: int) -> int:
        context.enter_context(held(path))
        return value

    @cs.task
    def after(value: int) -> int:
        return value

    with using("sqlite3"):
        with ExitStack() as context:
            engine = cs.Engine(state_backend_cls=recording(path, "sync"))
            with pytest.raises(StoreError, match="not safe with"):
                await engine.run(after(meet(1)), run_id="r")
        assert SqliteCatalog(path).facts("r") == []
        assert await cs.Engine(state_backend_cls=recording(path, "sync")).run(give(2), run_id="s") == 2


@pytest.mark.parametrize("how", ["removed", "closed by another library"])
async def test_a_log_that_is_taken_away_is_told(tmp_path: Path, how: str) -> None:
    """A run whose log is removed ends with a typed error at its next commit; what was committed before stays."""
    path = tmp_path / "runs.db"

    @cs.task
    def take_away(value: int) -> int:
        if how == "removed":
            (tmp_path / "runs.db-wal").unlink()
        else:
            with closing(sqlite3.connect(path)) as other:
                other.execute("SELECT count(*) FROM facts").fetchall()
        return value

    engine = cs.Engine(state_backend_cls=recording(path, "sync"))
    with pytest.raises(StoreError, match="removed or replaced while it was open"):
        await engine.run(give(take_away(give(1))), run_id="r")
    assert SqliteCatalog(path).inspect()[-1].told == "ok"


async def test_readers_block_nobody_and_are_not_blocked(tmp_path: Path) -> None:
    """With a log, who reads for long holds up no commit, and who writes for long holds up no look."""
    path = tmp_path / "runs.db"
    assert (await play(f"sqlite:///{path}", give(1), run_id="first")).value == 1
    with closing(opened(path)) as reader:
        reader.execute("BEGIN")
        before = reader.select("SELECT count(*) FROM runs")
        assert (await play(f"sqlite:///{path}", give(1), run_id="second")).value == 1
        assert reader.select("SELECT count(*) FROM runs") == before
        reader.execute("COMMIT")
        reader.execute("BEGIN IMMEDIATE")
        assert {run.run_id for run in SqliteCatalog(path).runs()} == {"first", "second"}
        reader.execute("COMMIT")


@pytest.mark.usefixtures("each_binding")
async def test_an_engine_keeps_its_store_open(tmp_path: Path) -> None:
    """The store of a URL stays open between runs until the engine is closed; meanwhile a run of it can be deleted."""
    path = tmp_path / "runs.db"
    log = tmp_path / "runs.db-wal"
    async with cs.Engine(state=f"sqlite:///{path}") as engine:
        for number in range(2):
            assert await engine.run(keep(f"marmalade {number}"), run_id=f"{number}") == f"marmalade {number}"
            assert log.exists() is (mode_in(path) == "wal")
        for number in range(2):
            SqliteCatalog(path).delete(f"{number}")
        left = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        assert b"marmalade" not in left
        path.unlink()  # a run that begins then does so in a new file
        assert await engine.run(keep("jam"), run_id="0") == "jam"
        assert [run.run_id for run in SqliteCatalog(path).runs()] == ["0"]
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


class Row:
    """A batch of one row; notes how many there are in the file when it is committed."""

    def __init__(self, path: Path, number: int, seen: list[int]) -> None:
        self._path, self._number, self._seen = path, number, seen

    def write(self, connection: Connection) -> None:
        connection.execute(
            "INSERT INTO runs VALUES (?, ?, '', '', 0, 0, 0, '', x'', x'', 1, '', '')",
            (self._number, f"run {self._number}"),
        )
        if self._number == 3:
            raise StoreError(str(self._path), "lost")

    def note_written(self) -> None:
        with closing(opened(self._path)) as reader:
            self._seen.append(reader.select("SELECT count(*) FROM runs")[0][0])


@pytest.mark.usefixtures("each_binding")
async def test_what_is_ready_is_committed_together(tmp_path: Path) -> None:
    """Batches that come while a commit is under way share the next one; one that fails is left out of it."""
    path = tmp_path / "runs.db"
    lease = WriterLease(path, RUNS)
    again = WriterLease(path, RUNS)
    assert again.writer is lease.writer
    await lease.writer.do(lambda connection: None)
    seen: list[int] = []
    with closing(opened(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [
            asyncio.ensure_future(lease.writer.write(Row(path, number, seen), safe=True))
            for number in range(1, 9)
        ]
        await asyncio.sleep(0.1)
        assert seen == []
        other.execute("COMMIT")
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [str(each) for each in outcomes if each is not None] == [f"store {path}: lost"]
    # Two commits at most: the thread may begin the first one when any number of batches are there.
    first = seen[0]
    assert seen == [*[first] * first, *[7] * (7 - first)]
    await lease.release()
    await again.release()


@pytest.mark.usefixtures("each_binding")
def test_damaged_text_hides_no_other(tmp_path: Path) -> None:
    """Text that is no UTF-8 is read with marks in it, beside what is whole, in the order of the query."""
    with closing(open_connection(tmp_path / "box.db", synchronous=Synchronous.NORMAL)) as connection:
        connection.execute("CREATE TABLE letter (number INTEGER, text TEXT, data BLOB)")
        connection.executemany(
            "INSERT INTO letter VALUES (?, CAST(? AS TEXT), ?)",
            [(3, b"\xff!", b"\xff"), (1, b"whole", None), (2, b"", b"")],
        )
        found = connection.select(
            "SELECT number, text, data FROM letter WHERE number < ? ORDER BY number", (9,)
        )
    assert found == [(1, "whole", None), (2, "", b""), (3, "\ufffd!", b"\xff")]


@pytest.mark.usefixtures("each_binding")
def test_errors_are_of_one_kind(tmp_path: Path) -> None:
    """What a library refuses is an `SqliteError` with SQLite's own text, and tells whether waiting may help."""
    path = tmp_path / "box.db"
    first = open_connection(path, synchronous=Synchronous.NORMAL)
    with closing(first), closing(opened(path)) as second:
        first.execute("BEGIN IMMEDIATE")
        with pytest.raises(SqliteError, match="database is locked") as locked:
            second.execute("BEGIN IMMEDIATE")
        assert locked.value.is_busy
        for ask in (first.select, first.first, first.execute):
            with pytest.raises(SqliteError, match="no such table") as wrong:
                ask("SELECT * FROM missing")
            assert not wrong.value.is_busy
        with pytest.raises(SqliteError):
            first.executemany("INSERT INTO missing VALUES (?)", [(1,)])


def test_a_process_has_one_library(each_binding: str) -> None:
    """The library of a process is told by name, with the journal that stores use with it."""
    assert binding() is binding()
    told = {finding.subject: finding.told for finding in inspect_library()}
    assert f" of {each_binding}," in told["sqlite"]
    assert told["journal mode"].startswith("wal" if HAS_LOG[each_binding] else "delete")


def test_the_journal_is_set_when_nobody_is_in_the_way(tmp_path: Path) -> None:
    """A file in use with a deleted journal stays so for whoever opens it meanwhile, and has a log afterwards."""
    path = tmp_path / "box.db"
    with closing(open_connection(path, synchronous=Synchronous.FULL)) as first:
        pragma(first, "journal_mode = delete")
        first.execute("BEGIN IMMEDIATE")
        with closing(opened(path)):
            pass
        first.execute("COMMIT")
    with closing(open_connection(path, synchronous=Synchronous.FULL)) as later:
        assert pragma(later, "journal_mode") == journal_mode(binding().version)


@pytest.mark.usefixtures("each_binding")
@pytest.mark.parametrize("mode", JournalMode)
async def test_a_file_of_something_else_keeps_every_byte(tmp_path: Path, mode: JournalMode) -> None:
    """A store that is given the file of another program refuses it, and sets no journal in it."""
    path = tmp_path / "other.db"
    path.touch()
    with closing(opened(path)) as other:
        pragma(other, f"journal_mode = {mode}")
        other.execute("CREATE TABLE letter (text TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match="is not a Cascade cache"):
        SqliteCacheBackend(path)
    with pytest.raises(StoreFormatError, match="is not a store of runs"):
        await cs.arun(give(1), state=f"sqlite:///{path}", run_id="r")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.usefixtures("each_binding")
@pytest.mark.parametrize("mode", JournalMode)
async def test_a_cache_that_is_looked_into_keeps_its_journal(tmp_path: Path, mode: JournalMode) -> None:
    """Looking into a cache leaves the file and its folder as they were; the first put sets the safe journal."""
    path, key = tmp_path / "cache.db", CacheKey("1", "task")
    cache = SqliteCacheBackend(path)
    await cache.put(key, 1, None)
    await cache.close()
    with closing(opened(path)) as other:
        pragma(other, f"journal_mode = {mode}")
    before = path.read_bytes()
    cache = SqliteCacheBackend(path, create=False)
    assert await cache.get(key) == cache.look(key) == Hit(1)
    assert len(await cache.entries("task")) == 1
    await cache.close()
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["cache.db"]

    cache = SqliteCacheBackend(path, create=False)
    assert await cache.get(key) == Hit(1)
    await cache.put(key, 2, None)
    assert await cache.get(key) == cache.look(key) == Hit(2)
    await cache.close()
    assert mode_in(path) == journal_mode(binding().version)
    assert [each.name for each in tmp_path.iterdir()] == ["cache.db"]


@pytest.mark.usefixtures("each_binding")
async def test_a_cache_that_can_not_be_written_yet_is_looked_into(tmp_path: Path) -> None:
    """A first put that fails since the file is locked leaves the cache readable, and a later one is made."""
    path, key = tmp_path / "cache.db", CacheKey("1", "task")
    cache = SqliteCacheBackend(path)
    await cache.put(key, 1, None)
    await cache.close()
    cache = SqliteCacheBackend(path, create=False)
    with closing(opened(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        putting = asyncio.create_task(cache.put(key, 2, None))
        assert await cache.get(key) == Hit(1)
        with pytest.raises(StoreError, match="locked"):
            await putting
        assert await cache.get(key) == Hit(1)
        other.execute("ROLLBACK")
    await cache.put(key, 2, None)
    assert await cache.get(key) == Hit(2)
    await cache.close()
