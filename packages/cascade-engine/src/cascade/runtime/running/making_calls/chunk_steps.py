"""Chunk steps: several items of a map that go to a worker together, in one asyncio task.

The calls are made one after the other. So at each moment a chunk is one call that is under way: it holds what one call
needs, and no more. Each item ends by itself, as if it had been alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from cascade.adapters.call_facts import CallFacts
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.adapters.executors.worker_slots import rank_of_call
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.map_runs import MapRun
from cascade.runtime.frames.outcomes import Failed, Outcome, Returned
from cascade.runtime.programs.plain_values import AWAITABLE, GIVEN, PLAIN, Ready
from cascade.runtime.resource_manager import ResourceStack
from cascade.runtime.running.making_calls.before_calls import (
    adopt_context,
    confirm_call,
    key_of,
    pack_for,
    take_lease,
    tell_if_waited_for,
)
from cascade.runtime.running.making_calls.call_ends import CallEnds
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.capacity import Lease, held
from cascade.runtime.sharing.placement import Placement
from cascade.spec.calls.error_text import is_error
from cascade.spec.common import IDEMPOTENCY_KEY, INPUTS

Progressing = AsyncIterator[Progress]


class OpenChunk(Protocol):
    """A chunk that is out, as its owner knows it: it is told what becomes of the calls, beside their ends.

    `mapping` is the map whose items they are, if they are items.
    """

    mapping: MapRun | None

    def arguments(
        self, indices: Sequence[int], values: dict[str, object]
    ) -> Iterable[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments of calls, with these values of resources."""

    def job(self, index: int) -> Job:
        """Return a call of which more is to be known than its index."""

    def known(self, index: int) -> Job | None:
        """Return such a call, if there is one."""

    def take_job(self, index: int) -> Job:
        """Return a call that leaves the chunk."""

    def admit(self) -> None:
        """A worker has been found for the chunk."""

    def leave(self, count: int) -> None:
        """So many calls have left the chunk."""

    def take_back(self, indices: Sequence[int]) -> None:
        """These calls have not begun."""

    def call_alone(self, item: Job, failed: Exception | None = None, awaited: Any = None) -> None:
        """A call goes on by itself; its first attempt has raised `failed`, or given what is to be awaited."""

    def execute(self, placement: Placement, calls: Sequence[ChunkCall], to_handles: bool) -> Progressing:
        """Send the calls to their executor."""

    def end(self, made: int, seconds: float, working: float, is_admitted: bool) -> None:
        """The chunk is over: so many calls were made, and took so long with all that belongs to them.

        `working` is how long the worker was at work for them.
        """


class ChunkWork(NamedTuple):
    """What a chunk consists of: calls, by their indices. `job` stands for all of them."""

    chunk: OpenChunk
    job: Job
    indices: Sequence[int]


