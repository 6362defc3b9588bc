"""The runs in a Redis server, listed by their metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cascade.adapters.redis_server import RedisServer
from cascade.adapters.state.catalog import FactSummary, Finding, RunSummary, damaged_summary, summary_of
from cascade.adapters.state.checked import part_of
from cascade.adapters.state.damage import FAULTS, checking
from cascade.adapters.state.journal import Kind, TimelinePart
from cascade.adapters.state.redis.redis_health import inspect_server
from cascade.adapters.state.redis.redis_layout import (
    FORMAT,
    PREFIX,
    FactMetadata,
    RunKeys,
    as_bytes,
    as_text,
    is_value,
    key_of,
    metadata_field,
    newer_format,
    part_from,
)
from cascade.adapters.state.redis.redis_scripts import DELETE
from cascade.adapters.state.timed_lease import name_of
from cascade.spec.errors import RunActiveError, RunNotFoundError

_HEAD = ("status", "task", "round", "began", "updated", "error", "facts", "size", "rules")
_RUNS_AT_ONCE = 500
_READABLE = tuple(b"%d" % version for version in range(1, FORMAT + 1))


class RedisCatalog:
    """The runs in a Redis server, under keys that begin with `prefix`; for code outside an event loop.

    The server sends no values.

    Raises:
        MissingExtraError: If the extra `cascade-engine[redis]` is not installed.
        SpecError: If `url` is none of Redis.
    """

    def __init__(self, url: str, *, prefix: str = PREFIX) -> None:
        self._server = RedisServer(url)
        self._prefix = prefix

    def runs(self) -> list[RunSummary]:
        """Return all runs, the last updated first.

        Raises:
            StoreError: If the server can't be read.
        """
        found: list[RunSummary] = []
        with self._client() as client:
            ids = client.zrevrange(self._keys("").runs, 0, -1)
            for begin in range(0, len(ids), _RUNS_AT_ONCE):
                some = [as_text(each) for each in ids[begin : begin + _RUNS_AT_ONCE]]
                with client.pipeline(transaction=False) as pipe:
                    for run_id in some:
                        pipe.hmget(self._keys(run_id).head, _HEAD)
                        pipe.get(self._keys(run_id).lease)
                        pipe.zscore(self._keys("").runs, as_bytes(run_id))
                    rows = pipe.execute(raise_on_error=False)
                found += [
                    self._summary(run_id, head, lease)
                    for run_id, head, lease, listed in zip(
                        some, *(rows[at::3] for at in range(3)), strict=True
                    )
                    if listed is not None  # not deleted since
                ]
        return found

    def facts(self, run_id: str) -> list[FactSummary]:
        """Return what is recorded of a run, in the order of rounds, then of time.

        Raises:
            RunNotFoundError: If the server has no such run.
            StoreError: If the server can't be read.
        """
        keys = self._keys(run_id)
        with self._client() as client:
            head = client.hmget(keys.head, _HEAD)
            if all(each is None for each in head) and client.zscore(keys.runs, as_bytes(run_id)) is None:
                raise RunNotFoundError(run_id, self._server.address)
            frames = client.zrange(keys.frames, 0, -1, withscores=True)
            with client.pipeline(transaction=False) as pipe:
                for member, _ in frames:
                    pipe.hkeys(keys.frame(member))
                fields = [[each for each in row if _is_shown(each)] for row in pipe.execute()]
                for (member, _), row in zip(frames, fields, strict=True):
                    if row:
                        pipe.hmget(keys.frame(member), [metadata_field(each) for each in row])
                found_metadata = iter(pipe.execute())
        with checking(self._server.address, run_id):
            _summary_of(run_id, head, "")
            found = [
                self._fact(number, field, data)
                for (_, number), row in zip(frames, fields, strict=True)
                if row
                for field, data in zip(row, next(found_metadata), strict=True)
                if data is not None  # deleted since
            ]
        return sorted(found, key=lambda fact: (fact.round, fact.at))

    def timeline(self, run_id: str) -> list[TimelinePart]:
        """Return the parts of a run's timeline, by drive and number.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunDamagedError: If they can't be read.
            StoreError: If the server can't be read.
        """
        keys = self._keys(run_id)
        with self._client() as client:
            if client.zscore(keys.runs, as_bytes(run_id)) is None and not client.exists(keys.head):
                raise RunNotFoundError(run_id, self._server.address)
            found = client.hgetall(keys.timeline)
        with checking(self._server.address, run_id):
            return sorted(part_of(part_from(field, data)) for field, data in found.items())

    def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunActiveError: If somebody drives it.
            StoreError: If the server can't be written.
        """
        keys = self._keys(run_id)
        with self._client() as client:
            answer = client.eval(
                DELETE.text,
                6,
                *(keys.owner, keys.lease, keys.head, keys.frames, keys.runs, keys.timeline),
                *(as_bytes(run_id), *keys.around_frame),
            )
        if isinstance(answer, bytes):
            raise RunActiveError(run_id, self._server.address, name_of(answer))
        if not answer:
            raise RunNotFoundError(run_id, self._server.address)

    def inspect(self) -> list[Finding]:
        """Return the server's version, and what its persistence keeps.

        Raises:
            StoreError: If the server can't be read.
        """
        return inspect_server(self._server)

    def close(self) -> None:
        """Do nothing: each method has a connection of its own."""

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Lend a client, once the version of the store was checked.

        Raises:
            StoreFormatError: If a newer version has written it.
            StoreError: If the server can't be read.
        """
        with self._server.blocking_client() as client:
            found = client.get(self._keys("").format)
            if found is not None and found not in _READABLE:
                raise newer_format(self._server.address, found)
            yield client

    def _keys(self, run_id: str) -> RunKeys:
        return RunKeys(self._prefix, run_id)

    def _summary(self, run_id: str, head: object, lease: object) -> RunSummary:
        driver = name_of(lease) if isinstance(lease, bytes) else ""
        try:
            return _summary_of(run_id, head, driver)
        except FAULTS:
            return damaged_summary(run_id, driver)

    def _fact(self, number: float, field: bytes, data: bytes) -> FactSummary:
        metadata = FactMetadata.decode(data)
        return FactSummary(
            int(number),
            as_text(metadata.task),
            as_text(metadata.place),
            key_of(field)[1],
            metadata.at,
            metadata.size,
        )


def _summary_of(run_id: str, head: Any, driver: str) -> RunSummary:
    """Return the summary of a run's head.

    Raises:
        FAULTS: If it is damaged, or an error of the server stands in its place.
    """
    status, task, number, began, updated, error, facts, size, rules = head
    times = (float(began), float(updated))
    columns = (run_id, as_text(status), as_text(task), int(number), *times, as_text(error), int(rules or 1))
    return summary_of(columns, driver, int(facts), int(size))


def _is_shown(field: bytes) -> bool:
    return is_value(field) and field[1:2] != bytes((Kind.FRAME,))
