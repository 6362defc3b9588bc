"""Map chunks: the maps of one run whose items go to workers, many at a time, and what becomes of the chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from cascade.adapters.executors.chunks import ChunkCall, Progress
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.item_chunks import ItemChunks
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.running.making_calls.calling import Calling, takes_slot_first
from cascade.runtime.running.making_calls.chunk_steps import ChunkWork
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Placement

GoesAlone = Callable[[ItemJob], bool]


class MapChunks:
    """Sends the items of maps out in chunks."""

    __slots__ = ("_calling", "_ending", "_inbox", "_is_recorded", "_maps")

    def __init__(self, services: Services, calling: Calling, maps: MapItems) -> None:
        self._calling = calling
        self._ending = services.ending
        self._inbox = services.inbox
        self._is_recorded = services.recording is not None
        self._maps = maps

    def go_on(self, mapping: MapRun, chunks: ItemChunks[ItemJob], goes_alone: GoesAlone) -> None:
        """Start what there is room for: a call that goes on alone, or else the next chunk.

        `goes_alone` is asked about items before that: whether one needs no call, or is called by itself.
        """
        mapping.queued = False
        if mapping.can_begin:
            if chunks.held:
                chunks.held.popleft()()
            else:
                self._begin_chunk(mapping, chunks, goes_alone)
        self._maps.queue(mapping)

    def _begin_chunk(self, mapping: MapRun, chunks: ItemChunks[ItemJob], goes_alone: GoesAlone) -> None:
        indices = mapping.next_of_chunk(chunks.pace.size(mapping.left, chunks.out + 1))
        chunk = _Chunk(self, mapping, chunks)
        if self._may_go_alone(mapping.job):
            indices = [index for index in indices if not _leaves(chunk, index, goes_alone)]
        if indices:
            slot = self._calling.slot.take() if takes_slot_first(mapping.job.policies) else None
            chunks.begin(len(indices))
            self._calling.begin_chunk(ChunkWork(chunk, mapping.job, indices), slot)

    def _may_go_alone(self, job: Job) -> bool:
        """Tell whether some items of a map may need no call, or need to be called by themselves."""
        has_cache = job.policies.cache is not None
        return self._is_recorded or has_cache or job.frame.broken(job.position) is not None

    def call_alone(
        self, mapping: MapRun, item: Job, failed: Exception | None = None, awaited: Any = None
    ) -> None:
        """Let a call go on by itself as soon as there is room for it."""
        assert mapping.chunks is not None
        if awaited is None:
            mapping.chunks.held.append(partial(self._calling.begin, item, failed))
        else:
            mapping.chunks.held.append(partial(self._calling.await_value, item, awaited))
        self.wake(mapping)

    def wake(self, mapping: MapRun) -> None:
        """Let a map go on in its turn, if there is something to do."""
        if not self._ending.ended:
            self._maps.queue(mapping)
            self._inbox.wake_up()


class _Chunk:
    """One chunk that is out, for the asyncio task in which it is made."""

    __slots__ = ("_chunks", "_mapping", "_owner", "mapping")

    def __init__(self, owner: MapChunks, mapping: MapRun, chunks: ItemChunks[ItemJob]) -> None:
        self._owner = owner
        self._mapping = mapping
        self.mapping: MapRun | None = mapping
        self._chunks = chunks

    def arguments(
        self, indices: Sequence[int], values: dict[str, object]
    ) -> Iterable[tuple[tuple[Any, ...], dict[str, Any]]]:
        return self._mapping.calls_with(values).arguments_of(indices)

    def job(self, index: int) -> ItemJob:
        found = self._chunks.jobs.get(index)
        if found is None:
            found = self._chunks.jobs[index] = ItemJob(self._mapping, index)
        return found

    def known(self, index: int) -> ItemJob | None:
        return self._chunks.jobs.get(index)

    def take_job(self, index: int) -> ItemJob:
        return self._chunks.jobs.pop(index, None) or ItemJob(self._mapping, index)

    def admit(self) -> None:
        self._chunks.is_waiting = False
        self._owner.wake(self._mapping)

    def leave(self, count: int) -> None:
        self._chunks.inside -= count

    def take_back(self, indices: Sequence[int]) -> None:
        self._chunks.given_back.extend(indices)
        self._owner.wake(self._mapping)

    def call_alone(self, item: Job, failed: Exception | None = None, awaited: Any = None) -> None:
        self._owner.call_alone(self._mapping, item, failed, awaited)

    def execute(
        self, placement: Placement, calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        return placement.execute_chunk(self._mapping.job.node, calls, to_handles)

    def end(self, made: int, seconds: float, working: float, is_admitted: bool) -> None:
        self._chunks.end(made, seconds, working, is_admitted)
        self._owner.wake(self._mapping)


def _leaves(chunk: _Chunk, index: int, goes_alone: GoesAlone) -> bool:
    leaves = goes_alone(chunk.job(index))
    if leaves:
        chunk.take_job(index)
    return leaves
