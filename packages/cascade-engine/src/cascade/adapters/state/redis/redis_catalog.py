"""The runs in a Redis server, listed by their metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cascade.adapters.redis_server import RedisServer
from cascade.adapters.state.catalog import (
    FactPage,
    FactSummary,
    Finding,
    RunPage,
    RunSummary,
    damaged_summary,
    summary_of,
)
from cascade.adapters.state.checked import part_of
from cascade.adapters.state.damage import FAULTS, checking
from cascade.adapters.state.journal import Kind, TimelinePart
from cascade.adapters.state.redis.redis_health import inspect_server
from cascade.adapters.state.redis.redis_layout import (
    FORMAT,
    PREFIX,
    FactMetadata,
    RunKeys,
    is_sum,
    is_value,
    key_of,
    metadata_field,
    newer_format,
    part_from,
)
from cascade.adapters.state.redis.redis_scripts import DELETE
from cascade.adapters.state.timed_lease import name_of
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.spec.errors import RunActiveError, RunNotFoundError, SpecError

_HEAD = ("status", "task", "round", "began", "updated", "error", "facts", "size", "rules", "waits_for")
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

    @property
    def address(self) -> str:
        """What tells this store from all others that share a value store."""
        return f"{self._server.address} {self._prefix}"

    def runs(self) -> list[RunSummary]:
        """Return all runs, the last updated first.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._client() as client:
            return self._runs(client, client.zrevrange(self._keys("").runs, 0, -1))

    def run_page(self, first: int, count: int) -> RunPage:
        """Return so many runs, the last updated first, from a number on that counts from 0.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._client() as client:
            ids = client.zrevrange(self._keys("").runs, first, first + count - 1)
            return RunPage(self._runs(client, ids), client.zcard(self._keys("").runs))

    def find(self, run_id: str, *, counted: bool = True) -> RunSummary:
        """Return one run; the server knows the number of its facts, `counted` or not.

        Raises:
            RunNotFoundError: If the server has no such run.
            StoreError: If the server can't be read.
        """
        with self._client() as client:
            for run in self._runs(client, [as_bytes(run_id)]):
                return run
        raise RunNotFoundError(run_id, self._server.address)

    def _runs(self, client: Any, ids: list[bytes]) -> list[RunSummary]:
        found: list[RunSummary] = []
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
                for run_id, head, lease, listed in zip(some, *(rows[at::3] for at in range(3)), strict=True)
                if listed is not None  # not deleted since
            ]
        return found

    def fact_page(self, run_id: str, after: str | None, count: int) -> FactPage:
        """Return about so many facts of a run: the first ones, or those that follow on an earlier page.

        The facts of a frame are in one hash, whose names the server sends at once.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunDamagedError: If its data can't be read.
            SpecError: If `after` comes from no page.
            StoreError: If the server can't be read.
        """
        keys, (frame, field) = self._keys(run_id), (0, 0) if after is None else _mark_from(after)
        rows: list[tuple[float, bytes, bytes]] = []
        with self._client() as client, checking(self._server.address, run_id):
            if client.zscore(keys.runs, as_bytes(run_id)) is None:
                raise RunNotFoundError(run_id, self._server.address)
            while len(rows) < count and (found := client.zrange(keys.frames, frame, frame, withscores=True)):
                member, number = found[0]
                fields = sorted(filter(_is_shown, client.hkeys(keys.frame(member))))[field:]
                some = fields[: count - len(rows)]
                metadata = client.hmget(keys.frame(member), map(metadata_field, some)) if some else []
                rows += [(number, *each) for each in zip(some, metadata, strict=True)]
                frame, field = (frame, field + len(some)) if len(some) < len(fields) else (frame + 1, 0)
            facts = [self._fact(*row) for row in rows if row[2] is not None]
        return FactPage(facts, f"{frame}.{field}" if len(rows) == count else None)

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

    def timeline(self, run_id: str, *, sums: bool = False) -> list[TimelinePart]:
        """Return the parts of a run's timeline, by drive and number; with `sums` only those that sum up a drive.

        Raises:
            RunNotFoundError: If the server has no such run.
            RunDamagedError: If they can't be read.
            StoreError: If the server can't be read.
        """
        keys = self._keys(run_id)
        with self._client() as client:
            if client.zscore(keys.runs, as_bytes(run_id)) is None and not client.exists(keys.head):
                raise RunNotFoundError(run_id, self._server.address)
            fields = [each for each in client.hkeys(keys.timeline) if not sums or is_sum(each)]
            values = client.hmget(keys.timeline, fields) if fields else []
        with checking(self._server.address, run_id):
            found = zip(fields, values, strict=True)
            return sorted(part_of(part_from(*each)) for each in found if each[1] is not None)

    def recoverable(self) -> list[RunSummary]:
        """Return the runs that another process may go on with, those that were updated last at the end.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._client() as client:
            found = self._runs(client, client.hkeys(self._keys("").inputs))
        return sorted(
            (run for run in found if run.is_open and not run.driver),
            key=lambda run: (run.updated, run.run_id),
        )

    def inputs(self, run_id: str) -> bytes | None:
        """Return what a run has kept of its inputs, encoded; `None` if it has kept nothing, or is not there.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._client() as client:
            found: bytes | None = client.hget(self._keys("").inputs, as_bytes(run_id))
            return found

    def record(self, run_id: str) -> bytes | None:
        """Return the record of a run, encoded; `None` if it has none, or is not there.

        Raises:
            StoreError: If the server can't be read.
        """
        with self._client() as client:
            found: bytes | None = client.hget(self._keys(run_id).head, "record")
            return found or None

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
                7,
                *(keys.owner, keys.lease, keys.head, keys.frames, keys.runs, keys.timeline, keys.inputs),
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
    status, task, number, began, updated, error, facts, size, rules, waits_for = head
    times, texts = (
        (float(began), float(updated)),
        (as_text(error), int(rules or 1), as_text(waits_for or b"")),
    )
    columns = (run_id, as_text(status), as_text(task), int(number), *times, *texts)
    return summary_of(columns, driver, int(facts), int(size))


def _mark_from(mark: str) -> tuple[int, int]:
    try:
        frame, field = map(int, mark.split("."))
    except ValueError:
        raise SpecError(f"after={mark!r}", "give the mark of an earlier page") from None
    return max(0, frame), max(0, field)


def _is_shown(field: bytes) -> bool:
    return is_value(field) and field[1:2] != bytes((Kind.FRAME,))
