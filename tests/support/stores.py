"""Stores of runs for tests: one of each kind, by its URL, and what is in it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import psycopg
import pytest
import redis

from cascade.adapters.addresses import POSTGRES_SCHEMES, sqlite_path
from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_bindings.connection import Access, Connection
from cascade.adapters.state.journal import Durability, Journal
from cascade.adapters.state.postgres.postgres_journal import PostgresJournal
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.redis.redis_journal import RedisJournal
from cascade.adapters.state.sqlite.sqlite_journal import SqliteJournal
from cascade.adapters.store_urls import STATE_FORMS
from cascade.adapters.values.kept_values import KeptValues
from cascade.spec.protocols import Codec
from support.journals import BlankJournal
from support.redis_server import RedisProcess

BINDINGS = ("apsw", "sqlite3")
SHARED = Path("/dev/shm")  # files that live for a moment, where there is such a place
KINDS = ("sqlite", "redis")
"""Kinds of stores that each test of recorded runs is made with; PostgreSQL is, where a server makes a difference."""
SERVERS = ("redis", "postgres")
LEASE_SECONDS = 2.0
"""How long a run in Redis stays taken that nobody drives: for longer than a busy machine holds up an event loop."""
PAGE = 4096


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, of each kind in turn."""
    given: str = request.getfixturevalue("file_url" if request.param == "sqlite" else "redis_url")
    return given


@pytest.fixture(params=[*KINDS, "postgres"])
def every_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, of each kind in turn, PostgreSQL among them."""
    given: str = request.getfixturevalue("file_url" if request.param == "sqlite" else f"{request.param}_url")
    return given


@pytest.fixture
def file_url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a store in a file; of all cases half use one SQLite library, half the other."""
    if "each_binding" in request.fixturenames:
        yield url_in(tmp_path)
        return
    with using(BINDINGS[crc32(request.node.name.encode()) % len(BINDINGS)]):
        yield url_in(tmp_path)


@pytest.fixture
def redis_url(redis_server: RedisProcess) -> str:
    """The URL of a store in a server that has nothing else."""
    redis_server.ask(b"FLUSHALL")
    return redis_server.url


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store in a server, of each kind in turn."""
    given: str = request.getfixturevalue(f"{request.param}_url")
    return given


@pytest.fixture(params=BINDINGS)
def each_binding(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the library that opens SQLite files in this process, each in turn."""
    with using(request.param):
        yield request.param


@contextmanager
def using(name: str) -> Iterator[None]:
    """Open SQLite files with this library, as where the other one is not installed. None may be open meanwhile."""
    left_out = {} if name == "apsw" else {"apsw": None, "cascade.adapters.sqlite_bindings.apsw_binding": None}
    with pytest.MonkeyPatch.context() as patch:
        for module, nothing in left_out.items():
            patch.setitem(sys.modules, module, nothing)
        binding.cache_clear()
        assert binding().name == name
        yield
    binding.cache_clear()


def opened(path: Path | str, seconds: float = 0.0) -> Connection:
    """Open a store's file with the library that the process uses: beside another one, each drops the other's locks."""
    return binding().connect(Path(path), Access.WRITE, seconds)


def is_redis(url: str) -> bool:
    """Tell whether a store is in a Redis server."""
    return url.startswith("redis:")


def is_postgres(url: str) -> bool:
    """Tell whether a store is in a PostgreSQL server."""
    return url.partition(":")[0] in POSTGRES_SCHEMES


def is_in_server(url: str) -> bool:
    """Tell whether a store is in a server, and not in a file."""
    return is_redis(url) or is_postgres(url)


