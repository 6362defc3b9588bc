"""Claims about the caches in files and servers: they keep the contract, and what goes wrong costs the hit alone."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from support.redis_server import RedisProcess
from support.stores import asked, opened, using

import cascade as cs
from cascade.adapters.cache import (
    InMemoryCacheBackend,
    PostgresCacheBackend,
    RedisCacheBackend,
    SqliteCacheBackend,
)
from cascade.adapters.codec import DataCodec
from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_files import JournalMode, journal_mode
from cascade.adapters.store_urls import cache_from_url
from cascade.runtime import CacheBypassed, Engine
from cascade.runtime.explaining.key_differences import Change, KeyDifference
from cascade.runtime.why import Verdict, explain
from cascade.spec import CacheBackend, CacheEntry, CacheKey, Hit, SpecError, StoreError, StoreFormatError
from cascade.testing import CacheBackendConformance

KEY = CacheKey("digest", "module.task")


class TestInMemory(CacheBackendConformance):
    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        return InMemoryCacheBackend(clock=clock)


class TestSqlite(CacheBackendConformance):
    @pytest.fixture(autouse=True)
    def prepare(self, tmp_path: Path) -> None:
        self.path = tmp_path / "cache.db"

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        return SqliteCacheBackend(self.path, clock=clock)

    async def damage(self, cache: CacheBackend, key: CacheKey) -> bool:
        with closing(opened(self.path)) as connection:
            ((data,),) = connection.select("SELECT value FROM entry WHERE digest = ?", (key.digest,))
            value = bytearray(data)
            value[-1] ^= 1
            connection.execute("UPDATE entry SET value = ? WHERE digest = ?", (bytes(value), key.digest))
        return True


class TestSqliteOfThisPython(TestSqlite):
    """Where no other SQLite library is installed."""

    @pytest.fixture(autouse=True)
    def choose(self) -> Iterator[None]:
        with using("sqlite3"):
            yield


class TestRedis(CacheBackendConformance):
    @pytest.fixture(autouse=True)
    def prepare(self, each_redis_server: RedisProcess) -> None:
        self.server = each_redis_server
        each_redis_server.ask(b"FLUSHALL")

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        return RedisCacheBackend(self.server.url, clock=clock)

    async def damage(self, cache: CacheBackend, key: CacheKey) -> bool:
        with closing(redis.Redis.from_url(self.server.url)) as client:
            place = f"cascade:cache:value:{key.digest}"
            value = bytearray(client.hget(place, "value"))  # type: ignore[arg-type]
            value[-1] ^= 1
            client.hset(place, "value", bytes(value))
        return True


class TestPostgres(CacheBackendConformance):
    @pytest.fixture(autouse=True)
    def prepare(self, postgres_url: str) -> None:
        self.url = postgres_url

    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        return PostgresCacheBackend(self.url, clock=clock)

    async def damage(self, cache: CacheBackend, key: CacheKey) -> bool:
        changed = "set_byte(value, length(value) - 1, get_byte(value, length(value) - 1) # 1)"
        asked(self.url, f"UPDATE cascade_cache SET value = {changed} WHERE digest = '{key.digest}'")
        return True


async def bypasses(target: cs.LazyResult[Any], backend: CacheBackend) -> tuple[Any, list[str]]:
    """Run a target on an engine with a cache; return its value and why the cache was left alone."""
    heard: list[CacheBypassed] = []

    async with Engine(cache_backend=backend) as engine:
        engine.bus.subscribe(CacheBypassed, heard.append)
        try:
            value = await engine.run(target)
        finally:
            await backend.close()
    return value, [event.reason for event in heard]


@cs.task(cache=cs.ByInputs())
def double(x: Any) -> Any:
    return x * 2


def test_a_url_opens_a_cache_for_a_run(tmp_path: Path, redis_server: RedisProcess) -> None:
    """`cs.run(..., cache=URL)` keeps values between runs, in a file or in Redis."""
    calls: list[int] = []

    @cs.task(cache=cs.ByInputs())
    def count(x: int, url: str) -> int:
        calls.append(x)
        return x

    # The task closes over a list, which a key can't see: its values are good in this process only.
    for url in (f"sqlite:///{tmp_path}/cache.db", redis_server.url):
        calls.clear()
        assert [cs.run(count(1, url), cache=url) for _ in range(3)] == [1, 1, 1]
        assert calls == [1]


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
@pytest.mark.parametrize("mapped", [False, True])
async def test_a_ttl_that_is_added_later_holds_for_what_is_stored(
    kind: str, mapped: bool, tmp_path: Path, redis_server: RedisProcess
) -> None:
    """A policy's time to live counts from when a value was put, also if it was put for longer or for ever."""
    redis_server.ask(b"FLUSHALL")
    now = [1000.0]
    calls: list[int] = []

    def clock() -> float:
        return now[0]

    @cs.task
    def count(x: int) -> int:
        calls.append(x)
        return x

    def call(ttl: float | None) -> cs.LazyResult[Any]:
        return (count.map(x=[1]) if mapped else count(1)).with_cache(cs.ByInputs(ttl=ttl))

    async def main(backend: CacheBackend) -> None:
        async with Engine(cache_backend=backend) as engine:

            async def calls_of(ttl: float | None) -> int:
                before = len(calls)
                await engine.run(call(ttl))
                (judgement,) = await explain(call(ttl), backend, clock=clock)
                assert judgement.verdict is Verdict.HIT  # as it is now
                return len(calls) - before

            assert [await calls_of(ttl) for ttl in (None, 10, 1000)] == [1, 0, 0]
            now[0] += 10
            assert (await explain(call(10), backend, clock=clock))[0].answer.differences == (
                KeyDifference(Change.EXPIRED),
            )
            assert [await calls_of(ttl) for ttl in (None, 10.5, 10, 10)] == [0, 0, 1, 0]
            now[0] += 5
            assert [await calls_of(ttl) for ttl in (None, 5.5, 5)] == [0, 0, 1]
        await backend.close()

    make: dict[str, Callable[[], CacheBackend]] = {
        "memory": lambda: InMemoryCacheBackend(clock=clock),
        "sqlite": lambda: SqliteCacheBackend(tmp_path / "cache.db", clock=clock),
        "redis": lambda: RedisCacheBackend(redis_server.url, clock=clock),
    }
    await main(make[kind]())


