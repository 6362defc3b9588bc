"""The cache in PostgreSQL, shared by many hosts. Needs the extra `cascade-engine[postgres]`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cascade.adapters.cache.pruning import HeldEntry
from cascade.adapters.cache.stored import (
    FOLDER_DIGEST,
    SHORT,
    SHOWN_AFTER,
    Encoded,
    StoredCache,
    entry_of,
    parts_as_text,
    pointer_of,
)
from cascade.adapters.postgres_server import PostgresServer
from cascade.adapters.state.postgres.postgres_layout import (
    CACHE,
    CACHE_TABLES,
    PREFIX,
    Tables,
)
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.adapters.values.kept_values import KeptValues
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_SWEPT_EVERY = 300.0
"""Seconds between two looks of this process for values that are to be deleted."""

_GET = "SELECT value, stored_at, expires_at FROM {p}cache WHERE digest = %(digest)b"
_PUT = """INSERT INTO {p}cache (digest, task, parts, stored_at, expires_at, rules, value) VALUES
    (%(digest)b, %(task)b, %(parts)b, %(stored_at)s, %(expires_at)s, %(rules)s, %(value)b)
    ON CONFLICT (digest) DO UPDATE SET task = excluded.task, parts = excluded.parts,
    stored_at = excluded.stored_at, expires_at = excluded.expires_at, rules = excluded.rules,
    value = excluded.value"""
_NAME_FOLDER = """INSERT INTO {p}cache (digest, task, parts, stored_at, expires_at, rules, value)
    VALUES (%(digest)b, '', '', 0, NULL, %(rules)s, %(value)b) ON CONFLICT (digest) DO NOTHING"""
_HELD = """SELECT digest, stored_at, expires_at, octet_length(value),
    CASE WHEN octet_length(value) < %(short)s THEN value END FROM {p}cache WHERE digest <> %(digest)b"""
_DROP = "DELETE FROM {p}cache WHERE digest = %(digest)b AND stored_at = %(stored_at)s"
_SWEEP = "DELETE FROM {p}cache WHERE expires_at < %(before)s"
_ENTRIES = """SELECT digest, parts, stored_at, expires_at, rules FROM {p}cache WHERE task = %(task)b
    ORDER BY stored_at DESC LIMIT %(limit)s"""


class PostgresCacheBackend(StoredCache):
    """Keeps values in a PostgreSQL server, in a table whose name begins with `prefix`.

    Values that have expired are deleted an hour later, by whoever puts one. Those without an end stay.
    `clock` returns seconds; all who share the server need the same one. A connection is made at first use.

    Raises:
        MissingExtraError: If the extra is not installed.
        SpecError: If `url` is none of PostgreSQL, or no table can have the `prefix`.
    """

    def __init__(
        self,
        url: str,
        codec: Codec | None = None,
        *,
        values: KeptValues | None = None,
        clock: Callable[[], float] = time.time,
        prefix: str = PREFIX,
    ) -> None:
        super().__init__(codec, clock, values)
        self._server = PostgresServer(url)
        self._tables = Tables(self._server, prefix, CACHE, CACHE_TABLES)
        self._prefix = prefix
        self._swept_at = float("-inf")

    async def get(self, key: CacheKey) -> Hit | None:
        """Return a value that has not expired and is not damaged.

        Raises:
            StoreError: If the server does not answer.
        """
        rows = await self._rows(_GET, {"digest": as_bytes(key.digest)})
        for data, stored, expires in rows:
            return await self._hit(key.digest, data, stored, expires)
        return None

    async def _folder(self, new: str) -> str:
        row = {"digest": as_bytes(FOLDER_DIGEST), "value": as_bytes(new), "rules": DIGEST_RULES}

        async def write(connection: Connection) -> None:
            await connection.execute(self._sql(_NAME_FOLDER), row)

        await self._tables.make()
        await self._server.do(write)
        ((found, *_),) = await self._rows(_GET, {"digest": row["digest"]})
        return as_text(found)

    async def _store(self, encoded: Encoded, data: bytes) -> None:
        row = {
            "digest": as_bytes(encoded.key.digest),
            "task": as_bytes(encoded.key.task),
            "parts": as_bytes(parts_as_text(encoded.key)),
            "stored_at": encoded.stored_at,
            "expires_at": encoded.expires_at,
            "rules": DIGEST_RULES,
            "value": data,
        }
        sweeps = time.monotonic() - self._swept_at > _SWEPT_EVERY

        async def write(connection: Connection) -> None:
            await connection.execute(self._sql(_PUT), row)
            if sweeps:
                await connection.execute(self._sql(_SWEEP), {"before": self._clock() - SHOWN_AFTER})

        await self._tables.make()
        await self._server.do(write)
        if sweeps:
            self._swept_at = time.monotonic()

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return the entries of a task, the last put first.

        Raises:
            StoreError: If the server does not answer.
        """
        if limit < 1:
            return []
        rows = await self._rows(_ENTRIES, {"task": as_bytes(task), "limit": limit})
        return [
            found
            for digest, parts, stored, expires, rules in rows
            if (found := entry_of(as_text(digest), task, as_text(parts), stored, expires, rules)) is not None
        ]

    async def held(self) -> list[HeldEntry]:
        """Return all entries.

        Raises:
            StoreError: If the server does not answer.
        """
        found = []
        for digest, stored, expires, size, data in await self._rows(
            _HELD, {"digest": as_bytes(FOLDER_DIGEST), "short": SHORT}
        ):
            name = as_text(digest)
            pointer = pointer_of(name, data, stored, expires)
            found.append(HeldEntry(name, stored, expires, size if pointer is None else pointer.size, pointer))
        return found

    async def drop(self, entries: Sequence[HeldEntry]) -> list[HeldEntry]:
        """Remove entries; return those that were removed. One that was put again meanwhile stays.

        Raises:
            StoreError: If the server does not answer.
        """

        async def write(connection: Connection) -> list[HeldEntry]:
            dropped = []
            for entry in entries:
                row = {"digest": as_bytes(entry.digest), "stored_at": entry.stored_at}
                if (await connection.execute(self._sql(_DROP), row)).rowcount:
                    dropped.append(entry)
            return dropped

        await self._tables.make()
        return await self._server.do(write)

    async def close(self) -> None:
        """Close the connections that were made in the running event loop."""
        await self._server.close()

    async def _rows(self, text: str, given: dict[str, object]) -> list[tuple[Any, ...]]:
        async def read(connection: Connection) -> list[tuple[Any, ...]]:
            found = await connection.execute(self._sql(text), given, binary=True)
            return await found.fetchall()

        await self._tables.make()
        return await self._server.do(read)

    def _sql(self, text: str) -> bytes:
        return text.format(p=self._prefix).encode()