def asked(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows that a PostgreSQL server gives for a statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(statement.encode(), binary=True)
        return found.fetchall() if found.description else []


def clear(url: str) -> None:
    """Forget all that is in a server."""
    if is_postgres(url):
        asked(url, "DROP SCHEMA public CASCADE")
        asked(url, "CREATE SCHEMA public")
    else:
        with _client(url) as client:
            client.flushall()


def end_lease(url: str, run_id: str = "run") -> None:
    """Let the lease of a run in a server be over, as if its driver slept."""
    if is_postgres(url):
        asked(url, f"UPDATE cascade_leases SET until = 'epoch' WHERE run_id = '{run_id}'")
    else:
        with _client(url) as client:
            client.delete(f"cascade:state:lease:{run_id}")


def beside(url: str) -> str:
    """Return the URL of another store of the same kind, beside one."""
    return f"{url.removesuffix('/0')}/1" if is_redis(url) else url.replace("runs.db", "other.db")


def url_in(folder: Path) -> str:
    """Return the URL of a file in a folder."""
    folder.mkdir(exist_ok=True)
    return f"sqlite:///{folder / 'runs.db'}"


def path_of(url: str) -> str:
    """Return the path of the file that a URL names."""
    return sqlite_path(url, "state", STATE_FORMS)


def journal_of(url: str, run_id: str, lease_seconds: float = LEASE_SECONDS) -> Journal:
    """Return one run's journal in a store; it survives the end of the process."""
    if is_redis(url):
        return RedisJournal(url, run_id, Durability.ASYNC, lease_seconds=lease_seconds)
    if is_postgres(url):
        return PostgresJournal(url, run_id, Durability.ASYNC, lease_seconds=lease_seconds)
    return SqliteJournal(path_of(url), run_id, Durability.ASYNC)


Wrap = Callable[[Journal], Journal]


def recorded(
    url: str,
    wrap: Wrap | None = None,
    *,
    codec: Codec | None = None,
    keep_rounds: int = 1,
    lease_seconds: float = LEASE_SECONDS,
    values: KeptValues | None = None,
) -> Callable[..., RecordedState]:
    """Return what makes the state of a run in a store; `wrap` may put a journal of its own around the store's."""

    def make(run_id: str) -> RecordedState:
        journal = journal_of(url, run_id, lease_seconds)
        journal = journal if wrap is None else wrap(journal)
        return RecordedState(journal, run_id, codec=codec, keep_rounds=keep_rounds, values=values)

    return make


def unstored(run_id: str) -> RecordedState:
    """Return the state of a run that is recorded like any other, and kept nowhere: without a thread or a server."""
    return RecordedState(BlankJournal(), run_id)


def _client(url: str) -> closing[Any]:
    return closing(redis.Redis.from_url(url))


def rows_of(url: str) -> int:
    """Return how many facts a store holds."""
    if is_in_server(url):
        return len(values_of(url))
    with closing(sqlite3.connect(path_of(url))) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM facts").fetchone()
    return int(rows)


def values_of(url: str) -> list[bytes]:
    """Return the values of all facts in a store, as they are stored."""
    if is_postgres(url):
        return [value for (value,) in asked(url, "SELECT value FROM cascade_facts")]
    if not is_redis(url):
        with closing(sqlite3.connect(path_of(url))) as connection:
            return [value for (value,) in connection.execute("SELECT value FROM facts")]
    with _client(url) as client:
        frames = [client.hgetall(key) for key in client.keys("cascade:state:frame:*")]
    return [value for frame in frames for field, value in frame.items() if field[:1] == b"v"]


def all_of(url: str) -> bytes:
    """Return all that a store has, as bytes: also what is about runs, and not only their values."""
    if is_postgres(url):
        tables = ("runs", "leases", "facts", "timelines", "inputs")
        rows = [row for table in tables for row in asked(url, f"SELECT * FROM cascade_{table}")]
        return b"\n".join(
            each if isinstance(each, bytes) else str(each).encode() for row in rows for each in row
        )
    if not is_redis(url):
        folder = Path(path_of(url)).parent
        return b"\n".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    parts: list[bytes] = []
    with _client(url) as client:
        for key in client.scan_iter():
            parts.append(key)
            kind = client.type(key)
            if kind == b"string":
                parts.append(client.get(key))
            elif kind == b"hash":
                parts += [each for pair in client.hgetall(key).items() for each in pair]
            else:
                parts += client.zrange(key, 0, -1)
    return b"\n".join(parts)


def round_of(url: str) -> int:
    """Return the round that the one run of a store is in."""
    if is_postgres(url):
        return int(asked(url, "SELECT coalesce(max(round), 0) FROM cascade_runs")[0][0])
    if not is_redis(url):
        with closing(sqlite3.connect(path_of(url))) as connection:
            return int(connection.execute("SELECT max(round) FROM runs").fetchone()[0] or 0)
    with _client(url) as client:
        rounds = [client.hget(key, "round") for key in client.keys("cascade:state:head:*")]
    return int(*rounds)


def size_of(url: str) -> int:
    """Return how many bytes a store takes, in whole pages: a number may have more digits than another."""
    if is_redis(url):
        return -(-len(bytes_of(url)) // PAGE) * PAGE
    return Path(path_of(url)).stat().st_size


def bytes_of(url: str) -> bytes:
    """Return all that a store has written anywhere."""
    if is_postgres(url):
        tables = ("runs", "facts", "timelines", "leases")
        return b"".join(
            part if isinstance(part, bytes) else str(part).encode()
            for table in tables
            for row in asked(url, f"SELECT * FROM cascade_{table}")
            for part in row
        )
    if is_redis(url):
        return b"".join(_everything(url))
    path = Path(path_of(url))
    return b"".join(each.read_bytes() for each in path.parent.iterdir() if each.name.startswith(path.name))


def _everything(url: str) -> Iterator[bytes]:
    with _client(url) as client:
        for key in client.scan_iter():
            yield key
            kind = client.type(key)
            if kind == b"string":
                yield client.get(key)
            elif kind == b"hash":
                yield from (part for field in client.hgetall(key).items() for part in field)
            else:
                assert kind == b"zset"
                yield from client.zrange(key, 0, -1)
