"""Stores that Cascade 0.1 has written: what can still be read of them, what is refused, and what is begun anew."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from stores_of_0_1 import workflow
from support.stores import is_redis, path_of

import cascade as cs
from cascade.adapters.cache import SqliteCacheBackend
from cascade.adapters.state import RunSummary, SqliteCatalog
from cascade.adapters.store_urls import cache_from_url, catalog_from_url
from cascade.cli import main
from cascade.runtime import Engine, TaskExecutionFinished
from cascade.spec import Hit, RunRulesError, RunStatus, StoreError

OLD = Path(workflow.__file__).parent
RUNS = [*workflow.TARGETS]
STATUS = {"finished": "succeeded", "failed": "failed", "interrupted": "running", "looping": "running"}
FACTS = {"finished": 12, "failed": 2, "interrupted": 2, "looping": 1}


def fill(client: Any) -> None:
    """Put the keys of the stored server into one that has none."""
    client.flushall()
    for key, (kind, value) in json.loads((OLD / "redis.json").read_text()).items():
        name = key.encode("latin-1")
        if kind == "hash":
            client.hset(name, mapping={k.encode("latin-1"): v.encode("latin-1") for k, v in value.items()})
        elif kind == "zset":
            client.zadd(name, {member.encode("latin-1"): score for member, score in value})
        else:
            client.set(name, value.encode("latin-1"))


@pytest.fixture
def old(url: str) -> Iterator[str]:
    """The URL of a store of runs of version 1, of each kind in turn."""
    if is_redis(url):
        with closing(redis.Redis.from_url(url)) as client:
            fill(client)
            yield url
    else:
        shutil.copy(OLD / "runs.db", path_of(url))
        yield url


def runs_of(url: str) -> dict[str, RunSummary]:
    with closing(catalog_from_url(url)) as catalog:
        return {run.run_id: run for run in catalog.runs()}


def go_on(url: str, name: str, **options: Any) -> Any:
    params = workflow.PARAMS.get(name, {})
    return cs.run(workflow.TARGETS[name](), params=params, state=url, run_id=name, **options)


def cascade(*arguments: str) -> int:
    """Call the command line; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def alone(name: str) -> Any:
    return cs.run(workflow.TARGETS[name](), params=workflow.PARAMS.get(name, {}))


