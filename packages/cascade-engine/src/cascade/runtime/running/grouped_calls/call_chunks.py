"""Call chunks: calls of one task that are ready at the same time go to a worker together, like items.

A tree that fans out has many of them. What is said of the chunks of a map holds here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from cascade.adapters.executors.chunks import ChunkCall, Progress
from cascade.runtime.frames.ending import Ending
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.item_chunks import Pace
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.ready import ReadyQueue
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.making_calls.chunk_steps import ChunkWork
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Placement, is_just_called
from cascade.spec.policies.mode import Mode
from cascade.spec.task import AnyTask


class CallChunks:
    """Sends calls of one run out in chunks, those of each task and mode by themselves.

    Values that are looked at come here, and others may stay: the calls of a chunk are of one kind in that too.
    """

    __slots__ = ("_calling", "_ending", "_groups", "_handles", "_is_bounded", "_placement")

    def __init__(self, services: Services, calling: Calling) -> None:
        self._calling = calling
        self._ending = services.ending
        self._is_bounded = services.capacity.bounds_calls
        self._handles = services.handles
        self._placement = services.placement
        self._groups: dict[
            tuple[AnyTask, Mode | None, bool], _Group | None
        ] = {}  # `None` for calls that go by themselves

    def take(self, job: Job) -> bool:
        """Take a call over, if it needs nothing but a worker."""
        policies = job.policies
        if self._is_bounded or job.resources or not is_just_called(policies) or isinstance(job, ItemJob):
            return False
        if job.frame.program.window:
            return False  # its order holds few values, and calls that go together would be held together
        if self._handles is not None and self._handles.is_kept_twice(job):
            return False
        key = (job.task, policies.mode, self._handles is None or self._handles.looks_at(job))
        if key not in self._groups:
            goes_out = self._placement.takes_call_chunks(job.lazy)
            self._groups[key] = _Group(self._calling, self._ending) if goes_out else None
        group = self._groups[key]
        if group is None:
            return False
        group.add(job)
        return True


class _Group:
    """Calls of one task in one mode. `waiting` has those that are not out, in the order of the plan."""

    def __init__(self, calling: Calling, ending: Ending) -> None:
        self._calling = calling
        self._ending = ending
        self._waiting: ReadyQueue[Job] = ReadyQueue()
        self.pace = Pace()
        self.is_waiting = False
        self.out = 0

    def add(self, job: Job) -> None:
        """Add a call that is ready; it goes out as soon as no chunk waits for a worker."""
        self._waiting.push(job.frame.serial, job.frame.program.rank[job.position], job)
        self.go_on()

    def go_on(self) -> None:
        """Send the next chunk out, unless one waits for a worker already: meanwhile it would only grow."""
        if not self._waiting or self.is_waiting or self._ending.ended:
            return
        size = self.pace.size(len(self._waiting), self.out + 1)
        jobs = [self._waiting.pop() for _ in range(min(size, len(self._waiting)))]
        self.is_waiting = True
        self.out += 1
        chunk = _CallChunk(self, jobs)
        self._calling.begin_chunk(ChunkWork(chunk, jobs[0], range(len(jobs))), None)

    def call_alone(self, job: Job, failed: Exception | None, awaited: Any) -> None:
        """Let a call go on by itself."""
        if awaited is None:
            self._calling.begin(job, failed)
        else:
            self._calling.await_value(job, awaited)


class _CallChunk:
    """One chunk of a group that is out, for the asyncio task in which it is made."""

    __slots__ = ("_group", "_jobs")

    mapping: MapRun | None = None

    def __init__(self, group: _Group, jobs: list[Job]) -> None:
        self._group = group
        self._jobs = jobs

    def arguments(
        self, indices: Sequence[int], values: dict[str, object]
    ) -> Iterable[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [self._jobs[index].arguments(values, there=True) for index in indices]

    def job(self, index: int) -> Job:
        return self._jobs[index]

    known = take_job = job

    def admit(self) -> None:
        self._group.is_waiting = False
        self._group.go_on()

    def leave(self, count: int) -> None:
        """Nothing depends on how many are inside."""

    def take_back(self, indices: Sequence[int]) -> None:
        for index in indices:
            self._group.add(self._jobs[index])

    def call_alone(self, item: Job, failed: Exception | None = None, awaited: Any = None) -> None:
        self._group.call_alone(item, failed, awaited)

    def execute(
        self, placement: Placement, calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        return placement.execute_chunk(self._jobs[0].node, calls, to_handles)

    def end(self, made: int, seconds: float, working: float, is_admitted: bool) -> None:
        group = self._group
        group.out -= 1
        if not is_admitted:
            group.is_waiting = False
        if made:
            group.pace.note(made, seconds, working)
        group.go_on()
