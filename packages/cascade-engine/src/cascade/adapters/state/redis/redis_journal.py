"""State in Redis, shared by many hosts. Needs the extra `cascade-engine[redis]`.

A run is driven by the process that has its lease, which times out unless it is renewed. Each write checks in the same
step that nobody else has opened the run since. So a process that has lost the run can't write any more, however late it
notices that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import Any

from cascade.adapters.redis_server import ANSWER_SECONDS, RedisServer
from cascade.adapters.spawning import spawn
from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import FrameDigest
from cascade.adapters.state.journal import KEPT_DRIVES, Changes, Durability, Fact, Head, Kind, Loaded
from cascade.adapters.state.lease import this_process
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.state.redis.redis_layout import (
    ABOVE,
    FORMAT,
    PREFIX,
    FactMetadata,
    RunKeys,
    as_bytes,
    as_text,
    frame_from,
    is_value,
    key_of,
    member_of,
    metadata_field,
    name_of,
    newer_format,
    part_field,
    part_value,
    value_field,
)
from cascade.adapters.state.redis.redis_scripts import RELEASE, RENEW, TAKE, WRITE, Script
from cascade.spec.errors import PolicyError, RunActiveError, RunLostError, StoreError
from cascade.spec.protocols import Codec

LEASE_SECONDS = 10.0
"""How long a run stays taken whose driver does not renew its lease any more."""

_RENEWALS = 3
"""How often a lease is renewed in its time."""

_LOOKS = 20
"""How often a newcomer looks in the time of a lease whether it is free."""

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
        if not lease_seconds > 0:
            raise PolicyError(f"lease_seconds={lease_seconds!r}", "give the seconds of a lease, such as 10.0")
        self._server = RedisServer(url)
        self.store = self._server.address
        self._run_id = run_id
        self._keys = RunKeys(prefix, run_id)
        self._durability = durability
        self._lease_seconds = lease_seconds
        self._milliseconds = max(1, round(lease_seconds * 1000))
        self._holder = as_bytes(f"{token_hex(16)} {this_process()}")
        self._renewing: asyncio.Task[None] | None = None
        self._asks_disk = False
        self._is_open = False
        self._is_silent = False
        self._held_until = 0.0

    async def open(self, anew: bool = False) -> Loaded | None:
        """Take the run's lease, and read what is stored of the run. If somebody holds the lease, wait until it ends.

        With `anew` nothing is read.

        Raises:
            RunActiveError: If another process, or another run of this one, renews the lease.
            StoreError: If the server can't be read, or has lost facts of the run.
            StoreFormatError: If a newer version has written the store.
        """
        self._is_open = True
        self._confirming = asyncio.Lock()
        await self._take()
        self._renewing = spawn(self._renew())
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
        keys, began = self._keys, _clock()
        answer = await self._call(
            WRITE,
            [keys.owner, keys.lease, keys.head, keys.frames, keys.runs, keys.timeline],
            [self._holder, self._milliseconds, *self._written(changes, time.time())],
            self._asks_disk,
        )
        if answer != 1:
            raise self._lost_to(answer)
        self._note_lease(began)

    def is_held(self) -> bool:
        """Tell whether the lease has not ended yet, by the clock of this process."""
        return _clock() < self._held_until

    async def confirm(self) -> None:
        """Renew a lease that may have ended, as it has for a process that was suspended.

        Raises:
            RunLostError: If somebody else has taken the run meanwhile.
            StoreError: If the server can't be asked.
        """
        async with self._confirming:  # many calls may want to know it at once
            if not self.is_held():
                answer = await self._renewed()
                if answer != 1:
                    raise self._lost_to(answer)

    def _note_lease(self, began: float) -> None:
        """Note that the server has granted the lease, at that time or later."""
        self._held_until = max(self._held_until, began + self._lease_seconds)

    async def _renewed(self) -> Any:
        began = _clock()
        answer = await self._call(
            RENEW, [self._keys.owner, self._keys.lease], [self._holder, self._milliseconds]
        )
        if answer == 1:
            self._note_lease(began)
        return answer

    async def close(self) -> None:
        """Release the lease and close the connections."""
        was_open, self._is_open = self._is_open, False
        try:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.wait([self._renewing])
                self._renewing = None
            if was_open and not self._is_silent:
                with suppress(StoreError):  # all is written; without an answer the lease ends by itself
                    keys = self._keys
                    await self._call(RELEASE, [keys.owner, keys.lease, keys.head], [self._holder])
        finally:
            await self._server.close()

    # The lease

    async def _take(self) -> None:
        keys = self._keys
        clock = asyncio.get_running_loop().time
        ends: float | None = None
        while True:
            began = _clock()
            answer = await self._call(
                TAKE, [keys.format, keys.lease, keys.owner], [FORMAT, self._holder, self._milliseconds]
            )
            if answer[0] == b"taken":
                self._note_lease(began)
                return
            if answer[0] == b"format":
                raise newer_format(self._server.address, answer[1])
            left = max(0, answer[2]) / 1000
            if ends is None:
                ends = clock() + left + self._lease_seconds / _LOOKS
            if clock() >= ends:
                raise RunActiveError(self._run_id, self._server.address, name_of(answer[1]))
            await asyncio.sleep(min(left, self._lease_seconds / _LOOKS) + 0.001)

    async def _renew(self) -> None:
        """Renew the lease for as long as it is this journal's; if that fails, the next write raises an error."""
        # Not only until it is cancelled: in Python 3.11 a cancellation may get lost inside `asyncio.wait_for`.
        while self._is_open:
            await asyncio.sleep(self._lease_seconds / _RENEWALS)
            with suppress(StoreError):
                if await self._renewed() != 1:
                    return

    def _lost_to(self, owner: bytes) -> StoreError:
        address, run_id = self._server.address, self._run_id
        if owner:
            driver = name_of(owner)
            return RunLostError(
                address, f"the run '{run_id}' has been taken over by {driver}", run_id, driver
            )
        return StoreError(
            address, f"it does not know any more who drives the run '{run_id}': its data was deleted or lost"
        )

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


def _clock() -> float:
    """Return seconds of a clock that goes on while the host is suspended."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def _fields(head: Head) -> Iterator[tuple[str, object]]:
    for name in Head.__slots__:
        value = getattr(head, name)
        if value is not None:
            yield name, as_bytes(value) if isinstance(value, str) else value


def _rows(facts: list[Fact], now: float) -> Iterator[object]:
    for fact in facts:
        field = value_field(fact.place, fact.kind)
        yield from (field, metadata_field(field), fact.value, FactMetadata.of(fact, now).encode())