class ChunkStep:
    """Makes the calls of one chunk. `job` stands for all of them: the map's, or the first one.

    An item that has given a value, of which nothing is to be told, recorded or filed, needs no job of its own.
    """

    __slots__ = (
        "_began",
        "_chunk",
        "_ends",
        "_is_admitted",
        "_known",
        "_lean",
        "_lease",
        "_made",
        "_open",
        "_services",
        "_stopped",
        "_working",
        "job",
        "settled",
    )

    def __init__(self, services: Services, ends: CallEnds, work: ChunkWork, lease: Lease | None) -> None:
        self._services = services
        self._ends = ends
        self._chunk, self.job, indices = work
        mapping = self._chunk.mapping
        self._open = dict(
            enumerate(indices)
        )  # the indices of those without an end, by their position in the chunk
        self._lease = lease
        self._is_admitted = False
        is_lean = mapping is not None and mapping.values is not None and not services.reports.follows_calls
        self._lean = mapping if is_lean else None
        self._began = 0.0
        self._made = 0
        self._working = 0.0
        self._stopped = False
        self._known = services.context.copy()  # as the asyncio task has got it
        self.settled: Outcome | None = None

    async def perform(self) -> Outcome:
        """Make the calls; whatever happens is told to the chunk's map, or put into the inbox."""
        if self._services.tracing is not None:
            self._services.tracing.enter(self.job)
        try:
            await self._make_calls()
        except BaseException as error:  # noqa: BLE001 - the run decides what a failure means
            self._interrupt(error)
        self._chunk.end(self._made, time.monotonic() - self._began, self._working, self._is_admitted)
        if self._services.ending.ended:
            self._drop()
        elif self._made:
            self._give_back([*self._open])
        for index in self._open.values():
            # Who makes no call of a chunk may still make single ones.
            self._chunk.leave(1)
            self._chunk.call_alone(self._chunk.take_job(index))
        self._open.clear()
        return Returned(None)

    def cancel(self, task: asyncio.Task[Outcome]) -> None:
        """End the chunk, which is made in `task`."""
        self._stopped = True
        task.cancel()
        if self._began and self._open:
            tell_if_waited_for(self._services, self.job)

    def give_back(self) -> None:
        """Release the slot that the chunk came with, and the keys of its items, if it never got to its first turn."""
        if self._lease is not None:
            self._lease.release()
        self._drop()

    def _drop(self) -> None:
        """Leave the calls that have not begun to nobody: the run ends."""
        for index in self._open.values():
            self._give_up(index)
        self._open.clear()

    async def _make_calls(self) -> None:
        services, job = self._services, self.job
        lease, self._lease = self._lease, None
        if lease is None:
            lease = await take_lease(services, job)
        recording = services.recording
        try:
            if lease is not None:
                held.set(lease)
            rank_of_call.set((services.run_id, (job.frame.serial, job.frame.program.rank[job.position])))
            node = job.node
            async with services.placement.admission(node):
                self._is_admitted = True
                self._chunk.admit()
                if recording is not None:
                    await confirm_call(services, recording)
                values = await self._open_resources()
                calls = (
                    self._calls_with_keys(values) if IDEMPOTENCY_KEY in job.resources else self._calls(values)
                )
                if calls:
                    if self._lean is None:
                        self._tell_started(self._open[0])
                    self._began = time.monotonic()
                    handles, to_handles = services.handles, False
                    if handles is not None:
                        calls = await handles.own_calls(job, calls)
                        to_handles = not handles.looks_at(job)
                    async for progress in self._chunk.execute(services.placement, calls, to_handles):
                        self._take_in(progress)
        finally:
            if lease is not None:
                lease.release()
            if recording is not None:
                recording.commits.let_in()

    async def _open_resources(self) -> dict[str, object]:
        """Open what the calls take, for the whole run, and return all values that may go in their arguments."""
        services, job = self._services, self.job
        stack = ResourceStack({INPUTS: services.resources.values[INPUTS]}, services.reports.resource)
        if not pack_for(services, job.lazy, job.resources, stack.values) and job.resources:
            await services.resources.provide(job.resources, stack, services.context)
            if self._stopped:  # a provider has swallowed the cancellation
                raise asyncio.CancelledError
            adopt_context(self._known, services.context)
        return stack.values

    @property
    def _trace(self) -> tuple[tuple[str, str], ...]:
        """What names the span that the calls are inside of, for another process."""
        tracing = self._services.tracing
        return () if tracing is None else tracing.carrier()

    def _calls(self, values: dict[str, object]) -> Sequence[ChunkCall]:
        run_id, indices, trace = self._services.run_id, [*self._open.values()], self._trace
        arguments = self._chunk.arguments(indices, values)
        if self._chunk.mapping is None:
            return [
                ChunkCall(args, kwargs, CallFacts(run_id, self._chunk.job(index).name, trace=trace))
                for index, (args, kwargs) in zip(indices, arguments, strict=True)
            ]
        name = self.job.name
        return [
            ChunkCall(args, kwargs, CallFacts(run_id, name, item, trace=trace))
            for item, (args, kwargs) in zip(indices, arguments, strict=True)
        ]

    def _calls_with_keys(self, values: dict[str, object]) -> Sequence[ChunkCall]:
        """Return what is sent. An item whose idempotency key can't be made fails, and is not among it."""
        run_id, name = self._services.run_id, self.job.name
        calls: list[ChunkCall] = []
        indices, self._open = [*self._open.values()], {}
        for index in indices:
            item = self._chunk.job(index)
            try:
                key = values[IDEMPOTENCY_KEY] = key_of(item, self._services)
            except Exception as error:  # noqa: BLE001 - the item's own
                self._fail(self._chunk.take_job(index), error)
                continue
            self._open[len(calls)] = index
            calls.append(
                ChunkCall(*item.arguments(values), CallFacts(run_id, name, item.item, 1, key, self._trace))
            )
        return calls

    # What comes back

    def _take_in(self, progress: Progress) -> None:
        # Once per item of every map in a pool: watched by observatory/rows/pools.py.
        take, known, lean = self._open.pop, self._chunk.known, self._lean
        made: list[tuple[int, object]] = []
        for end in progress.ends:
            position, value, error, _, _, _ = end
            index = take(position)
            kind = type(value)
            is_value = error is None and (kind in PLAIN or not GIVEN[kind])
            if lean is not None and is_value and known(index) is None:
                made.append((index, value))
            else:
                self._take_end(self._chunk.take_job(index), end)
        if lean is not None and made:
            self._services.inbox.make(lean, made)
        self._made += len(progress.ends)
        if progress.ends:
            self._working += progress.ends[-1].ended - progress.ends[0].began
        self._chunk.leave(len(progress.ends))
        self._give_back(progress.given_back)
        under_way = (
            None if lean is not None or progress.under_way is None else self._open.get(progress.under_way)
        )
        if under_way is not None:
            self._tell_started(under_way)

    def _tell_started(self, index: int) -> None:
        item = self._chunk.job(index)
        if not item.started:
            self._services.reports.started(item)

    def _take_end(self, item: Job, end: CallEnd) -> None:
        item.began, item.ended, item.worker = end.began, end.ended, end.worker or item.worker
        if not item.started:
            self._services.reports.started_already(item)
        self._settle(item, end.value, end.error)

    def _settle(self, item: Job, value: Any, error: BaseException | None) -> None:
        ended = self._services.ending.ended
        if error is not None:
            retry = item.policies.retry
            if retry is not None and not ended and is_error(error, retry.on):
                self._chunk.call_alone(item, error)
            else:
                self._end(item, Failed(error))
        elif AWAITABLE[type(value)] and not ended:
            self._chunk.call_alone(item, awaited=value)
        elif not ended and self._is_put_ahead(item, value):
            self._chunk.call_alone(item, awaited=Ready(value))
        else:
            self._end(item, Returned(value))

    def _is_put_ahead(self, item: Job, value: Any) -> bool:
        recording = self._services.recording
        return recording is not None and recording.is_put_ahead(item.task, value)

    def _end(self, item: Job, outcome: Outcome) -> None:
        self._services.inbox.complete(item, self._ends.end(item, outcome))

    def _give_back(self, positions: Sequence[int]) -> None:
        indices = [self._open.pop(position) for position in positions]
        for index in indices:
            self._give_up(index)
        if indices:
            self._chunk.leave(len(indices))
            self._chunk.take_back(sorted(indices))

    def _give_up(self, index: int) -> None:
        """Let others compute what an item would have, which has not begun: they may be what it would wait for."""
        item = self._chunk.known(index)
        if item is not None and item.computation is not None:
            item.computation.give_up()
            item.computation = None

    def _interrupt(self, error: BaseException) -> None:
        """Take in what has interrupted the chunk: a cancellation by the run, or what fails its next item."""
        is_ended = self._services.ending.ended
        for position, index in [*self._open.items()]:
            item = self._chunk.known(index)
            if is_ended and (item is None or not item.started):
                self._give_up(index)
                continue
            del self._open[position]
            self._fail(self._chunk.take_job(index), error)
            if not is_ended:
                return

    def _fail(self, item: Job, error: BaseException) -> None:
        """Take in that an item has failed here."""
        self._chunk.leave(1)
        if not item.started:
            self._services.reports.started(item)
        item.ended = time.monotonic()
        self._settle(item, None, error)
