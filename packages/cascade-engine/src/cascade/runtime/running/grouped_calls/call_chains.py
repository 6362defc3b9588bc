"""Call chains: calls each of which takes what the one before has given go to a worker of a cluster together.

So a chain costs one way to a cluster and back in place of one for each call. A call that was sent ahead has its turn as
any other if the worker gives it back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from cascade.adapters.executors.chunks import ChunkCall, EarlierResult, Progress
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.resolvers import resolve_arguments
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.making_calls.chunk_steps import ChunkWork
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Placement

FIRST_LENGTH = 16
"""How many calls go out at first; a worker gives those back that it can't begin soon."""

GROWTH = 8
"""How much longer a chain may be than what was made of the one before."""

MOST = 1024
"""How many calls go out at most."""


class CallChains:
    """Sends chains of one run out. `length` is how many calls go together: it follows from what was made in time."""

    __slots__ = ("_calling", "_frames", "_may_send", "length")

    def __init__(self, services: Services, calling: Calling, frames: OpenFrames) -> None:
        self._calling = calling
        self._frames = frames
        self.length = FIRST_LENGTH
        is_bounded = services.capacity.bounds_calls
        # A recorded value is in the store before the next call begins, and a span is made where the call begins.
        self._may_send = not (is_bounded or services.recording is not None or services.tracing is not None)

    def take(self, job: Job) -> bool:
        """Take a call over with those that follow it, if there are any that may go together."""
        frame = job.frame
        if not self._may_send or frame.whereabouts is None or isinstance(job, ItemJob):
            return False
        followers = frame.whereabouts.followers
        if job.position not in followers or frame.program.window:
            return False
        jobs = [job]
        while len(jobs) < self.length and jobs[-1].position in followers:
            jobs.append(Job(frame, followers[jobs[-1].position]))
        frame.sent_ahead.update(each.position for each in jobs[1:])
        chain = _Chain(self, self._calling, self._frames, jobs)
        self._calling.begin_chunk(ChunkWork(chain, job, range(len(jobs))), None)
        return True


class _Chain:
    """One chain that is out, for the asyncio task in which it is made."""

    __slots__ = ("_calling", "_frames", "_jobs", "_owner")

    mapping: MapRun | None = None

    def __init__(self, owner: CallChains, calling: Calling, frames: OpenFrames, jobs: list[Job]) -> None:
        self._owner = owner
        self._calling = calling
        self._frames = frames
        self._jobs = jobs

    def arguments(
        self, indices: Sequence[int], values: dict[str, object]
    ) -> Iterable[tuple[tuple[Any, ...], dict[str, Any]]]:
        frame = self._jobs[0].frame
        places = {job.position: index for index, job in enumerate(self._jobs)}

        def value_of(node: int) -> object:
            place = places.get(node)
            return frame.value_there(node) if place is None else EarlierResult(place)

        calls = ((job.lazy, frame.program.call(job.position)) for job in map(self.job, indices))
        return [resolve_arguments(lazy, call, value_of, values) for lazy, call in calls]

    def job(self, index: int) -> Job:
        return self._jobs[index]

    known = take_job = job  # one that has ended stays sent ahead: what it took may settle only after that

    def admit(self) -> None:
        """Nobody waits for that."""

    def leave(self, count: int) -> None:
        """Nothing depends on how many are inside."""

    def take_back(self, indices: Sequence[int]) -> None:
        for index in indices:
            self._frames.take_back(self._jobs[index].frame, self._jobs[index].position)

    def call_alone(self, item: Job, failed: Exception | None = None, awaited: Any = None) -> None:
        if item is not self._jobs[0]:
            self._frames.take_back(item.frame, item.position)
        elif awaited is None:
            self._calling.begin(item, failed)
        else:
            self._calling.await_value(item, awaited)

    def execute(
        self, placement: Placement, calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        return placement.execute_chain([job.node for job in self._jobs], calls, to_handles)

    def end(self, made: int, seconds: float, working: float, is_admitted: bool) -> None:
        if made < len(self._jobs):
            self._owner.length = max(made + 1, 2)
        else:
            self._owner.length = min(max(made * GROWTH, self._owner.length), MOST)