@pytest.mark.parametrize(
    "url",
    ["mysql://me:secret@host/db", "cache.db", "sqlite://cache.db", "sqlite:///", "sqlite:///a?b=c", ""],
)
def test_a_url_of_no_cache_is_refused(url: str) -> None:
    """A URL that names no cache is a `SpecError` that tells the known forms, and no password."""
    with pytest.raises(SpecError, match=r"sqlite:///cache\.db.*redis://host.*postgresql://host") as caught:
        cs.run(double(1), cache=url)
    assert "secret" not in str(caught.value)


def test_an_extra_that_is_missing_is_named() -> None:
    """Without the client for a server, its URL is refused with the command that installs it; all else works."""
    script = """
import sys
sys.modules["redis"] = None
import cascade as cs
from cascade.adapters.cache import RedisCacheBackend
from cascade.spec import MissingExtraError
try:
    cs.run(cs.task(abs)(-1), cache="redis://localhost")
except MissingExtraError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "Redis needs an extra: pip install 'cascade-engine[redis]'\n"
    script = (
        script.replace("redis", "psycopg", 1).replace("redis:", "postgresql:").replace("Redis", "Postgres")
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "PostgreSQL needs an extra: pip install 'cascade-engine[postgres]'\n"


async def test_a_relative_url_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes begin a path relative to the working directory, four an absolute one."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///a.db", f"sqlite:///{tmp_path}/b%20c.db"):
        await cache_from_url(url).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.db", "b c.db"]


async def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """The file of a cache can be read by its owner only."""
    await SqliteCacheBackend(tmp_path / "cache.db").close()
    assert stat.S_IMODE((tmp_path / "cache.db").stat().st_mode) == 0o600


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A cache of a newer version, and a file of something else, are refused when they are opened."""
    await SqliteCacheBackend(tmp_path / "cache.db").close()
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreFormatError, match=r"version 99.*use a newer cascade-engine"):
        SqliteCacheBackend(tmp_path / "cache.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreFormatError, match="is not a Cascade cache"):
        await cs.arun(double(1), cache=f"sqlite:///{tmp_path}/other.db")


async def test_the_file_is_bounded(tmp_path: Path) -> None:
    """Beyond its bounds, what was put the longest ago makes room."""
    for cache in (
        SqliteCacheBackend(tmp_path / "few.db", max_entries=8),
        SqliteCacheBackend(tmp_path / "small.db", max_entries=64, max_bytes=8 * 1000),
    ):
        for number in range(64):
            await cache.put(CacheKey(str(number), "t"), b"x" * 950, None)
        kept = [number for number in range(64) if await cache.get(CacheKey(str(number), "t"))]
        assert kept == list(range(64 - len(kept), 64))
        assert 7 <= len(kept) <= 8
        await cache.close()
    # A process that puts one value only keeps the bounds too.
    cache = SqliteCacheBackend(tmp_path / "few.db", max_entries=3)
    await cache.put(CacheKey("new", "t"), b"x", None)
    assert [entry.key.digest for entry in await cache.entries("t")] == ["new", "63", "62"]
    await cache.close()


async def test_a_value_that_the_codec_refuses_is_not_cached(tmp_path: Path) -> None:
    """A result that has no bytes costs the hit: the run succeeds, and `CacheBypassed` names the type."""

    @cs.task(cache=cs.ByInputs())
    def make(x: int) -> object:
        return iter([x])

    value, reasons = await bypasses(make(1), SqliteCacheBackend(tmp_path / "cache.db"))
    assert next(value) == 1
    assert len(reasons) == 1
    assert "CodecError" in reasons[0]
    assert "list_iterator" in reasons[0]


@pytest.mark.server
async def test_a_map_of_values_that_are_refused_is_told_once(tmp_path: Path) -> None:
    """Of a task whose results the codec refuses there is one `CacheBypassed`, however many items its map has."""

    @cs.task(cache=cs.ByInputs())
    def opaque(x: int) -> object:
        return object() if x % 2 else Opaque(x)

    @cs.task(cache=cs.ByInputs())
    def other(x: object) -> object:
        return x

    heard: list[CacheBypassed] = []

    cache = SqliteCacheBackend(tmp_path / "cache.db")
    async with Engine(cache_backend=cache) as engine:
        engine.bus.subscribe(CacheBypassed, heard.append)
        for _ in range(2):
            await engine.run(other.map(x=opaque.map(x=range(100))))
    await cache.close()
    assert [event.task_name for event in heard] == ["opaque", "other"] * 2


class Opaque:
    def __init__(self, x: int) -> None:
        self.x = x


async def test_a_server_that_is_gone_costs_the_hits_alone(tmp_path: Path) -> None:
    """Without the server the run succeeds, one event for the task says why, and no password is told."""
    with RedisProcess(tmp_path) as server:
        gone = server.url.replace("://", "://me:secret@")
    value, reasons = await bypasses(cs.gather(double(1), double(2)), RedisCacheBackend(gone))
    assert value == [2, 4]
    assert len(reasons) == 1
    assert all(
        reason.startswith(f"StoreError: store redis://127.0.0.1:{server.port}/0: ") for reason in reasons
    )


@pytest.mark.server
async def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """A cache goes on with a server that was started again."""
    with RedisProcess(tmp_path) as server:
        cache = RedisCacheBackend(server.url)
        await cache.put(KEY, 1, None)
        server.stop(kill=True)
        with pytest.raises(StoreError):
            await cache.get(KEY)
        server.start()
        await cache.put(KEY, 2, None)
        assert await cache.get(KEY) == Hit(2)
        await cache.close()


@pytest.mark.usefixtures("each_binding")
async def test_a_file_that_is_locked_costs_the_hits_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another holds the file for longer than one waits, calls are made without the cache, and that is told."""
    monkeypatch.setattr("cascade.adapters.sqlite_files.BUSY_SECONDS", 0.05)
    cache = SqliteCacheBackend(tmp_path / "cache.db")
    with closing(opened(tmp_path / "cache.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        value, reasons = await bypasses(double(3), cache)
    assert value == 6
    assert len(reasons) == 1
    assert "locked" in reasons[0]


@pytest.mark.usefixtures("each_binding")
async def test_a_reader_waits_for_a_writer(tmp_path: Path) -> None:
    """A get that meets a writer of another process waits for it beside the event loop; with a log it does not wait."""
    cache = SqliteCacheBackend(tmp_path / "cache.db")
    await cache.put(KEY, 1, None)
    with closing(opened(tmp_path / "cache.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        asking = asyncio.ensure_future(cache.get(KEY))
        for _ in range(10):
            await asyncio.sleep(0)  # the loop is free
        has_log = journal_mode(binding().version) is JournalMode.WAL
        assert asking.done() is has_log
        other.execute("COMMIT")
        assert await asking == Hit(1)
    await cache.close()


async def test_many_processes_may_share_a_file(tmp_path: Path) -> None:
    """Processes that put into one file at the same time lose nothing and break nothing."""
    script = """
import asyncio, sys
from cascade.adapters.cache import SqliteCacheBackend
from cascade.spec import CacheKey
async def main(who):
    cache = SqliteCacheBackend(sys.argv[1])
    for number in range(25):
        await cache.put(CacheKey(f"{who} {number}", "t"), [who, number], None)
    await cache.close()
asyncio.run(main(int(sys.argv[2])))
"""
    path = tmp_path / "cache.db"
    running = [subprocess.Popen([sys.executable, "-c", script, str(path), str(who)]) for who in range(4)]
    assert [process.wait() for process in running] == [0] * 4

    cache = SqliteCacheBackend(path)
    for who in range(4):
        for number in range(25):
            assert await cache.get(CacheKey(f"{who} {number}", "t")) == Hit([who, number])
    await cache.close()


VALUES = {f"key {number}": {"number": number, "text": "value " * number} for number in range(20)}


async def fill(cache: CacheBackend) -> None:
    for digest, value in VALUES.items():
        await cache.put(CacheKey(digest, "module.task"), value, 1e9)


async def check_intact_or_missing(cache: CacheBackend) -> int:
    """Ask for every value; return how many are hits. None of them is another value."""
    hits = 0
    for digest, value in VALUES.items():
        try:
            hit = await cache.get(CacheKey(digest, "module.task"))
        except StoreError:
            continue
        assert hit in (None, Hit(value))
        hits += hit is not None
    try:
        entries = await cache.entries("module.task")
    except StoreError:
        entries = []
    assert all(isinstance(entry, CacheEntry) for entry in entries)
    return hits


@pytest.mark.one_python
async def test_flipped_bits_in_a_file_never_give_another_value() -> None:
    """With any of 1,000 bits of the file flipped, each value is intact, a miss, or an error."""
    source = random.Random(20261121)

    async def main(folder: Path) -> list[int]:
        cache = SqliteCacheBackend(folder / "cache.db")
        await fill(cache)
        await cache.close()
        whole = (folder / "cache.db").read_bytes()
        hits = []
        for _ in range(1000):
            bit = source.randrange(len(whole) * 8)
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            (folder / "changed.db").write_bytes(changed)
            try:
                cache = SqliteCacheBackend(folder / "changed.db")
            except (StoreError, StoreFormatError):
                hits.append(0)
                continue
            hits.append(await check_intact_or_missing(cache))
            await cache.close()
            for name in ("changed.db-journal", "changed.db-wal", "changed.db-shm"):
                (folder / name).unlink(missing_ok=True)
        return hits

    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=in_memory if os.access(in_memory, os.W_OK) else None) as folder:
        hits = await main(Path(folder))
    assert sum(hits) > 10_000  # most bits are those of one value, or of none


async def test_a_server_forgets_what_has_expired(redis_server: RedisProcess) -> None:
    """A server is told how long a value is shown: an hour longer than it lives, or for ever, as it was put last."""
    redis_server.ask(b"FLUSHALL")
    cache = RedisCacheBackend(redis_server.url)
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        for ttl, least, most in ((60.0, 3_650_000, 3_660_000), (None, -1, -1), (5.0, 3_590_000, 3_605_000)):
            await cache.put(KEY, 1, ttl)
            assert least <= client.pttl(f"cascade:cache:value:{KEY.digest}") <= most
    await cache.close()


@pytest.mark.parametrize("field", ["value", "stored_at", "expires_at"])
async def test_a_value_in_redis_without_a_field_is_a_miss(redis_server: RedisProcess, field: str) -> None:
    """A value of which a server has lost a part is not there."""
    redis_server.ask(b"FLUSHALL")
    cache = RedisCacheBackend(redis_server.url)
    await cache.put(KEY, 1, None)
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        client.hdel(f"cascade:cache:value:{KEY.digest}", field)
    assert await cache.get(KEY) is None
    await cache.close()


async def test_a_server_lists_the_last_thousand_values_of_a_task(redis_server: RedisProcess) -> None:
    """A thousand values of one task are listed, those that were put last; older ones are had all the same."""
    redis_server.ask(b"FLUSHALL")
    now = iter(range(10_000))
    cache = RedisCacheBackend(redis_server.url, clock=lambda: float(next(now)))
    for number in range(1_003):
        await cache.put(CacheKey(f"digest {number}", "module.task"), number, None)
    listed = [entry.key.digest for entry in await cache.entries("module.task", 5_000)]
    assert listed == [f"digest {number}" for number in range(1_002, 2, -1)]
    assert await cache.get(CacheKey("digest 0", "module.task")) == Hit(0)
    await cache.close()


async def test_a_cache_in_a_file_takes_its_path_and_codec_by_name(tmp_path: Path) -> None:
    """The path and the codec of a cache in a file may be given by name as well as in order."""
    cache = SqliteCacheBackend(path=tmp_path / "cache.db", codec=DataCodec())
    await cache.put(KEY, 1, None)
    assert (await cache.get(KEY)) is not None
    await cache.close()


async def test_a_hundred_values_of_a_task_are_listed_unless_told_otherwise() -> None:
    """Who asks a cache for the values of a task and names no limit is given a hundred."""
    cache = InMemoryCacheBackend()
    for number in range(102):
        await cache.put(CacheKey(f"digest {number}", "module.task"), number, None)
    assert len(await cache.entries("module.task")) == 100


async def test_a_value_that_is_put_again_is_no_old_one() -> None:
    """The value that was neither put nor asked for the longest makes room."""
    first, second, third = (CacheKey(name, "module.task") for name in ("first", "second", "third"))
    cache = InMemoryCacheBackend(max_entries=2)
    for key in (first, second, first, third):
        await cache.put(key, key.digest, None)
    assert [await cache.get(key) is not None for key in (first, second, third)] == [True, False, True]


async def test_flipped_bits_in_redis_never_give_another_value(redis_server: RedisProcess) -> None:
    """With any of 1,000 bits of the stored fields flipped, each value is intact, a miss, or an error."""
    redis_server.ask(b"FLUSHALL")
    source = random.Random(20261121)

    cache = RedisCacheBackend(redis_server.url)
    await fill(cache)
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        for _ in range(1000):
            digest = source.choice(list(VALUES))
            place = f"cascade:cache:value:{digest}"
            field = source.choice(["value", "value", "expires_at", "parts", "stored_at"])
            whole: Any = client.hget(place, field)
            bit = source.randrange(len(whole) * 8)
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            client.hset(place, field, bytes(changed))
            hit = await cache.get(CacheKey(digest, "module.task"))
            assert hit in (None, Hit(VALUES[digest]))
            assert (
                hit is None or field not in ("value", "expires_at") or float(bytes(changed)) == float(whole)
            )
            await cache.entries("module.task")
            client.hset(place, field, whole)
    assert await check_intact_or_missing(cache) == len(VALUES)
    await cache.close()


ODD: tuple[object, ...] = (
    None,
    -1,
    2**62,
    1.5,
    float("inf"),
    "",
    "x",
    "\x00",
    b"",
    b"\xff",
    b"x" * 40,
    "[1]",
    "[[1,2]]",
)


async def test_odd_rows_are_no_hits(tmp_path: Path) -> None:
    """Whatever stands in a column of a cache file, a call has its value, and a look has entries or a typed error."""
    path = tmp_path / "cache.db"
    assert await bypasses(double(4), SqliteCacheBackend(path)) == (8, [])
    whole = path.read_bytes()
    for column in ("digest", "task", "parts", "stored_at", "expires_at", "number", "size", "value", "rules"):
        for value in ODD:
            path.write_bytes(whole)
            with closing(sqlite3.connect(path)) as connection, connection:
                try:
                    connection.execute(f"UPDATE entry SET {column} = ?", (value,))
                except sqlite3.IntegrityError:
                    continue
            assert (await bypasses(double(4), SqliteCacheBackend(path)))[0] == 8, (column, value)
            await check_looks(lambda: SqliteCacheBackend(path, create=False))


async def test_odd_keys_are_no_hits(redis_server: RedisProcess) -> None:
    """Whatever stands in a field or key of a cache in Redis, a call has its value, a look a typed error at most."""
    redis_server.ask(b"FLUSHALL")
    url = redis_server.url
    assert await bypasses(double(4), RedisCacheBackend(url)) == (8, [])
    with closing(redis.Redis.from_url(url)) as client:
        (place,) = client.keys("cascade:cache:value:*")
        (listed,) = client.keys("cascade:cache:task:*")
        for field in ("value", "stored_at", "expires_at", "parts", "rules"):
            for value in (b"", b"x", b"-1", b"nan", b"inf", b"1e999", b"\xff", b"9" * 400, b"[1]"):
                client.hset(place, field, value)
                assert (await bypasses(double(4), RedisCacheBackend(url)))[0] == 8, (field, value)
                await check_looks(lambda: RedisCacheBackend(url))
        for key in (place, listed):
            client.delete(key)
            client.set(key, b"x")
            await check_looks(lambda: RedisCacheBackend(url))
            value, reasons = await bypasses(double(4), RedisCacheBackend(url))
            assert value == 8
            assert all("WRONGTYPE" in reason for reason in reasons)
            client.delete(key)


async def check_looks(make: Callable[[], CacheBackend]) -> None:
    cache = make()
    try:
        (judgement,) = await explain(double(4), cache)
        assert judgement.verdict in (Verdict.HIT, Verdict.MISS)
    except cs.CascadeError:
        pass
    finally:
        await cache.close()
