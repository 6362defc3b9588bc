"""Claims about runs in files: what a full, locked, damaged or torn one costs."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.journals import FailingJournal, WatchedJournal
from support.resuming import WANTED, add, count_with_parts, give, give_later, item, play, sixty, stopped
from support.stores import opened, path_of, recorded

import cascade as cs
from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_bindings.connection import Access, Binding, Connection
from cascade.adapters.sqlite_files import BUSY_SECONDS
from cascade.adapters.state.journal import Changes
from cascade.spec import StoreError

BUSY_MACHINE = 20.0
"""Seconds for what takes 5: a busy machine may stop a process for a while."""

pytestmark = pytest.mark.usefixtures("story")


@pytest.fixture
def url(file_url: str) -> str:
    return file_url


async def check_goes_on(url: str, target: Any, first: list[str], alone: list[str]) -> None:
    """Check that a run that was broken off ends as it should, and calls at most again what was not recorded."""
    again = await play(url, target)
    assert again.value == WANTED
    assert set(first) | set(again.calls) == set(alone)
    assert (await play(url, target)).calls == []


@pytest.mark.one_python
@pytest.mark.usefixtures("each_binding")
async def test_a_full_disk_at_any_size(url: str) -> None:
    """A store that can take no more is a typed error, and with room again the run goes on from what fitted."""
    alone = await play(url, sixty(), run_id="alone")
    path = Path(path_of(url))
    template = path.with_name("empty.db")
    shutil.copy(path, template)
    with closing(sqlite3.connect(template)) as connection:
        connection.execute("DELETE FROM runs")
        connection.execute("DELETE FROM facts")
        connection.commit()
        connection.execute("VACUUM")
        (least,) = connection.execute("PRAGMA page_count").fetchone()
    shutil.copy(template, path)
    seen = set()
    for pages in range(least, least + 12):
        shutil.copy(template, path)
        with limited(path, pages):
            first = await play(url, sixty())
        seen.add(type(first.error))
        assert first.error is None or isinstance(first.error, StoreError)
        await check_goes_on(url, sixty(), first.calls, alone.calls)
    assert StoreError in seen


@contextmanager
def limited(path: Path, pages: int) -> Iterator[None]:
    """Let connections to this file make it no larger than so many pages."""
    library = type(binding())
    connect = library.connect

    def smaller(self: Binding, path: Path, access: Access, patience: float) -> Connection:
        connection = connect(self, path, access, patience)
        connection.select(f"PRAGMA max_page_count = {pages}")
        return connection

    with pytest.MonkeyPatch.context() as patch:  # there is no other way to a full disk without root
        patch.setattr(library, "connect", smaller)
        yield


@pytest.mark.parametrize(("lock", "when"), [("IMMEDIATE", "midway"), ("EXCLUSIVE", "before")])
async def test_a_store_that_stays_locked_is_told_in_time(url: str, lock: str, when: str) -> None:
    """If somebody else keeps the file locked, the run ends with a typed error within 5 seconds, and can go on."""
    await play(url, give("first"), run_id="other")
    with closing(opened(path_of(url))) as other:

        def take(changes: Changes | None = None) -> None:
            if not other.in_transaction:
                other.execute(f"BEGIN {lock}")

        if when == "before":
            take()
        make = recorded(url, lambda journal: WatchedJournal(journal, ends=take))
        target = add("sum", add("b", give("a", 1)), give_later("c", 2))
        began = time.monotonic()
        first = await play(url, target, make=make)
        assert isinstance(first.error, StoreError)
        assert "locked" in str(first.error)
        assert BUSY_SECONDS / 2 < time.monotonic() - began < BUSY_MACHINE
        other.execute("ROLLBACK")
    assert (await play(url, target)).value == 3


async def test_a_lock_that_is_let_go_of_is_waited_for(url: str) -> None:
    """A file that somebody else writes for a moment is waited for."""
    await play(url, give("first"), run_id="other")

    with closing(opened(path_of(url))) as other:
        other.execute("BEGIN IMMEDIATE")
        async with cs.Engine(state_backend_cls=recorded(url)) as engine:
            running = asyncio.ensure_future(engine.run(give("a", 1), run_id="r"))
            await asyncio.sleep(0.05)
            other.execute("ROLLBACK")
            value = await running
    assert value == 1


async def test_many_runs_are_told_in_time_that_a_file_is_locked(url: str) -> None:
    """Runs that wait for each other, and all for a file that stays locked, end within 5 seconds together."""
    await play(url, give("first"), run_id="other")

    async def main() -> list[Any]:
        async with cs.Engine(state_backend_cls=recorded(url)) as engine:
            runs = [engine.run(give("a", 1), run_id=f"{number}") for number in range(10)]
            return list(await asyncio.gather(*runs, return_exceptions=True))

    with closing(opened(path_of(url))) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        errors = await main()
        assert time.monotonic() - began < BUSY_MACHINE
        assert all(isinstance(each, StoreError) and "locked" in str(each) for each in errors)
        other.execute("ROLLBACK")
    assert await main() == [1] * 10


async def test_a_run_that_can_not_be_read_here_stays_as_it_was(url: str) -> None:
    """What a run goes on with is read before anything is written: an error leaves the store as it was."""
    await stopped(url, count_with_parts(3, "loop"), "loop 1")
    with closing(sqlite3.connect(path_of(url))) as connection, connection:
        connection.execute("UPDATE runs SET target = ?, status = 'running'", (b"damaged",))
    assert isinstance((await play(url, count_with_parts(3, "loop"))).error, StoreError)
    with closing(sqlite3.connect(path_of(url))) as connection:
        assert connection.execute("SELECT status FROM runs").fetchone() == ("running",)


@pytest.mark.usefixtures("each_binding")
async def test_a_file_that_is_removed_is_told(url: str) -> None:
    """A run whose file is taken away ends with a typed error: what it would write would be nowhere."""
    path = Path(path_of(url))
    make = recorded(
        url, lambda journal: WatchedJournal(journal, ends=lambda changes: path.unlink(missing_ok=True))
    )
    first = await play(url, add("sum", add("b", give("a", 1))), make=make)
    assert isinstance(first.error, StoreError)
    assert (await play(url, add("sum", add("b", give("a", 1))))).value == 1


@pytest.mark.parametrize("trouble", ["folder is missing", "is a folder", "no database", "of something else"])
async def test_a_store_that_is_none_is_told(tmp_path: Path, trouble: str) -> None:
    """A path that can't be a store is a typed error that names it, and nothing runs."""
    path = tmp_path / "runs.db"
    if trouble == "folder is missing":
        path = tmp_path / "missing" / "runs.db"
    elif trouble == "is a folder":
        path.mkdir()
    elif trouble == "no database":
        path.write_text("something else" * 100)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE others (x)")
    seen = await play(f"sqlite:///{path}", give("a"))
    assert isinstance(seen.error, cs.CascadeError)
    assert "runs.db" in str(seen.error)
    assert seen.calls == []


