"""Claims about looking at a store of runs: what is told, what is never done by looking, and how a run is deleted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.stores import opened

import cascade as cs
from cascade.adapters.state import Finding, Inspectable, SqliteCatalog, SqliteStateBackend
from cascade.adapters.state.journal import Kind
from cascade.adapters.state.lease import FileLease
from cascade.adapters.state.sqlite.sqlite_library import inspect_library
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec.durable import RunStatus
from cascade.spec.errors import (
    RunActiveError,
    RunDamagedError,
    RunNotFoundError,
    SpecError,
    StoreError,
    StoreFormatError,
    StoreNotFoundError,
)

SECRET = "marmalade"


@cs.task
def give(value: object) -> object:
    return value


@cs.task
def join(*values: object) -> str:
    return "".join(map(str, values))


@cs.task
def fail(value: object) -> None:
    raise LookupError(f"no {value}")


def record(path: Path, run_id: str, target: object = None) -> object:
    """Record a run of two tasks, or of a target."""
    return cs.run(join(give(run_id)) if target is None else target, state=f"sqlite:///{path}", run_id=run_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


INTERRUPTED = """
import os, sys
import cascade as cs

@cs.task(version="1")
def give(value):
    return value

@cs.task(version="1")
def end(value):
    os._exit(9)

cs.run(end(give(1)), state="sqlite:///" + sys.argv[1], run_id="cut")
"""


def interrupt(path: Path) -> None:
    """Record a run whose process ends in the middle of it."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, str(path)], check=False)
    assert done.returncode == 9


def alter(path: Path, statement: str, *values: object) -> None:
    """Change the file behind the store's back."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(folder.iterdir())
        if each.is_file() and not each.name.endswith("-shm")  # made anew from the log
    }


def test_runs_are_listed_the_last_updated_first(path: Path) -> None:
    """Each run has its status, its target's name, its times, the kind of its error, and what it takes."""
    began = time.time()
    record(path, "first")
    record(path, "second", give("x" * 1000))
    with pytest.raises(LookupError):
        record(path, "third", fail(give(1)))
    third, second, first = SqliteCatalog(path).runs()
    assert [each.run_id for each in (third, second, first)] == ["third", "second", "first"]
    assert [each.task for each in (third, second, first)] == ["fail", "give", "join"]
    assert (third.status, third.error) == (RunStatus.FAILED, "LookupError")
    assert (first.status, first.error, first.driver, first.round) == (RunStatus.SUCCEEDED, "", "", 0)
    assert [each.facts for each in (third, second, first)] == [1, 1, 2]
    assert second.size - first.size > 800
    assert began <= first.began <= first.updated <= second.began <= third.updated <= time.time()
    assert not any(each.is_interrupted for each in (third, second, first))


def test_facts_are_told_with_place_kind_and_size(path: Path) -> None:
    """A fact has its round, its task, its place in the tree, its kind, its time and the length of its value."""
    record(path, "one", join(give("x" * 500), cs.Router(selector=give(2), routes={1: give(3), 2: give(4)})))
    facts = SqliteCatalog(path).facts("one")
    assert [each.at for each in facts] == sorted(each.at for each in facts)
    assert {each.round for each in facts} == {0}
    by_place = {(each.place, each.kind): each for each in facts}
    first = by_place["root.args.0", Kind.RESULT]
    assert first.task == "give"
    assert 500 < first.size < 600
    assert by_place["root", Kind.ROUTES].task == "join"


def test_a_run_of_many_facts_is_told_whole(path: Path) -> None:
    """However many facts runs have, each fact is told once, and of its own run only."""
    for run_id in ("first", "second", "third"):
        record(path, run_id, give(run_id))
    connection = sqlite3.connect(path)
    (number,) = connection.execute("SELECT id FROM runs WHERE run_id = 'second'").fetchone()
    with connection:
        connection.executemany(
            "INSERT INTO facts VALUES (?, ?, x'aa', ?, 0, x'', 'many', ?, 0, x'00')",
            ((number, count % 3 + 1, count.to_bytes(4, "big"), f"place {count}") for count in range(50_000)),
        )
    connection.close()
    catalog = SqliteCatalog(path)
    told = catalog.facts("second")
    assert {each.place for each in told} == {"root", *(f"place {count}" for count in range(50_000))}
    assert len(told) == 50_001
    assert [each.round for each in told] == sorted(each.round for each in told)
    assert {each.run_id: each.facts for each in catalog.runs()} == {"first": 1, "second": 50_001, "third": 1}
    assert [len(catalog.facts(run_id)) for run_id in ("first", "third")] == [1, 1]


