"""The cache in Redis, shared by many hosts. Needs the extra `cascade-engine[redis]`.

A value is a hash with its bytes and its times. Of each task, a sorted set holds what was put last.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from cascade.adapters.cache.pruning import HeldEntry
from cascade.adapters.cache.stored import (
    SHORT,
    SHOWN_AFTER,
    Encoded,
    StoredCache,
    entry_of,
    parts_as_text,
    pointer_of,
)
from cascade.adapters.redis_server import RedisServer
from cascade.adapters.text_bytes import as_bytes
from cascade.adapters.values.kept_values import KeptValues
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit

_METADATA = ("parts", "stored_at", "expires_at", "rules")
"""The metadata of a value. Those that Cascade 0.1 has put have no `rules`."""

_KEPT_OF_TASK = 1000
"""Values of one task that are listed; older ones can be got all the same."""


class RedisCacheBackend(StoredCache):
    """Keeps values in a Redis server, under keys that begin with `prefix`. Redis makes room by its `maxmemory-policy`.

    `clock` returns seconds; all who share the server need the same one. A connection is made at first use.

    Raises:
        MissingExtraError: If the extra is not installed.
    """

    def __init__(
        self,
        url: str,
        codec: Codec | None = None,
        *,
        values: KeptValues | None = None,
        clock: Callable[[], float] = time.time,
        prefix: str = "cascade:cache:",
    ) -> None:
        super().__init__(codec, clock, values)
        self._server = RedisServer(url)
        self._prefix = prefix

    async def get(self, key: CacheKey) -> Hit | None:
        """Return a value that has not expired and is not damaged.

        Raises:
            StoreError: If the server does not answer.
        """
        async with self._server.client() as client:
            data, *times = await client.hmget(self._value_at(key.digest), "value", "stored_at", "expires_at")
        if data is None or None in times:
            return None
        try:
            stored, expires = (float(each) if each else None for each in times)
        except ValueError:
            return None
        return await self._hit(key.digest, data, stored, expires)

    async def _folder(self, new: str) -> str:
        at = as_bytes(f"{self._prefix}values")
        async with self._server.client() as client:
            await client.set(at, as_bytes(new), nx=True)
            found: bytes | None = await client.get(at)
        return new if found is None else found.decode()

    async def _store(self, encoded: Encoded, data: bytes) -> None:
        key, ttl, expires = encoded.key, encoded.ttl, encoded.expires_at
        place, listed = self._value_at(key.digest), self._list_at(key.task)
        fields = {
            "value": data,
            "expires_at": "" if expires is None else repr(expires),
            "stored_at": repr(encoded.stored_at),
            "parts": parts_as_text(key),
            "rules": str(DIGEST_RULES),
        }
        async with self._server.client() as client, client.pipeline(transaction=True) as pipe:
            pipe.hset(place, mapping=fields)
            if ttl is None:
                pipe.persist(place)
            else:
                pipe.pexpire(place, int((ttl + SHOWN_AFTER) * 1000))
            pipe.zadd(listed, {as_bytes(key.digest): encoded.stored_at})
            pipe.zremrangebyrank(listed, 0, -_KEPT_OF_TASK - 1)
            await pipe.execute()

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return the entries of a task, the last put first.

        Raises:
            StoreError: If the server does not answer.
        """
        if limit < 1:
            return []
        async with self._server.client() as client:
            digests = await client.zrevrange(self._list_at(task), 0, limit - 1)
            async with client.pipeline(transaction=False) as pipe:
                for each in digests:
                    pipe.hmget(as_bytes(self._prefix) + b"value:" + each, _METADATA)
                rows = await pipe.execute()
        return [
            found
            for digest, (*row, rules) in zip(digests, rows, strict=True)
            if None not in row and (found := _entry(digest, task, *row, rules or b"1")) is not None
        ]

    async def held(self) -> list[HeldEntry]:
        """Return all entries.

        Raises:
            StoreError: If the server does not answer.
        """
        before = as_bytes(f"{self._prefix}value:")
        found = []
        async with self._server.client() as client:
            async for place in client.scan_iter(match=_escaped(before) + b"*", count=1000):
                size = await client.hstrlen(place, "value")
                fields = ("stored_at", "expires_at", *(("value",) if size < SHORT else ()))
                stored, expires, *data = await client.hmget(place, *fields)
                entry = _held(place.removeprefix(before), size, stored, expires, data[0] if data else None)
                if entry is not None:
                    found.append(entry)
        return found

    async def drop(self, entries: Sequence[HeldEntry]) -> list[HeldEntry]:
        """Remove entries; return those that were removed. One that was put again meanwhile stays.

        Raises:
            StoreError: If the server does not answer.
        """
        async with self._server.client() as client:
            return [
                entry
                for entry in entries
                if await client.eval(_DROP, 1, self._value_at(entry.digest), repr(entry.stored_at))
            ]

    async def close(self) -> None:
        """Close the connections that were made in the running event loop."""
        await self._server.close()

    def _value_at(self, digest: str) -> bytes:
        return as_bytes(f"{self._prefix}value:{digest}")

    def _list_at(self, task: str) -> bytes:
        return as_bytes(f"{self._prefix}task:{task}")


_DROP = "return redis.call('HGET', KEYS[1], 'stored_at') == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


def _escaped(text: bytes) -> bytes:
    """Return a pattern of Redis that means this text."""
    return re.sub(rb"([\\\[\]*?^-])", rb"\\\1", text)


def _held(digest: bytes, size: int, stored: bytes, expires: bytes, data: bytes | None) -> HeldEntry | None:
    """Return the entry of a stored value; `None` if it is damaged."""
    try:
        name = digest.decode("utf-8", "surrogatepass")
        times = float(stored), float(expires) if expires else None
    except (UnicodeDecodeError, TypeError, ValueError):
        return None
    pointer = pointer_of(name, data, *times)
    return HeldEntry(name, *times, size if pointer is None else pointer.size, pointer)


def _entry(digest: bytes, task: str, *metadata: bytes) -> CacheEntry | None:
    try:
        read: list[str] = [each.decode("utf-8", "surrogatepass") for each in (digest, *metadata)]
    except UnicodeDecodeError:
        return None
    return entry_of(read[0], task, read[1], read[2], read[3] or None, read[4])
