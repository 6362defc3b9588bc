"""Starting: what may start, in its turn, and how each call is made."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from contextvars import Context
from typing import TYPE_CHECKING, Any

from cascade.adapters.spawning import spawn
from cascade.runtime.events import SkipReason
from cascade.runtime.frames.jobs import Job
from cascade.runtime.frames.map_runs import MapRun
from cascade.runtime.frames.outcomes import Failed, Known, Outcome
from cascade.runtime.programs.plain_values import AWAITABLE, is_just_called
from cascade.runtime.running.flights import Flight
from cascade.runtime.running.loops import TailCallLoop
from cascade.runtime.running.recorded_calls import Stretch
from cascade.runtime.running.steps import PlainStep, Step
from cascade.runtime.sharing.capacity import CONCURRENCY, Lease
from cascade.runtime.sharing.concurrency_slot import ConcurrencySlot
from cascade.spec.durable import NextRound
from cascade.spec.lazy_types import MappedLazyResult
from cascade.spec.policies.declared import Policies
from cascade.spec.protocols import CachedCall, Hit
from cascade.spec.task import Task

if TYPE_CHECKING:
    from cascade.runtime.running.run import Run

Entry = Job | MapRun | TailCallLoop | Flight | Stretch
"""What may be started: a call, the next item of a map, the next rounds of a loop, calls of a flight or a stretch."""


class Starter:
    """The entries of one run that may start now, and the calls of it that are under way in asyncio tasks."""

    def __init__(self, run: Run, slot: ConcurrencySlot) -> None:
        self._run = run
        self.slot = slot
        # What may start now, in the order of the frames and of their plans; no two entries tie.
        self._ready: list[tuple[int, int, int, Entry]] = []
        self._ties = itertools.count()
        self.steps: dict[asyncio.Task[Outcome], Step | PlainStep] = {}
        self.called_at = 0.0
        self.began_inline = False  # an inline call that is made in the loop's next turn

    def waiting_loops(self) -> list[TailCallLoop]:
        """Return the loops that have not had their turn."""
        return [entry for *_, entry in self._ready if isinstance(entry, TailCallLoop)]

    def queue(self, serial: int, rank: int, entry: Entry) -> None:
        """Let an entry be started in its turn: by the number of its tree, then by its rank in that tree's plan."""
        heapq.heappush(self._ready, (serial, rank, next(self._ties), entry))

    def next_ready(self) -> Entry | None:
        if not self._ready:
            self.slot.give_back()
            return None
        entry = self._ready[0][3]
        if self._needs_slot(entry) and not self.slot.is_there():
            return None
        return heapq.heappop(self._ready)[3]

    def _needs_slot(self, entry: Entry) -> bool:
        """Tell whether an entry takes its slot before it starts; others take it with what else they need."""
        if CONCURRENCY not in self._run.engine.capacity.totals or isinstance(
            entry, TailCallLoop | Flight | Stretch
        ):
            return False
        if isinstance(entry, MapRun):
            policies = entry.job.policies
        elif type(entry.lazy) is MappedLazyResult:
            return False
        else:
            policies = entry.policies
        return _takes_slot_first(policies)

    def start(self, entry: Entry) -> Job | None:
        """Start a call; return it if it was made here and now."""
        if isinstance(entry, TailCallLoop):
            self._run.settler.advance(entry)
            return None
        if isinstance(entry, Flight):
            entry.go_on()
            return None
        if isinstance(entry, Stretch):
            return entry.go_on()
        if isinstance(entry, MapRun):
            item = self._run.maps.next_item(entry)
            return None if item is None else self._start_call(item)
        if type(entry.lazy) is MappedLazyResult:
            self._run.maps.start(entry)
            return None
        return self._start_call(entry)

    def _may_await(self, task: Task[Any]) -> bool:
        """Tell whether the call of a task gives a coroutine that needs no executor to be awaited."""
        return self._run.plain and task.is_async and task.on is None

    def _go_on_in_place(self, job: Job, pending: NextRound) -> None:
        """Go on with the loop in the place of a call that had been made before the run was interrupted."""
        job.note_started()
        self._run.reports.skipped(job, SkipReason.RECOVERED)
        loop = TailCallLoop(self._run, job, pending.target)
        loop.resume_at(pending)
        self._run.frames.queue_loop(loop)

    def _start_call(self, job: Job) -> Job | None:
        pending = None if self._run.recording is None else self._run.recording.resumption.next_round(job)
        if pending is not None:
            self._go_on_in_place(job, pending)
            return None
        broken = job.frame.broken(job.position)
        if broken is not None:
            self._run.reports.started(job)
            self._run.settler.fail(job, broken)
        elif self.is_plain(job):
            self._call(job)
            return job
        elif job.policies.cache is not None and (hit := self._look_up(job)) is not None:
            self._run.settler.take(job, Known(hit.value))
        elif self._may_await(job.task) and self._needs_nothing(job) and not job.resources:
            self._begin(PlainStep(self._run, job), self._run.context.copy())
        else:
            self.begin_step(job)
        return None

    def _look_up(self, job: Job) -> Hit | None:
        """Return the value of a call that is in a cache which tells it at once."""
        policy = job.policies.cache
        if policy is None:
            return None
        try:
            args, kwargs = job.arguments(None)
            return self._run.engine.cache.look(policy, CachedCall(job.task, args, kwargs))
        except Exception:  # noqa: BLE001 - raised again where the call is made
            return None

    def is_plain(self, job: Job) -> bool:
        """Tell whether a call needs nothing but to be made."""
        inline = self._run.engine.is_inline(job.lazy)
        return inline and self._needs_nothing(job) and self._run.resources.are_open(job.resources)

    def _needs_nothing(self, job: Job) -> bool:
        """Tell whether no policy of a call has to do with how it is made."""
        return is_just_called(job.policies)

    def _call(self, job: Job) -> None:
        self._run.reports.started(job)
        slot = self.slot.take()
        try:
            args, kwargs = job.arguments(self._run.resources.values)
            value = job.task.func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the user's own code
            self.called_at = time.monotonic()
            self._run.settler.fail(job, error)
        else:
            self.called_at = time.monotonic()  # before listeners take their time
            if AWAITABLE[type(value)]:
                self.await_value(job, value, slot)
                slot = None
            else:
                self._run.settler.returned(job, value)
        finally:
            if slot is not None:
                slot.release()

    def note_called(self, job: Job, ended: float) -> Job:
        """Note when the last plain call ended; return it."""
        self.called_at = ended
        return job

    def await_value(self, job: Job, value: Any, slot: Lease | None = None) -> None:
        """Go on with a plain call that has given an awaitable: the call is over when that is."""
        job.started = True
        self._begin(Step(self._run, job, slot, awaited=value), self._run.context.copy())

    def begin_step(self, job: Job, failed: Exception | None = None) -> None:
        """Make a call in an asyncio task of its own; `failed` is what its first attempt has raised already."""
        slot = self.slot.take() if _takes_slot_first(job.policies) else None
        # Inline calls share the context of the run, all others get a copy.
        inline = self._run.engine.is_inline(job.lazy)
        # Where the order holds few values. Calls that take resources wait together for these to be opened.
        self.began_inline = inline and bool(job.frame.program.window) and not job.resources
        context = self._run.context if inline else self._run.context.copy()
        self._begin(Step(self._run, job, slot, failed), context)

    def adopt(self, job: Job, task: asyncio.Task[Any]) -> None:
        """Take over a coroutine that a flight has begun, or is about to."""
        self.steps[task] = PlainStep(self._run, job)
        task.add_done_callback(self._complete)

    def _begin(self, step: Step | PlainStep, context: Context) -> None:
        task = spawn(step.perform(), context)
        self.steps[task] = step
        task.add_done_callback(self._complete)

    def _complete(self, task: asyncio.Task[Outcome]) -> None:
        step = self.steps.pop(task)
        step.give_back()
        outcome, step.settled = step.settled, None
        if outcome is None:
            # A task that is cancelled before its first turn never gets to run, and so has not caught it.
            outcome = self._cancelled(step.job) if task.cancelled() else task.result()
        self._run.complete(step.job, outcome)

    def _cancelled(self, job: Job) -> Outcome:
        outcome = Failed(asyncio.CancelledError())
        return outcome if job.told else self._run.settler.end(job, outcome)


def _takes_slot_first(policies: Policies) -> bool:
    """Tell whether a call takes its slot before it starts: not if it waits for more, or may turn out to be no call."""
    return policies.constraints is None and policies.cache is None