def test_looking_decodes_no_value(path: Path) -> None:
    """A store whose values, records and targets can't be read by anybody is listed and shown as any other."""
    record(path, "odd")
    before = SqliteCatalog(path).runs()
    alter(path, "UPDATE facts SET value = zeroblob(length(value))")
    alter(path, "UPDATE runs SET record = zeroblob(length(record)), target = x'c1'")
    catalog = SqliteCatalog(path)
    assert [each.facts for each in catalog.runs()] == [before[0].facts]
    assert len(catalog.facts("odd")) == 2


def test_looking_changes_nothing(path: Path) -> None:
    """After a look the folder has the files that it had, and they the bytes, but for the index of a log."""
    record(path, "one")
    interrupt(path)
    before = fingerprint(path.parent)
    catalog = SqliteCatalog(path)
    catalog.runs()
    catalog.facts("one")
    catalog.inspect()
    catalog.close()
    assert fingerprint(path.parent) == before


@pytest.mark.parametrize("name", ["missing.db", "missing/runs.db", "."])
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, name: str) -> None:
    """A path without a file is an error of its own that names it, and stays without."""
    with pytest.raises(StoreNotFoundError, match="there is no such file") as told:
        SqliteCatalog(tmp_path / name)
    assert isinstance(told.value, FileNotFoundError)
    read = pickle.loads(pickle.dumps(told.value))
    assert (type(read), str(read), vars(read)) == (StoreNotFoundError, str(told.value), vars(told.value))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    """Another program's database, a newer store and what is no database are refused, and left as they are."""
    record(path, "one")
    newer, other, text = (path.with_name(f"{name}.db") for name in ("newer", "other", "text"))
    shutil.copy(path, newer)
    alter(newer, "PRAGMA user_version = 99")
    alter(other, "CREATE TABLE runs (id)")
    text.write_text("not a database " * 100)
    before = fingerprint(path.parent)
    with pytest.raises(StoreFormatError, match=r"newer\.db is a store of runs of version 99"):
        SqliteCatalog(newer)
    with pytest.raises(StoreFormatError, match=r"other\.db is not a store of runs"):
        SqliteCatalog(other)
    with pytest.raises(StoreError, match=r"text\.db: .*not a database"):
        SqliteCatalog(text)
    assert fingerprint(path.parent) == before


def test_an_empty_file_has_no_runs(path: Path) -> None:
    """A file that a process has made and not yet filled is a store without runs."""
    path.touch()
    catalog = SqliteCatalog(path)
    assert catalog.runs() == []
    with pytest.raises(RunNotFoundError):
        catalog.facts("any")
    assert path.stat().st_size == 0


def test_a_run_whose_process_has_ended_is_interrupted(path: Path) -> None:
    """A run that was cut off has the status `running` and no driver: it was interrupted."""
    interrupt(path)
    (run,) = SqliteCatalog(path).runs()
    assert (run.run_id, run.status, run.driver, run.facts) == ("cut", RunStatus.RUNNING, "", 1)
    assert run.is_interrupted


def test_who_drives_a_run_is_told(path: Path) -> None:
    """A run that is being driven says by whom, and was not interrupted; looking does not take it away."""

    @cs.task
    def look(_after: object) -> None:
        catalog = SqliteCatalog(path)
        seen.extend(
            [(each.run_id, each.driver, each.is_interrupted) for each in catalog.runs()] for _ in range(2)
        )

    seen: list[list[tuple[str, str, bool]]] = []
    interrupt(path)
    record(path, "now", look(give(1)))
    for (now, driver, interrupted), cut in seen:
        assert (now, interrupted) == ("now", False)
        assert driver.startswith(f"process {os.getpid()} on ")
        assert cut == ("cut", "", True)
    assert len(seen) == 2


