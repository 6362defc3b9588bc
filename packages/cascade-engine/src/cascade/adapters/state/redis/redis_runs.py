"""The runs in Redis: their leases and their keys, by scripts that change all of a run in one step."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from cascade.adapters.redis_server import RedisServer
from cascade.adapters.server_errors import ANSWER_SECONDS
from cascade.adapters.server_lanes import Lane
from cascade.adapters.state.checked import fact_of, head_of
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import KEPT_DRIVES, Changes, Durability, Fact, Head, Kind, Loaded
from cascade.adapters.state.redis.redis_layout import (
    ABOVE,
    FORMAT,
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
from cascade.adapters.state.servers.run_table import ServerRun, Write, Written
from cascade.adapters.state.timed_lease import Refusal
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.spec.errors import StoreError

Stored: TypeAlias = tuple[NodeDigest, Kind, bytes]

_DISK_SECONDS = ANSWER_SECONDS * 0.75
"""How long a server may take to bring a write to its disk."""

_ADVICE = ", and see to it that maxmemory-policy is noeviction"

_FRAMES_AT_ONCE = 500
"""Frames that are asked for in one go when a run is loaded."""


class _Call(NamedTuple):
    """A script, and what it is called with."""

    script: Script
    given: tuple[object, ...]

    @classmethod
    def of(cls, script: Script, keys: Sequence[bytes], arguments: Iterable[object]) -> _Call:
        return cls(script, (len(keys), *keys, *arguments))

    def by_digest(self) -> tuple[object, ...]:
        return "EVALSHA", self.script.digest, *self.given

    def by_text(self) -> tuple[object, ...]:
        return "EVAL", self.script.text, *self.given


class RedisRuns:
    """A `RunTable` under keys that begin with `prefix`."""

    def __init__(self, server: RedisServer, prefix: str, durability: Durability, seconds: float) -> None:
        self.store = server.address
        self.seconds = seconds
        self._server = server
        self._prefix = prefix
        self._is_safe = durability is Durability.SYNC
        self._milliseconds = max(1, round(seconds * 1000))

    async def prepare(self) -> None:
        """Do nothing: keys come to be when they are written."""

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._server.close()

    def _keys(self, run: ServerRun) -> RunKeys:
        return RunKeys(self._prefix, run.run_id)

    # Leases

    async def take(self, run: ServerRun) -> Refusal | None:
        """Take the lease, or tell who holds it.

        Raises:
            StoreFormatError: If a newer version has written the store.
            StoreError: If the server does not answer.
        """
        keys = self._keys(run)
        given = [FORMAT, run.holder, self._milliseconds]
        answer = await self._call(_Call.of(TAKE, [keys.format, keys.lease, keys.owner], given), Lane.ANY)
        if answer[0] == b"format":
            raise newer_format(self.store, answer[1])
        if answer[0] != b"taken":
            return Refusal(answer[1], answer[2] / 1000)
        run.asks_disk = self._is_safe and await self._can_ask_disk()
        return None

    async def renew(self, run: ServerRun) -> bytes | None:
        """Renew the lease if the holder is the owner still; if not, return the owner."""
        answer = await self._call(self._renewal(run), Lane.LEASES)
        return None if answer == 1 else bytes(answer)

    async def renew_all(self, runs: Sequence[ServerRun]) -> set[ServerRun]:
        """Renew leases in one go."""
        answers = await self._calls([self._renewal(run) for run in runs], Lane.LEASES)
        return {run for run, answer in zip(runs, answers, strict=True) if answer == 1}

    async def release_all(self, runs: Sequence[ServerRun]) -> None:
        """End leases in one go."""
        await self._calls([self._release(run) for run in runs], Lane.LEASES)

    def _renewal(self, run: ServerRun) -> _Call:
        keys = self._keys(run)
        return _Call.of(RENEW, [keys.owner, keys.lease], [run.holder, self._milliseconds])

    def _release(self, run: ServerRun) -> _Call:
        keys = self._keys(run)
        return _Call.of(RELEASE, [keys.owner, keys.lease, keys.head], [run.holder])

    # Reading

    async def read(self, run: ServerRun) -> Loaded | None:
        """Return what is stored of a run.

        Raises:
            RunDamagedError: If it is not what was written, or keys are gone.
            StoreError: If the server does not answer.
        """
        loaded = await self._loaded(run)
        run.is_there = loaded is not None
        return loaded

    async def _loaded(self, run: ServerRun) -> Loaded | None:
        keys = self._keys(run)
        async with self._server.client() as client, client.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.head)
            pipe.zscore(keys.runs, as_bytes(run.run_id))
            pipe.zrange(keys.frames, 0, -1, withscores=True)
            found = await pipe.execute(raise_on_error=False)
        with checking(self.store, run.run_id, _ADVICE):
            head, listed, frames = _of_their_kinds(found)
            if not head and listed is None:
                return None
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
            return Loaded(loaded, [fact async for fact in self._facts(keys, members)])

    async def _facts(self, keys: RunKeys, members: list[bytes]) -> AsyncIterator[Stored]:
        for begin in range(0, len(members), _FRAMES_AT_ONCE):
            some = members[begin : begin + _FRAMES_AT_ONCE]
            async with self._server.client() as client, client.pipeline(transaction=False) as pipe:
                for member in some:
                    pipe.hgetall(keys.frame(member))
                hashes = _of_their_kinds(await pipe.execute(raise_on_error=False))
            for member, found in zip(some, hashes, strict=True):
                frame = frame_from(member, found[ABOVE])
                for field, value in found.items():
                    if is_value(field):
                        node, kind = key_of(field)
                        yield fact_of((*frame, node, int(kind), value))

    # Writing

    async def write(self, write: Write, lane: Lane) -> bytes | None:
        """Write a batch by one script; if its run has another owner, return that one."""
        answer = await self._call(self._writing(write, time.time()), lane, write.run.asks_disk)
        return None if answer == 1 else bytes(answer)

    def write_soon(self, write: Write) -> None:
        """Return `None`: a client of Redis begins nothing without a task."""

    async def write_all(self, writes: Sequence[Write]) -> list[Written]:
        """Write batches in one go, each by one script; wait once until all are on the server's disk."""
        now = time.time()
        calls = [self._writing(write, now) for write in writes]
        answers = await self._calls(calls, Lane.WRITES, any(write.run.asks_disk for write in writes))
        return [
            self._server.as_store_error(answer)
            if isinstance(answer, Exception)
            else None
            if answer == 1
            else bytes(answer)
            for answer in answers
        ]

    def _writing(self, write: Write, now: float) -> _Call:
        keys = self._keys(write.run)
        names = [keys.owner, keys.lease, keys.head, keys.frames, keys.runs, keys.timeline, keys.inputs]
        given = [write.run.holder, self._milliseconds, *_arguments(keys, write.changes, now)]
        return _Call.of(WRITE, names, given)

    # Scripts

    async def _call(self, call: _Call, lane: Lane, on_disk: bool = False) -> Any:
        (answer,) = await self._calls([call], lane, on_disk)
        if isinstance(answer, Exception):
            raise self._server.as_store_error(answer)
        return answer

    async def _calls(self, calls: Sequence[_Call], lane: Lane, on_disk: bool = False) -> list[Any]:
        """Run scripts, and return what each has answered, or its error.

        With `on_disk`, wait until what they have written is on the server's disk.

        Raises:
            StoreError: If the server does not answer, or its disk does not.
        """
        async with self._server.client(lane) as client:
            answers = await self._sent(client, [call.by_digest() for call in calls], on_disk)
            unknown = [
                place
                for place, answer in enumerate(answers)
                if isinstance(answer, self._server.unknown_script)
            ]
            if unknown:
                again = await self._sent(client, [calls[place].by_text() for place in unknown], on_disk)
                for place, answer in zip(unknown, again, strict=True):
                    answers[place] = answer
            return answers

    async def _sent(self, client: Any, commands: list[tuple[object, ...]], on_disk: bool) -> list[Any]:
        if len(commands) == 1 and not on_disk:  # a pipeline takes a fifth of the time of a lone write
            try:
                return [await client.execute_command(*commands[0])]
            except self._server.refused as problem:
                return [problem]
        async with client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            if on_disk:
                pipe.execute_command("WAITAOF", 1, 0, round(_DISK_SECONDS * 1000))
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        if on_disk:
            told = answers.pop()
            if isinstance(told, Exception):
                raise told
            if told[0] < 1:
                raise StoreError(
                    self.store,
                    f"a write did not reach the disk within {_DISK_SECONDS:g} s; "
                    "see the server's appendfsync, or give durability='async'",
                )
        return answers

    async def _can_ask_disk(self) -> bool:
        """Tell whether the server has an append-only file and says when a write has reached it."""
        async with self._server.client() as client:
            try:
                await client.execute_command("WAITAOF", 1, 0, 1)
            except self._server.refused:
                return False
        return True


def _arguments(keys: RunKeys, changes: Changes, now: float) -> Iterator[object]:
    """Return the arguments of `WRITE` that follow the lease."""
    yield from (as_bytes(keys.run_id), repr(now), *keys.around_frame)
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


def _fields(head: Head) -> Iterator[tuple[str, object]]:
    for name in Head.__slots__:
        value = getattr(head, name)
        if value is not None:
            yield name, as_bytes(value) if isinstance(value, str) else value


def _rows(facts: list[Fact], now: float) -> Iterator[object]:
    for fact in facts:
        field = value_field(fact.place, fact.kind)
        yield from (field, metadata_field(field), fact.value, FactMetadata.of(fact, now).encode())


def _of_their_kinds(answers: list[Any]) -> list[Any]:
    """Return the answers of a pipeline.

    Raises:
        ValueError: If a key has a value of another kind.
        Exception: Whatever else the server has refused.
    """
    for each in answers:
        if isinstance(each, Exception):
            if "WRONGTYPE" in str(each):
                raise ValueError(str(each)) from each
            raise each
    return answers
