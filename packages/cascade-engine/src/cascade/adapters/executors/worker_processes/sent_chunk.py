"""A chunk of calls as the process sees it that has them made in a worker: encoded one by one, and so decoded."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Sequence
from typing import Any

from cascade.adapters.executors.boundary_errors import UnguardedMainError, WorkerDiedError, WorkerLoadError
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.adapters.executors.worker_processes.locations import reference_here
from cascade.adapters.executors.worker_processes.messages import (
    END,
    END_KINDS,
    ChunkReply,
    Reply,
    ReplyKind,
    report_of,
)
from cascade.adapters.executors.worker_processes.told_failures import failure_of, refusal
from cascade.adapters.travelling.luggage import Luggage
from cascade.spec.task import AnyTask


class SentChunk:
    """The calls that can be sent, by position, and their facts.

    `refused` are the ends of those of which an argument can't be sent.

    Each call is pickled by itself: so it gets objects of its own, and one that can't be unpickled fails alone.
    """

    def __init__(self, task: AnyTask, calls: Sequence[ChunkCall], luggage: Luggage | None) -> None:
        self.task = task
        self.luggage = luggage
        self.refused: list[CallEnd] = []
        self._payloads: list[bytes] = []
        self.facts: list[tuple[Any, ...]] = []
        # Once per item of every map in processes: watched by observatory/rows/pools.py.
        keep, dump = self._payloads.append, pickle.dumps
        for index, (args, kwargs, facts) in enumerate(calls):
            try:
                keep(dump((args, kwargs), pickle.HIGHEST_PROTOCOL))
                self.facts.append(tuple(facts))
            except BaseException as error:  # noqa: BLE001 - a user's object may do anything
                now = time.monotonic()
                problem = refusal(task, _culprit(task, args, kwargs), report_of(error))
                self.refused.append(CallEnd(index, None, problem, now, now, ""))
        self.sizes = [*map(len, self._payloads)]
        refused = {end.position for end in self.refused}
        # By position: which of `calls` it is.
        self._indices = [index for index in range(len(calls)) if index not in refused]
        self._missing = {*range(len(self.sizes))}  # positions without an end

    def take_payload(self) -> bytes:
        """Return the arguments of all calls as bytes, and keep no copy."""
        payload = b"".join(self._payloads)
        self._payloads.clear()
        return payload

    def progress(self, reply: ChunkReply, bodies: bytes, worker: str) -> Progress:
        """Return what an answer tells."""
        # On Linux all processes read the same clock. Elsewhere no promise is made, but nothing is sent before its time.
        shift = 0.0 if sys.platform == "linux" else time.monotonic() - reply.sent
        ends, start, view = [], 0, memoryview(bodies)
        for head in END.iter_unpack(reply.heads):
            end = start + head[4]
            ends.append(self._end(head, view[start:end], shift, worker))
            start = end
        under_way = None if reply.under_way is None else self._indices[reply.under_way]
        self._missing.difference_update(reply.given_back)
        return Progress(ends, under_way, [self._indices[position] for position in reply.given_back])

    def not_loaded(self, reply: Reply) -> Progress:
        """Return that no call was made, since the worker can't load the task."""
        now = time.monotonic()
        return Progress(
            [
                CallEnd(self._indices[position], None, load_failure(self.task, reply), now, now, "")
                for position in sorted(self._missing)
            ]
        )

    def remains(self, begun: int, record: bytes, died: WorkerDiedError | None, worker: str) -> Progress:
        """Return what a worker that has gone left in its crash record, in which `begun` is the call that began last.

        If that has no end, it fails with `died`, unless this is `None`. If none has begun, the worker has died before,
        when it had nothing to do.
        """
        ends, start, view = [], 0, memoryview(record)
        while start < len(record):
            head = END.unpack_from(record, start)
            start += END.size + head[4]
            if head[0] in self._missing:
                ends.append(self._end(head, view[start - head[4] : start], 0.0, worker))
        if begun in self._missing and died is not None:
            now = time.monotonic()
            ends.append(CallEnd(self._indices[begun], None, died, now, now, worker))
        return Progress(ends)

    def _end(
        self, head: tuple[int, int, float, float, int], body: memoryview, shift: float, worker: str
    ) -> CallEnd:
        position, kind_place, began, ended, _ = head
        self._missing.discard(position)
        value, error = None, None
        kind = END_KINDS[kind_place]
        if kind is ReplyKind.DONE:
            try:
                value = pickle.loads(body)
            except BaseException as problem:  # noqa: BLE001 - a user's object may do anything
                error = refusal(self.task, "the result", report_of(problem))
        else:
            error = failure_of(self.task, kind, body, pickle.loads)
        return CallEnd(self._indices[position], value, error, began + shift, ended + shift, worker)


def load_failure(task: AnyTask, reply: Reply) -> BaseException:
    """Return the error of a call whose task the worker can't load."""
    if reply.kind is ReplyKind.UNGUARDED:
        return UnguardedMainError(reply.what)
    error = reply.error
    assert error is not None
    return WorkerLoadError(task.name, str(reference_here(task)), f"{error.kind}: {error.text}", error.trace)


def _culprit(task: AnyTask, args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """Return which argument can't be pickled."""
    given: list[tuple[int | str, object]] = [*enumerate(args), *kwargs.items()]
    for argument, value in given:
        try:
            pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except BaseException:  # noqa: BLE001 - as above
            return f"argument '{task.parameter_at(argument)}'"
    return "an argument"
