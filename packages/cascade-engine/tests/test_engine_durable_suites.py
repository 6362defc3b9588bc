"""Claims about the durable state backends: each keeps the contract, in a file and in a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from support.redis_server import RedisProcess
from support.stores import LEASE_SECONDS, asked, using

from cascade.adapters.state import PostgresStateBackend, RedisStateBackend, SqliteStateBackend
from cascade.spec import SpecError
from cascade.spec.durable import DurableStateBackend
from cascade.testing import DurableStateBackendConformance


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


class TestSqlite(DurableStateBackendConformance):
    @pytest.fixture(autouse=True)
    def prepare(self, tmp_path: Path) -> None:
        self.path = tmp_path / "runs.db"

    def make_backend(self, run_id: str = "run") -> DurableStateBackend:
        return SqliteStateBackend(self.path, run_id=run_id, durability="async")

    def damage(self, run_id: str) -> bool:
        self._rewrite(lambda values: [flipped(value) for value in values])
        return True

    def swap(self, run_id: str) -> bool:
        self._rewrite(lambda values: [*values[1:], values[0]])
        return True

    def _rewrite(self, spoil: object) -> None:
        assert callable(spoil)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            rows = connection.execute("SELECT node, value FROM facts").fetchall()
            for (node, _), value in zip(rows, spoil([value for _, value in rows]), strict=True):
                connection.execute("UPDATE facts SET value = ? WHERE node = ?", (value, node))


class TestSqliteOfThisPython(TestSqlite):
    """Where no other SQLite library is installed."""

    @pytest.fixture(autouse=True)
    def choose(self) -> Iterator[None]:
        with using("sqlite3"):
            yield


class TestRedis(DurableStateBackendConformance):
    @pytest.fixture(autouse=True)
    def prepare(self, each_redis_server: RedisProcess) -> None:
        self.url = each_redis_server.url
        each_redis_server.ask(b"FLUSHALL")

    def make_backend(self, run_id: str = "run") -> DurableStateBackend:
        return RedisStateBackend(self.url, run_id=run_id, lease_seconds=LEASE_SECONDS)

    def damage(self, run_id: str) -> bool:
        self._rewrite(lambda values: [flipped(value) for value in values])
        return True

    def swap(self, run_id: str) -> bool:
        self._rewrite(lambda values: [*values[1:], values[0]])
        return True

    def _rewrite(self, spoil: object) -> None:
        assert callable(spoil)
        with closing(redis.Redis.from_url(self.url)) as client:
            (key,) = client.keys("cascade:state:frame:*")
            values = {field: value for field, value in client.hgetall(key).items() if field[:1] == b"v"}
            for field, value in zip(values, spoil([*values.values()]), strict=True):
                client.hset(key, field, value)


class TestPostgres(DurableStateBackendConformance):
    @pytest.fixture(autouse=True)
    def prepare(self, postgres_url: str) -> None:
        self.url = postgres_url

    def make_backend(self, run_id: str = "run") -> DurableStateBackend:
        return PostgresStateBackend(self.url, run_id=run_id, lease_seconds=LEASE_SECONDS)

    def damage(self, run_id: str) -> bool:
        changed = "set_byte(value, length(value) - 1, get_byte(value, length(value) - 1) # 1)"
        asked(self.url, f"UPDATE cascade_facts SET value = {changed}")
        return True

    def swap(self, run_id: str) -> bool:
        next_value = "lead(value) OVER w, first_value(value) OVER w"
        swapped = (
            f"SELECT node, coalesce({next_value}) AS value FROM cascade_facts WINDOW w AS (ORDER BY node)"
        )
        asked(
            self.url,
            f"UPDATE cascade_facts f SET value = g.value FROM ({swapped}) g WHERE f.node = g.node",
        )
        return True


@pytest.mark.parametrize("make", [SqliteStateBackend, RedisStateBackend])
def test_a_run_id_is_of_whole_characters(make: Callable[..., DurableStateBackend]) -> None:
    """An id that can't be written as text, as one of a command line in another encoding, is refused by name."""
    with pytest.raises(SpecError, match=r"run_id='nightly\\udcff' has half a character"):
        make("redis://localhost", run_id="nightly\udcff")