async def test_damaged_facts_are_a_typed_error(url: str) -> None:
    """Bytes of a fact that have changed are an error and never another value, whichever they are and wherever."""
    off = give("off", False)
    target = add(
        "sum",
        count_with_parts(3, "loop"),
        give("skipped", 1).run_if(off, otherwise=3),
        add("routed", cs.Router(give("selector", "x"), {"x": give("x", 1), "y": give("y", 2)})),
        add_items(item.map(x=[1, 2, 3])),
        give("last", 5),
    )
    await stopped(url, target, "part of loop 1")
    with closing(sqlite3.connect(path_of(url))) as connection:
        stored = connection.execute("SELECT round, frame, node, kind, value FROM facts").fetchall()
    assert {kind for *_, kind, _ in stored} == {0, 1, 2, 3, 4}
    shutil.copy(path_of(url), path_of(url) + ".whole")
    chance = random.Random(4)
    for *place, data in stored:
        for at in chance.sample(range(8 * len(data)), 4):
            shutil.copy(path_of(url) + ".whole", path_of(url))
            flipped = bytearray(data)
            flipped[at // 8] ^= 1 << at % 8
            with closing(sqlite3.connect(path_of(url))) as connection, connection:
                connection.execute(
                    "UPDATE facts SET value = ? WHERE (round, frame, node, kind) = (?, ?, ?, ?)",
                    (bytes(flipped), *place),
                )
            seen = await play(url, target)
            assert isinstance(seen.error, cs.CascadeError) or seen.value == 76
    shutil.copy(path_of(url) + ".whole", path_of(url))
    assert (await play(url, target)).value == 76


@cs.task
def add_items(items: list[int]) -> int:
    return sum(items)


@pytest.mark.parametrize("column", ["record", "target"])
async def test_a_damaged_record_is_a_typed_error(url: str, column: str) -> None:
    """A run's own record, and what its loop goes on with, are told to be damaged whichever bit has changed."""
    await stopped(url, count_with_parts(3, "loop"), "loop 1")
    shutil.copy(path_of(url), path_of(url) + ".whole")
    with closing(sqlite3.connect(path_of(url))) as connection:
        (data,) = connection.execute(f"SELECT {column} FROM runs").fetchone()
    for at in random.Random(5).sample(range(8 * len(data)), 40):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        with closing(sqlite3.connect(path_of(url))) as connection, connection:
            connection.execute(f"UPDATE runs SET {column} = ?", (bytes(flipped),))
        seen = await play(url, count_with_parts(3, "loop"))
        assert isinstance(seen.error, StoreError)
        assert seen.calls == []
        shutil.copy(path_of(url) + ".whole", path_of(url))
    assert (await play(url, count_with_parts(3, "loop"))).value == 7


@pytest.mark.one_python
@pytest.mark.parametrize("bits", [25, pytest.param(1_000, marks=pytest.mark.soak)])
async def test_a_file_with_random_damage_gives_no_other_value(url: str, bits: int) -> None:
    """Whichever byte of the file has changed, the run ends with a typed error or with its own value."""
    target = add("sum", give("a", 1), add("b", give("c", 2)), count_with_parts(2, "loop"))
    await stopped(url, target, "sum")
    whole = Path(path_of(url)).read_bytes()
    chance = random.Random(6)
    filled = [at for at, byte in enumerate(whole) if byte]
    for at in chance.sample(filled, bits):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        Path(path_of(url)).write_bytes(damaged)
        seen = await play(url, target)
        assert isinstance(seen.error, cs.CascadeError) or seen.value == 10, (at, seen.error)


@pytest.mark.one_python
@pytest.mark.usefixtures("each_binding")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_a_torn_file_holds_a_committed_prefix(url: str, mode: str, tmp_path: Path) -> None:
    """A copy of the file with its journal, cut anywhere, holds what was committed, and the run goes on from it."""
    alone = await play(url, sixty(), run_id="alone")
    chance = random.Random(7)
    folder = tmp_path / "torn"
    folder.mkdir()
    path, copy = Path(path_of(url)), folder / "runs.db"
    for number in range(3, 15, 2):
        await play(
            url,
            sixty(),
            make=recorded(url, partial(FailingJournal, at=number, stays=True)),
            run_id="r",
            restart=True,
        )
        facts = tear(path, copy, mode, chance)
        with closing(opened(copy)) as connection:
            assert connection.select("PRAGMA integrity_check") == [("ok",)]
            found = connection.select("SELECT node, value FROM facts ORDER BY node, kind")
        assert found in facts
        again = await play(f"sqlite:///{copy}", sixty())
        assert again.value == WANTED
        assert set(again.calls) <= set(alone.calls)


def tear(path: Path, copy: Path, mode: str, chance: random.Random) -> list[Any]:
    """Copy a store in a transaction, cut the log beside it; return the facts that any commit has left."""
    query = "SELECT node, value FROM facts ORDER BY node, kind"
    for each in copy.parent.iterdir():
        each.unlink()
    own = path.with_name("own.db")
    shutil.copy(path, own)
    with closing(sqlite3.connect(own, isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode = {mode}")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("PRAGMA cache_size = 1")  # pages are written to the file before the commit
        states = [writer.execute(query).fetchall()]
        for _ in range(3):
            writer.execute("BEGIN IMMEDIATE")
            writer.execute(
                "DELETE FROM facts WHERE node IN (SELECT node FROM facts ORDER BY node DESC LIMIT 2)"
            )
            if mode == "WAL":
                writer.execute("COMMIT")
            states.append(writer.execute(query).fetchall())
            if mode == "DELETE":
                break
        shutil.copy(own, copy)
        for side in ("-wal", "-journal"):
            beside = own.with_name(own.name + side)
            if beside.exists():
                data = beside.read_bytes()
                kept = data if mode == "DELETE" else data[: chance.randint(0, len(data))]
                copy.with_name(copy.name + side).write_bytes(kept)
        if writer.in_transaction:
            writer.rollback()
    own.unlink()
    return states