def test_what_a_killed_process_left_half_written_is_taken_back(path: Path, tmp_path: Path) -> None:
    """A file with a journal of a transaction that never ended shows what was committed before it."""
    record(path, "one")
    writer = opened(path)
    writer.select("PRAGMA journal_mode = delete")
    writer.execute("PRAGMA cache_size = 5")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE runs SET run_id = 'half'")
    writer.executemany(
        "INSERT INTO facts VALUES (1, 9, ?, x'00', 0, x'', 'late', 'root', 0, zeroblob(3000))",
        [(number.to_bytes(2, "big"),) for number in range(200)],
    )
    left = tmp_path / "left.db"
    for end in ("", "-journal"):
        shutil.copy(f"{path}{end}", f"{left}{end}")
    writer.execute("ROLLBACK")
    writer.close()
    reader = sqlite3.connect(f"{left.as_uri()}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("SELECT * FROM runs")
    reader.close()
    catalog = SqliteCatalog(left)
    assert [each.run_id for each in catalog.runs()] == ["one"]
    assert {each.task for each in catalog.facts("one")} == {"give", "join"}


def test_a_write_ahead_log_is_read(path: Path, tmp_path: Path) -> None:
    """What another library has left in a write-ahead log is seen."""
    record(path, "one")
    writer = opened(path)
    writer.select("PRAGMA journal_mode = wal")
    writer.execute("UPDATE runs SET run_id = 'logged'")
    left = tmp_path / "left.db"
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{left}{end}")
    writer.close()
    assert [each.run_id for each in SqliteCatalog(left).runs()] == ["logged"]


def test_a_deleted_run_is_gone_from_the_file(path: Path) -> None:
    """Deleting removes a run's rows and overwrites its values; other runs stay, and its id may be used anew."""
    record(path, "keep", give("oranges"))
    record(path, "drop", join(*(give(f"{SECRET} {number} " * 50) for number in range(20))))
    assert SECRET.encode() in path.read_bytes()
    catalog = SqliteCatalog(path)
    catalog.delete("drop")
    left = path.read_bytes()
    assert SECRET.encode() not in left
    assert b"drop" not in left
    assert b"oranges" in left
    assert [each.run_id for each in catalog.runs()] == ["keep"]
    with pytest.raises(RunNotFoundError, match="has no run 'drop'"):
        catalog.facts("drop")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert record(path, "drop", give("again")) == "again"


def test_what_is_not_there_can_not_be_deleted(path: Path) -> None:
    """An id that the store does not have is an error, and leaves no lock; one that no file can hold, too."""
    record(path, "one")
    for unknown in ("two", "", "\udcff", "one\x00"):
        with pytest.raises(RunNotFoundError):
            SqliteCatalog(path).delete(unknown)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_driven_run_is_not_deleted(path: Path) -> None:
    """As long as somebody drives a run, deleting it is refused with who does; afterwards it works."""
    await asyncio.to_thread(record, path, "busy")
    facts = len(SqliteCatalog(path).facts("busy"))

    backend = SqliteStateBackend(path, run_id="busy")
    await backend.open()
    try:
        with pytest.raises(RunActiveError, match=f"driven by process {os.getpid()} on "):
            SqliteCatalog(path).delete("busy")
    finally:
        await backend.close()
    assert len(SqliteCatalog(path).facts("busy")) == facts
    SqliteCatalog(path).delete("busy")
    assert SqliteCatalog(path).runs() == []


def test_looking_does_not_keep_a_run_from_beginning(tmp_path: Path) -> None:
    """Who takes a lease while others look whether it is held gets it: looks are no drivers."""
    path = tmp_path / "a.lock"
    path.write_text("process 1 on nowhere")  # left behind by a process that was killed
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            FileLease(path).holder()

    watchers = [threading.Thread(target=look) for _ in range(4)]  # several: each waits for its turn
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(100):
            lease = FileLease(path)
            assert lease.take() is None
            assert lease.is_held()
            lease.release()
            path.touch()
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


async def test_a_lock_holds_by_whichever_link_one_comes(path: Path) -> None:
    """A run is driven once, also where a second process comes to the file through a link."""
    await asyncio.to_thread(record, path, "one")
    link = path.with_name("link.db")
    link.symlink_to(path)

    backend = SqliteStateBackend(path, run_id="one")
    await backend.open()
    try:
        with pytest.raises(RunActiveError):
            SqliteCatalog(link).delete("one")
    finally:
        await backend.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET status = 'dancing'",
        "UPDATE runs SET began = 'yesterday'",
        "UPDATE runs SET round = 'x'",
        "UPDATE runs SET rules = x'00'",
        "UPDATE runs SET task = x'ff'",
        "UPDATE facts SET kind = 99",
        "UPDATE facts SET at = 'now'",
    ],
)
def test_rows_that_make_no_sense_are_told(path: Path, damage: str) -> None:
    """What is recorded of a run whose rows no store has is a `RunDamagedError` that names the file."""
    record(path, "one")
    alter(path, damage)
    with pytest.raises(RunDamagedError, match=r"runs\.db"):
        SqliteCatalog(path).facts("one")


