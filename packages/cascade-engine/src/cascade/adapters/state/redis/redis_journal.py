"""State in Redis, shared by many hosts. Needs the extra `cascade-engine[redis]`.

A run is driven by the process that has its lease, which times out unless it is renewed. Each write checks in the same
step that nobody else has opened the run since. So a process that has lost the run can't write any more, however late it
notices that.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from cascade.adapters.redis_server import RedisServer
from cascade.adapters.server_errors import ANSWER_SECONDS
from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import FrameDigest
from cascade.adapters.state.journal import KEPT_DRIVES, Changes, Durability, Fact, Head, Kind, Loaded
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.redis.redis_layout import (
    ABOVE,
    FORMAT,
    PREFIX,
    FactMetadata,
    RunKeys,
    frame_from,
    is_value,
    key_of,
    member_of,
    metadata_field,
    newer_format,
    part_field,
    part_value,
    value_field,
)
from cascade.adapters.state.redis.redis_scripts import RELEASE, RENEW, TAKE, WRITE, Script
from cascade.adapters.state.timed_lease import LEASE_SECONDS, Refusal, TimedLease, now
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.spec.errors import StoreError
from cascade.spec.protocols import Codec

_DISK_SECONDS = ANSWER_SECONDS * 0.75
"""How long a server may take to bring a write to its disk."""

_ADVICE = ", and see to it that maxmemory-policy is noeviction"

_FRAMES_AT_ONCE = 500
"""Frames that are asked for in one go when a run is loaded."""


class RedisStateBackend(RecordedState):
    """The facts of one run in a Redis server, under keys that begin with `prefix`.

    `durability="sync"` waits until a write is on the server's disk, if the server can be asked for that (Redis 7.2 with
    `appendonly yes`). An older server has to be configured for it. The facts of the last `keep_rounds` rounds of the
    run's own loop stay in the store. A run whose process is gone can be taken over after `lease_seconds`.

    Raises:
        MissingExtraError: If the extra is not installed.
        SpecError: If `url` is none of Redis.
        PolicyError: If there is no such durability, or a lease is to last no time.
    """

    def __init__(  # noqa: PLR0913 - public settings
        self,
        url: str,
        *,
        run_id: str,
        durability: str = Durability.SYNC,
        keep_rounds: int = 1,
        codec: Codec | None = None,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        journal = RedisJournal(
            url, run_id, Durability.of(durability), lease_seconds=lease_seconds, prefix=prefix
        )
        super().__init__(journal, run_id, codec=codec, keep_rounds=keep_rounds)


class RedisJournal:
    """One run's keys in a Redis server. While it is open an asyncio task renews the lease."""

    def __init__(
        self,
        url: str,
        run_id: str,
        durability: Durability,
        *,
        lease_seconds: float = LEASE_SECONDS,
        prefix: str = PREFIX,
    ) -> None:
        self._server = RedisServer(url)
        self.store = self._server.address
        self._lease = TimedLease(self, run_id, self.store, lease_seconds)
        self._run_id = run_id
        self._keys = RunKeys(prefix, run_id)
        self._durability = durability
        self._milliseconds = max(1, round(lease_seconds * 1000))
        self._asks_disk = False
        self._is_open = False
        self._is_silent = False
        self.is_held = self._lease.is_held
        self.confirm = self._lease.confirm

    async def open(self, anew: bool = False) -> Loaded | None:
        """Take the run's lease, and read what is stored of the run. If somebody holds the lease, wait until it ends.

        With `anew` nothing is read.

        Raises:
            RunActiveError: If another process, or another run of this one, renews the lease.
            StoreError: If the server can't be read, or has lost facts of the run.
            StoreFormatError: If a newer version has written the store.
        """
        self._is_open = True
        await self._lease.take()
        if self._durability is Durability.SYNC:
            self._asks_disk = await self._can_ask_disk()
        return None if anew else await self._load()

    async def write(self, changes: Changes) -> None:
        """Write a batch by one script.

        Raises:
            StoreError: If that fails, or the run is not this journal's any more; nothing of it is stored then, unless
                the server's answer was lost.
        """
        if not self._is_open:
            raise StoreError(self._server.address, "is not open")
        keys, began = self._keys, now()
        answer = await self._call(
            WRITE,
            [keys.owner, keys.lease, keys.head, keys.frames, keys.runs, keys.timeline],
            [self._lease.holder, self._milliseconds, *self._written(changes, time.time())],
            self._asks_disk,
        )
        if answer != 1:
            raise self._lease.lost_to(answer)
        self._lease.note(began)

    async def close(self) -> None:
        """Release the lease and close the connections."""
        was_open, self._is_open = self._is_open, False
        try:
            await self._lease.stop()
            if was_open and not self._is_silent:
                with suppress(StoreError):  # all is written; without an answer the lease ends by itself
                    keys = self._keys
                    await self._call(RELEASE, [keys.owner, keys.lease, keys.head], [self._lease.holder])
        finally:
            await self._server.close()

    # The table of the lease

    async def take(self, holder: bytes) -> Refusal | None:
        """Take the lease, or tell who holds it.

        Raises:
            StoreFormatError: If a newer version has written the store.
            StoreError: If the server does not answer.
        """
        keys = self._keys
        answer = await self._call(
            TAKE, [keys.format, keys.lease, keys.owner], [FORMAT, holder, self._milliseconds]
        )
        if answer[0] == b"format":
            raise newer_format(self._server.address, answer[1])
        return None if answer[0] == b"taken" else Refusal(answer[1], answer[2] / 1000)

    async def renew(self, holder: bytes) -> bytes | None:
        """Renew the lease if the holder is the owner still; if not, return the owner.

        Raises:
            StoreError: If the server does not answer.
        """
        answer = await self._call(RENEW, [self._keys.owner, self._keys.lease], [holder, self._milliseconds])
        return None if answer == 1 else bytes(answer)

    # Reading

    async def _load(self) -> Loaded | None:
        keys = self._keys
        async with self._client() as client, client.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.head)
            pipe.zscore(keys.runs, as_bytes(self._run_id))
            pipe.zrange(keys.frames, 0, -1, withscores=True)
            head, listed, frames = await pipe.execute()
        if not head and listed is None:
            return None
        with checking(self.store, self._run_id, _ADVICE):
            if not head or int(head.get(b"frames", -1)) != len(frames):
                raise ValueError("some keys are gone")
            columns = (
                head[b"status"].decode(),
                as_text(head[b"task"]),
                head[b"record"],
                int(head[b"round"]),
                head[b"target"],
                as_text(head[b"error"]),
                int(head.get(b"rules", 1)),
            )
            loaded = head_of(columns)
            members = [member for member, number in frames if number == loaded.round]
            return Loaded(loaded, [fact async for fact in self._facts(members)])

    async def _facts(self, members: list[bytes]) -> Any:
        for begin in range(0, len(members), _FRAMES_AT_ONCE):
            some = members[begin : begin + _FRAMES_AT_ONCE]
            async with self._client() as client, client.pipeline(transaction=False) as pipe:
                for member in some:
                    pipe.hgetall(self._keys.frame(member))
                hashes = await pipe.execute()
            for member, found in zip(some, hashes, strict=True):
                frame = frame_from(member, found[ABOVE])
                for field, value in found.items():
                    if is_value(field):
                        node, kind = key_of(field)
                        yield fact_of((*frame, node, int(kind), value))

    # Writing

    def _written(self, changes: Changes, now: float) -> Iterator[object]:
        """Return the arguments of `WRITE` that follow the lease."""
        yield from (as_bytes(self._run_id), repr(now), *self._keys.around_frame)
        yield from (int(changes.anew), "" if changes.rounds is None else changes.rounds, KEPT_DRIVES)
        head = list(_fields(changes.head))
        yield from (len(head), *(each for pair in head for each in pair))
        yield from (len(changes.frames), *map(member_of, changes.frames))
        yield len(changes.nodes)
        for place in changes.nodes:
            yield from (member_of(place.frame), place.node, int(max(Kind)))
        frames: dict[FrameDigest, list[Fact]] = {}
        for fact in changes.facts:
            frames.setdefault(fact.place.frame, []).append(fact)
        yield len(frames)
        for frame, facts in frames.items():
            yield from (frame.round, member_of(frame), frame.above, len(facts))
            yield from _rows(facts, now)
        yield len(changes.timeline)
        for drive, number, data, _ in changes.timeline:
            yield from (part_field(drive, number), part_value(data, now))

    async def _call(
        self, script: Script, keys: Iterable[bytes], arguments: Iterable[object], on_disk: bool = False
    ) -> Any:
        """Run a script; with `on_disk`, wait until what it writes is on the server's disk.

        Raises:
            StoreError: If that fails.
        """
        keys = list(keys)
        given = (len(keys), *keys, *arguments)
        async with self._client() as client:
            try:
                return await self._send(client, ("EVALSHA", script.digest, *given), on_disk)
            except self._server.unknown_script:
                return await self._send(client, ("EVAL", script.text, *given), on_disk)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        """Lend the server's client, and note whether the server answers: if not, `close` does not ask it to release.

        Raises:
            StoreError: If it does not.
        """
        try:
            async with self._server.client() as client:
                yield client
        except StoreError:
            self._is_silent = True
            raise
        self._is_silent = False

    async def _send(self, client: Any, command: tuple[object, ...], on_disk: bool) -> Any:
        if not on_disk:
            return await client.execute_command(*command)
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            pipe.execute_command("WAITAOF", 1, 0, round(_DISK_SECONDS * 1000))
            answer, (local, _) = await pipe.execute()
        if local < 1:
            raise StoreError(
                self._server.address,
                f"a write did not reach the disk within {_DISK_SECONDS:g} s; "
                "see the server's appendfsync, or give durability='async'",
            )
        return answer

    async def _can_ask_disk(self) -> bool:
        """Tell whether the server has an append-only file and says when a write has reached it."""
        async with self._client() as client:
            try:
                await client.execute_command("WAITAOF", 1, 0, 1)
            except self._server.refused:
                return False
        return True


def _fields(head: Head) -> Iterator[tuple[str, object]]:
    for name in Head.__slots__:
        value = getattr(head, name)
        if value is not None:
            yield name, as_bytes(value) if isinstance(value, str) else value


def _rows(facts: list[Fact], now: float) -> Iterator[object]:
    for fact in facts:
        field = value_field(fact.place, fact.kind)
        yield from (field, metadata_field(field), fact.value, FactMetadata.of(fact, now).encode())
