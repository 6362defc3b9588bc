"""How the stores reach a Redis server. The client library is imported when the first `RedisServer` is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from cascade.adapters.addresses import address_of, check_redis
from cascade.adapters.server_errors import ANSWER_SECONDS, server_errors
from cascade.adapters.server_lanes import Lane, Lanes
from cascade.spec.errors import MissingExtraError, StoreError

_BACKSTOP = 60.0
"""Seconds after which an asynchronous client gives up by itself: patience with the server ends before."""

_CONNECTIONS = 8
"""Connections of one event loop, beside one for each lane."""


class RedisServer:
    """A server by its URL, with a client for each event loop that is shared by all who use this object.

    `address` may be shown: it has no user or password. Nothing is sent before the first command.

    Raises:
        MissingExtraError: If the client is not installed.
        SpecError: If `url` is none of Redis.
    """

    def __init__(self, url: str) -> None:
        check_redis(url)
        self.address = address_of(url)
        self._url = url
        try:
            import redis.asyncio.retry  # noqa: PLC0415 - an extra, which may be missing
            import redis.backoff  # noqa: PLC0415 - as above
            import redis.retry  # noqa: PLC0415 - as above
        except ModuleNotFoundError as problem:
            if (problem.name or "").partition(".")[0] != "redis":
                raise
            raise MissingExtraError("Redis", "redis") from None
        self._redis: ModuleType = redis
        self._timeouts: tuple[type[Exception], ...] = (redis.exceptions.TimeoutError, TimeoutError)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, Lanes]] = WeakKeyDictionary()

    @property
    def refused(self) -> type[Exception]:
        """What a client raises when the server refuses a command."""
        refused: type[Exception] = self._redis.exceptions.ResponseError
        return refused

    @property
    def unknown_script(self) -> type[Exception]:
        """What a client raises when the server does not know a script by its digest."""
        unknown: type[Exception] = self._redis.exceptions.NoScriptError
        return unknown

    def as_store_error(self, problem: Exception) -> StoreError:
        """Return the error for an answer that is one."""
        try:
            with self._store_errors():
                raise problem
        except StoreError as error:
            return error

    @asynccontextmanager
    async def client(self, lane: Lane = Lane.ANY) -> AsyncIterator[Any]:
        """Lend the client of the running loop, for one command or pipeline, and no longer than `ANSWER_SECONDS`.

        The time begins when there is a place in the lane.

        Raises:
            StoreError: If the server can't be reached, does not answer in time, or refuses what it is asked.
        """
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            lanes = Lanes(_CONNECTIONS, self._timeouts)
            found = self._clients[loop] = self._connect(self._redis.asyncio, _BACKSTOP), lanes
        client, lanes = found
        with self._store_errors():
            async with lanes.place(lane) as patience:
                with patience.limit():
                    yield client

    @contextmanager
    def blocking_client(self) -> Iterator[Any]:
        """Lend a client for code that runs in no event loop; it is closed afterwards.

        Raises:
            StoreError: If the server can't be reached, does not answer in time, or refuses what it is asked.
        """
        with self._store_errors(), self._connect(self._redis) as client:
            yield client

    def _store_errors(self) -> AbstractContextManager[None]:
        kinds = self._redis
        failures = (kinds.RedisError, OSError, UnicodeError)  # a host may be no name
        return server_errors(self.address, self._timeouts, failures)

    def _connect(self, package: ModuleType, seconds: float = ANSWER_SECONDS) -> Any:
        """Return a client of `redis` or `redis.asyncio` that waits so long for the server.

        Their retries are classes of their own, with one signature.
        """
        # Once more where a connection of the pool turns out to be dead; a server that is slow is not asked again.
        retry = package.client.Retry(
            self._redis.backoff.NoBackoff(), 1, supported_errors=(self._redis.ConnectionError,)
        )
        return package.Redis.from_url(
            self._url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=retry,
            decode_responses=False,
        )

    async def close(self) -> None:
        """Close the connections of the running loop; those of others end with their loops."""
        client, _ = self._clients.pop(asyncio.get_running_loop(), (None, None))
        if client is not None:
            with self._store_errors():
                await client.aclose()