@pytest.mark.parametrize(
    "damage",
    [
        "status = 'dancing'",
        "began = 'yesterday'",
        "updated = x'ff'",
        "round = 'x'",
        "round = 1e300",
        "round = -1",
        "rules = 'x'",
        "task = x'ff'",
        "error = x'05'",
        "run_id = x'ff'",
    ],
)
def test_a_damaged_run_hides_no_other(path: Path, damage: str) -> None:
    """A run whose own data makes no sense is listed as damaged, the others as they are, and it can be deleted."""
    record(path, "one")
    record(path, "two")
    (sound,) = (run for run in SqliteCatalog(path).runs() if run.run_id == "two")
    alter(path, f"UPDATE runs SET {damage} WHERE run_id = 'one'")
    catalog = SqliteCatalog(path)
    runs = {run.status: run for run in catalog.runs()}
    assert runs.pop(RunStatus.DAMAGED).facts == sound.facts
    assert [*runs.values()] == [sound]
    if "run_id" not in damage:
        catalog.delete("one")
        assert catalog.runs() == [sound]


def test_a_store_tells_how_it_is(path: Path) -> None:
    """Looked at as a whole, a sound store has nothing to remedy, and one with a damaged page has."""
    record(path, "one", join(*(give(f"{number} " * 500) for number in range(50))))
    catalog = SqliteCatalog(path)
    assert isinstance(catalog, Inspectable)
    found = {each.subject: each for each in catalog.inspect()}
    assert found["store version"].told == "4 of 4"
    assert found["store integrity"] == Finding("store integrity", "ok")
    assert not any(each.remedy for each in found.values())
    content = bytearray(path.read_bytes())
    content[-4096 * 3 : -4096 * 2] = b"\xff" * 4096
    path.write_bytes(content)
    found = {each.subject: each for each in catalog.inspect()}
    assert found["store integrity"].remedy


@pytest.mark.parametrize(
    ("version", "bug", "journal"),
    [((3, 40, 1), "has the WAL-reset bug", "delete"), ((3, 51, 3), "without the WAL-reset bug", "wal")],
)
def test_a_library_tells_what_durability_means(version: tuple[int, int, int], bug: str, journal: str) -> None:
    """A library says whether it has the bug, which journal is used then, and what commits survive."""
    found = {each.subject: each for each in inspect_library(version)}
    assert bug in found["sqlite"].told
    assert found["journal mode"].told.startswith(journal)
    assert "loss of power" in found["durability sync"].told
    assert "end of the process" in found["durability async"].told
    assert not any(each.remedy for each in found.values())


def test_a_library_that_is_too_old_has_a_remedy() -> None:
    """A library that does not know what the stores say to it is wrong."""
    (found,) = inspect_library((3, 34, 1))
    assert "3.35.0" in found.remedy


def test_a_url_names_a_catalog(path: Path) -> None:
    """The URL that `state=` takes names the catalog of the same store; others are refused."""
    record(path, "one")
    catalog = catalog_from_url(f"sqlite:///{path}")
    assert [each.run_id for each in catalog.runs()] == ["one"]
    catalog.close()
    for url in ("runs.db", "http://here/runs.db", "sqlite://runs.db", ""):
        with pytest.raises(SpecError, match="sqlite:///"):
            catalog_from_url(url)