def test_old_runs_can_be_looked_at(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a store of the version before holds is listed and shown as it was, and told to be of that version."""
    runs = runs_of(old)
    assert {name: run.status.value for name, run in runs.items()} == STATUS
    assert {name: run.facts for name, run in runs.items()} == FACTS
    assert {run.rules for run in runs.values()} == {1}
    with closing(catalog_from_url(old)) as catalog:
        assert {name: len(catalog.facts(name)) for name in RUNS} == FACTS
    assert cascade("runs", "show", "finished", "--state", old) == 0
    assert "recorded by Cascade 0.1: it can't go on" in " ".join(capsys.readouterr().out.split())
    kept = cascade("doctor", "--state", old)
    assert kept == is_redis(old)  # the server of the tests keeps nothing on a disk
    told = " ".join(capsys.readouterr().out.split())
    assert "4, 0 driven now, 2 interrupted; some recorded by Cascade 0.1 can't go on" in told


def test_a_run_that_was_stopped_then_is_cancelled_now(old: str) -> None:
    """The word that the version before had for the status of a cancelled run is understood."""
    if is_redis(old):
        with closing(redis.Redis.from_url(old)) as client:
            client.hset("cascade:state:head:failed", "status", "stopped")
    else:
        with closing(sqlite3.connect(path_of(old))) as connection, connection:
            connection.execute("UPDATE runs SET status = 'stopped' WHERE run_id = 'failed'")
    assert runs_of(old)["failed"].status is RunStatus.CANCELLED
    with pytest.raises(RunRulesError):
        go_on(old, "failed")


def test_looking_leaves_an_old_file_as_it_is(tmp_path: Path) -> None:
    """Who only looks at a file of the version before changes no byte of it, nor leaves a file beside it."""
    path = Path(shutil.copy(OLD / "runs.db", tmp_path / "runs.db"))
    before = path.read_bytes()
    path.chmod(0o400)
    catalog = SqliteCatalog(path)
    assert len(catalog.runs()) == len(RUNS)
    assert len(catalog.facts("finished")) == FACTS["finished"]
    assert next(finding.told for finding in catalog.inspect()).startswith("1 of 4: the next run")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]


@pytest.mark.parametrize("options", [{}, {"resume": "compatible"}])
@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_is_refused_as_such(old: str, name: str, options: dict[str, Any]) -> None:
    """A run of older digest rules does not go on, whatever became of it; the error names its version and no change."""
    for _ in range(2):
        with pytest.raises(RunRulesError, match=f"run '{name}' was recorded by Cascade 0.1") as refused:
            go_on(old, name, **options)
        assert "chang" not in str(refused.value)
    run = runs_of(old)[name]
    assert (run.status.value, run.facts, run.rules) == (STATUS[name], FACTS[name], 1)


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_may_begin_anew(old: str, name: str) -> None:
    """With `restart=True` a run of the version before is one of this version, and leaves the others as they are."""
    if name == "failed":
        with pytest.raises(ValueError, match="36"):
            go_on(old, name, restart=True)
    else:
        assert go_on(old, name, restart=True) == go_on(old, name) == alone(name)
    runs = runs_of(old)
    assert {each: run.rules for each, run in runs.items()} == {each: 1 + (each == name) for each in RUNS}


def test_new_runs_in_an_old_store(old: str) -> None:
    """A store of the version before takes new runs, which go on as any; what it had stays."""
    for _ in range(2):
        assert cs.run(workflow.looping(), state=old, run_id="new") == alone("looping")
    runs = runs_of(old)
    assert {name: run.rules for name, run in runs.items()} == {**dict.fromkeys(RUNS, 1), "new": 2}
    assert {name: runs[name].facts for name in RUNS} == FACTS


def test_old_runs_can_be_deleted(old: str) -> None:
    """Runs of the version before are deleted like others."""
    with closing(catalog_from_url(old)) as catalog:
        for name in RUNS:
            catalog.delete(name)
        assert catalog.runs() == []


def test_the_command_line_refuses_an_old_run(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`cascade runs resume` says in one line which version has recorded the run, and what to do."""
    assert cascade("runs", "resume", "looping", "stores_of_0_1.workflow:looping", "--state", old) == 1
    told = capsys.readouterr().err
    assert "was recorded by Cascade 0.1" in " ".join(told.split())
    assert "changed" not in told
    assert "Traceback" not in told


@pytest.fixture
def old_cache(url: str) -> Iterator[str]:
    """The URL of a cache of version 1, of each kind in turn."""
    if is_redis(url):
        with closing(redis.Redis.from_url(url)) as client:
            fill(client)
            yield url
    else:
        path = Path(path_of(url)).with_name("cache.db")
        shutil.copy(OLD / "cache.db", path)
        yield f"sqlite:///{path}"


async def computed(cache: str) -> list[str]:
    """Return the tasks that are called with a cache."""
    heard: list[str] = []
    backend = cache_from_url(cache)
    try:
        async with Engine(cache_backend=backend) as engine:
            engine.bus.subscribe(TaskExecutionFinished, lambda event: heard.append(event.task_name))
            assert await engine.run(workflow.caching()) == 130
    finally:
        await backend.close()
    return sorted(heard)


CACHED = ["cached", "cached", "cached_for_long"]


def test_old_cached_values_miss(old_cache: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the version before has cached is computed anew, once; `why` names that version, and no change of code."""
    # The command begins an event loop, so the test runs in none.
    target = "stores_of_0_1.workflow:caching"
    assert cascade("why", target, "--cache", old_cache) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("stored by") == len(CACHED)
    assert told.count("Cascade") == len(CACHED)
    assert "changed" not in told
    assert asyncio.run(computed(old_cache)) == [*CACHED, "total"]
    assert asyncio.run(computed(old_cache)) == ["total"]
    assert cascade("why", target, "--cache", old_cache) == 0
    told = capsys.readouterr().out
    assert (told.count("hit: "), told.count("miss")) == (len(CACHED), 0)


async def test_old_cached_values_miss_whatever_their_keys(old_cache: str) -> None:
    """An entry of the version before is no hit for a policy of one's own either, whose keys are the same as then."""
    backend = cache_from_url(old_cache)
    old = [entry for name in set(CACHED) for entry in await backend.entries(f"stores_of_0_1.workflow.{name}")]
    assert [entry.rules for entry in old] == [1] * len(CACHED)
    for entry in old:
        assert await backend.get(entry.key) is None
        await backend.put(entry.key, "new", None)
        assert await backend.get(entry.key) == Hit("new")
    await backend.close()


async def test_looking_leaves_an_old_cache_as_it_is(tmp_path: Path) -> None:
    """A cache file of the version before that is only looked at stays what it is, until the first put."""
    path = Path(shutil.copy(OLD / "cache.db", tmp_path / "cache.db"))
    before = path.read_bytes()

    backend = SqliteCacheBackend(path, create=False)
    task = "stores_of_0_1.workflow.cached"
    (first, *_) = await backend.entries(task)
    assert await backend.get(first.key) is None
    assert await asyncio.to_thread(path.read_bytes) == before
    await backend.put(first.key, 5, None)
    assert await backend.get(first.key) == Hit(5)
    assert [entry.rules for entry in await backend.entries(task)] == [2, 1]
    await backend.close()


def test_a_file_is_brought_up_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file that can't be brought to this version stays what it was, whole."""
    path = Path(shutil.copy(OLD / "runs.db", tmp_path / "runs.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE runs ADD COLUMN owner")  # the second step will fail
        before = [*connection.iterdump()]
    with pytest.raises(StoreError, match="owner"):
        cs.run(workflow.looping(), state=f"sqlite:///{path}", run_id="new")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert [*connection.iterdump()] == before
