"""Claims about runs whose rows or keys somebody has changed or lost: a typed error, others go on, a restart heals."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from support.resuming import WANTED, play, sixty, stopped
from support.stores import path_of, recorded

import cascade as cs
from cascade.adapters.state import SqliteCatalog
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec import RunDamagedError, StoreError

pytestmark = pytest.mark.usefixtures("story")

ODD: tuple[object, ...] = (
    -1,
    99,
    2**62,
    1.5,
    float("inf"),
    "",
    "x",
    "\x00",
    b"",
    b"\xff",
    b"\x00" * 16,
    b"x" * 40,
)
COLUMNS = {
    "runs": ("status", "task", "round", "began", "updated", "error", "record", "target", "rules", "owner"),
    "facts": ("round", "frame", "node", "kind", "above", "task", "place", "at", "value"),
}


async def check_healed(url: str) -> None:
    """Check that a run begins anew, whole, and is then like any other."""
    again = await play(url, sixty(), restart=True)
    assert (again.error, again.value, again.recovered) == (None, WANTED, [])
    calls = len(again.calls)
    await stopped(url, sixty(), "end", restart=True)
    last = await play(url, sixty())
    assert (last.value, last.calls) == (WANTED, ["end"])
    with closing(catalog_from_url(url)) as catalog:
        (run,) = (run for run in catalog.runs() if run.run_id == "r")
        assert run.facts == len(catalog.facts("r"))
    assert calls > 40


def damages() -> Iterator[tuple[str, str, object]]:
    """Give what stands in a row: each column with some odd value or other."""
    chance = random.Random(8)
    for table, columns in COLUMNS.items():
        for column in columns:
            for value in chance.sample(ODD, 3):
                yield table, column, value


@pytest.mark.parametrize("rows", ["one", "all"])
async def test_a_damaged_row_is_told_and_locks_nobody_out(file_url: str, rows: str) -> None:
    """An odd value in any column is a typed error or does not matter; while the error is held, others are written."""
    await stopped(file_url, sixty(), "end")
    path = Path(path_of(file_url))
    whole = path.read_bytes()
    for table, column, value in damages():
        one = " WHERE rowid = (SELECT min(rowid) FROM facts)" if rows == "one" and table == "facts" else ""
        try:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(f"UPDATE {table} SET {column} = ?{one}", (value,))
        except sqlite3.IntegrityError:  # two rows of one place
            continue
        held = await play(file_url, sixty())
        where = (table, column, value)
        assert held.error is None or isinstance(held.error, cs.CascadeError), where
        assert held.value in (None, WANTED), where
        other = await play(file_url, sixty(), run_id="other", restart=True)
        assert (other.error, other.value) == (None, WANTED), where
        assert {run.run_id for run in SqliteCatalog(path).runs()} == {"r", "other"}
        again = await play(file_url, sixty(), restart=True)
        assert (again.error, again.value) == (None, WANTED), where
        path.write_bytes(whole)
    await check_healed(file_url)


@pytest.mark.parametrize("value", [b"\xff", b"", -1, 1.5, "x", "\x00"])
async def test_a_damaged_owner_does_not_stop_a_restart(file_url: str, value: object) -> None:
    """Whatever stands in a store for who drives a run, a restart begins anew."""
    await stopped(file_url, sixty(), "end")
    with closing(sqlite3.connect(path_of(file_url))) as connection, connection:
        connection.execute("UPDATE runs SET owner = ?", (value,))
    held = await play(file_url, sixty())
    assert held.error is None or isinstance(held.error, cs.CascadeError)
    await check_healed(file_url)


async def test_a_damaged_run_is_an_error_of_its_own(file_url: str) -> None:
    """What can't be read of a run is a `RunDamagedError`, which names the store, the run and the remedy."""
    await stopped(file_url, sixty(), "end")
    with closing(sqlite3.connect(path_of(file_url))) as connection, connection:
        connection.execute("UPDATE facts SET kind = 99 WHERE rowid = 1")
    error = (await play(file_url, sixty())).error
    assert isinstance(error, RunDamagedError)
    assert error.run_id == "r"
    assert error.store == path_of(file_url)
    assert "restart=True" in str(error)
    await check_healed(file_url)


STOP = "loop 3"
"""A call that a run fails with while some frames are stored."""

OTHER_TYPES: dict[str, Callable[[Any, bytes], object]] = {
    "string": lambda client, key: client.set(key, b"x"),
    "number": lambda client, key: client.set(key, b"7"),
    "list": lambda client, key: client.rpush(key, b"x"),
    "hash": lambda client, key: client.hset(key, b"x", b"y"),
    "sorted set": lambda client, key: client.zadd(key, {b"x": 1.0}),
    "nothing": lambda client, key: None,
}


def keys_of(client: Any) -> list[bytes]:
    """Return the keys of the one run: of its frames the first and the last."""
    keys = sorted(key for key in client.keys("*:r") if b":lease:" not in key)
    frames = [key for key in keys if b":frame:" in key]
    return [key for key in keys if key not in frames[1:-1]]


@pytest.mark.parametrize("kind", OTHER_TYPES)
async def test_a_run_in_redis_begins_anew_whatever_is_there(redis_url: str, kind: str) -> None:
    """A key that is gone, or of another type, is a typed error; with `restart=True` the run begins anew."""
    await stopped(redis_url, sixty(), STOP)
    with closing(redis.Redis.from_url(redis_url)) as client:
        keys = keys_of(client)
        assert len(keys) == 6
        for key in keys:
            client.delete(key)
            OTHER_TYPES[kind](client, key)
            seen = await play(redis_url, sixty())
            assert seen.value == WANTED or isinstance(seen.error, StoreError), (key, seen.error)
            assert {run.run_id for run in catalog_from_url(redis_url).runs()} == {"r"}
            await check_healed(redis_url)
            await stopped(redis_url, sixty(), STOP, restart=True)


async def test_a_lease_that_is_none_keeps_nobody_out(redis_url: str) -> None:
    """What stands in the place of a lease and is none does not keep a run from going on or being deleted."""
    await stopped(redis_url, sixty(), STOP)
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.hset("cascade:state:lease:r", "x", "y")
        assert (await play(redis_url, sixty())).value == WANTED
        client.hset("cascade:state:lease:r", "x", "y")
        catalog_from_url(redis_url).delete("r")
        assert client.keys("*:r") == []


async def test_what_an_evicted_run_has_left_is_no_fact_of_the_next(redis_url: str) -> None:
    """Facts whose run was evicted around them are gone when the run begins anew, with the same places."""
    await stopped(redis_url, sixty(), STOP)
    with closing(redis.Redis.from_url(redis_url)) as client:
        for restart in (False, True):
            client.delete("cascade:state:frames:r", "cascade:state:head:r")
            if not restart:
                client.delete("cascade:state:runs")  # nothing says that it was there
            assert len(client.keys("cascade:state:frame:*")) > 1
            await stopped(redis_url, sixty(), "chain 3", restart=restart)
            known = len(catalog_from_url(redis_url).facts("r"))
            last = await play(redis_url, sixty())
            assert last.value == WANTED
            assert "chain 3" in last.calls
            assert "chain 11" in last.calls
            assert 0 < known < 40
            await stopped(redis_url, sixty(), STOP, restart=True)


@pytest.mark.parametrize(
    "field", ["status", "round", "record", "target", "rules", "frames", "facts", "began"]
)
async def test_an_odd_field_in_redis_is_told(redis_url: str, field: str) -> None:
    """An odd value in a field of a run's own is a typed error or does not matter; a restart heals it."""
    await stopped(redis_url, sixty(), STOP)
    with closing(redis.Redis.from_url(redis_url)) as client:
        key = "cascade:state:head:r"
        before = client.hget(key, field)
        for value in (b"", b"x", b"-1", b"1e400", b"9" * 30, b"\xff"):
            client.hset(key, field, value)
            seen = await play(redis_url, sixty())
            assert seen.error is None or isinstance(seen.error, cs.CascadeError), (value, seen.error)
            assert [run.run_id for run in catalog_from_url(redis_url).runs()] == ["r"]
            await stopped(redis_url, sixty(), STOP, restart=True)
    assert before is not None
    await check_healed(redis_url)


@pytest.mark.parametrize("url_of", ["file_url", "redis_url"])
async def test_restarting_reads_nothing(url_of: str, request: pytest.FixtureRequest) -> None:
    """With `restart=True` a run begins anew under another codec too, which could read nothing of it."""
    url: str = request.getfixturevalue(url_of)

    class Refusing:
        def encode(self, value: object, *, key: bytes) -> bytes:
            return b"x"

        def decode(self, data: bytes, *, key: bytes) -> object:
            raise OSError("not to be read")

    await stopped(url, sixty(), "end")
    seen = await play(url, sixty(), make=recorded(url, codec=Refusing()), restart=True)
    assert (seen.error, seen.value) == (None, WANTED)
