"""Calling: the calls of one run that are made in asyncio tasks, from their start until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import Any

from cascade.adapters.spawning import spawn
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.outcomes import Failed, Outcome
from cascade.runtime.programs.plain_values import is_called_or_cached
from cascade.runtime.running.call_needs import needs_of
from cascade.runtime.running.making_calls.call_ends import CallEnds
from cascade.runtime.running.making_calls.chunk_steps import ChunkStep, ChunkWork
from cascade.runtime.running.making_calls.steps import Begun, Fetching, Opening, PlainStep, Step
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.capacity import Lease
from cascade.runtime.sharing.concurrency_slot import ConcurrencySlot
from cascade.runtime.sharing.placement import is_called_here, is_just_called
from cascade.spec.errors import CascadeError
from cascade.spec.policies.declared import Policies
from cascade.spec.task import Task


class Calling:
    """Starts calls in asyncio tasks and puts how they end into the inbox.

    `steps` are the calls under way. `slot` is the one of `max_concurrency` that the next call takes. `began_inline`
    says that a call was started which is made in the event loop's next turn.
    """

    __slots__ = (
        "_capacity",
        "_context",
        "_inbox",
        "_lender",
        "_placement",
        "_resources",
        "_services",
        "_time_slice",
        "began_inline",
        "ends",
        "slot",
        "steps",
    )

    def __init__(self, services: Services) -> None:
        self._services = services
        self.ends = CallEnds(services)
        self._capacity = services.capacity
        self._context = services.context
        self._lender = services.options.lender
        self._inbox = services.inbox
        self._placement = services.placement
        self._resources = services.resources
        self._time_slice = services.time_slice
        self.slot = ConcurrencySlot(services.capacity, services.options.lender, services.inbox.wake_up)
        self.steps: dict[asyncio.Task[Outcome], Step | PlainStep | Opening | Fetching | ChunkStep] = {}
        self.began_inline = False

    # Which way a call is made

    def is_plain(self, job: Job) -> bool:
        """Tell whether calling the function is all that a call needs here and now: what it takes is there."""
        if not self._is_inline(job) or not is_called_here(job.policies):
            return False
        return self._resources.are_open(job.resources) and self._is_free(job)

    def _is_inline(self, job: Job) -> bool:
        """Tell whether a call is made in the event loop's thread, from values that are here."""
        return self._placement.is_inline(job.lazy) and not job.frame.hands_on(job.position)

    def _is_free(self, job: Job) -> bool:
        """Tell whether the amounts that a call takes are free; it need not hold them if it returns at once."""
        if job.policies.constraints is None:
            return True
        try:
            return self._capacity.is_free(needs_of(job, self._capacity), self._lender)
        except CascadeError:
            return False  # raised again where the call is made

    def hold(self, job: Job) -> Lease | None:
        """Return a lease of the amounts of a plain call that goes on after it has returned."""
        if job.policies.constraints is None:
            return None
        return self._capacity.take_now(needs_of(job, self._capacity), self._lender)

    def is_plain_after_cache(self, job: Job) -> bool:
        """Tell whether a call that the cache has no value for needs nothing but calling its function."""
        inline = self._is_inline(job)
        return inline and is_called_or_cached(job.policies) and self._resources.are_open(job.resources)

    def is_awaited_plainly(self, job: Job) -> bool:
        """Tell whether calling a coroutine function and awaiting it is all that a call needs."""
        return self._may_await(job.task) and _needs_nothing(job) and not job.resources

    def _may_await(self, task: Task[Any]) -> bool:
        time_slice = self._time_slice
        return time_slice.direct and not time_slice.bounded and task.is_async and task.on is None

    # Starting

    def begin_coroutine(self, job: Job) -> None:
        """Make a call that is awaited plainly."""
        self._begin(PlainStep(self._services, self.ends, job), self._context.copy())

    def begin(self, job: Job, failed: Exception | None = None) -> None:
        """Make a call with all its policies; `failed` is what its first attempt has raised already."""
        slot = self.slot.take() if takes_slot_first(job.policies) else None
        # Inline calls share the context of the run, all others get a copy.
        inline = self._is_inline(job)
        # Where the order holds few values. Calls that take resources wait together for these to be opened.
        self.began_inline = inline and bool(job.frame.program.window) and not job.resources
        context = self._context if inline else self._context.copy()
        self._begin(Step(self._services, self.ends, job, Begun(slot, failed)), context)

    def await_value(self, job: Job, value: Any, slot: Lease | None = None) -> None:
        """Await what a plain call returned. The call ends when the awaitable does."""
        job.started = True
        self._services.reports.note_running(job)
        self._begin(Step(self._services, self.ends, job, Begun(slot, None, value)), self._context.copy())

    def begin_chunk(self, work: ChunkWork, slot: Lease | None) -> None:
        """Make the calls of several items of a map, one after the other, by a worker."""
        step = ChunkStep(self._services, self.ends, work, slot)
        task = spawn(step.perform(), self._context.copy())
        self.steps[task] = step
        task.add_done_callback(self._end_chunk)

    def _end_chunk(self, task: asyncio.Task[Outcome]) -> None:
        self.steps.pop(task).give_back()
        if not task.cancelled():
            task.result()

    def adopt(self, job: Job, task: asyncio.Task[Any]) -> None:
        """Take over a coroutine that was begun without a job, or is about to begin."""
        self.steps[task] = PlainStep(self._services, self.ends, job)
        task.add_done_callback(self._complete)

    def open_resources(self, job: Job, opened: Callable[[BaseException | None], None]) -> None:
        """Open for the whole run what `job` takes; `opened` is called with what that has raised, or with `None`."""
        opening = Opening(self._services, job)
        task = spawn(opening.perform(), self._context)
        self.steps[task] = opening
        task.add_done_callback(partial(self._end_opening, opened))

    def fetch(self, job: Job, fetch: Callable[[], Awaitable[None]], fetched: Callable[[], None]) -> None:
        """Read what a call takes before it has its turn; `fetched` is called when all of it is here."""
        step = Fetching(job, fetch)
        task = spawn(step.perform(), self._context.copy())
        self.steps[task] = step
        task.add_done_callback(partial(self._end_fetching, fetched))

    def _end_fetching(self, fetched: Callable[[], None], task: asyncio.Task[Outcome]) -> None:
        del self.steps[task]
        if not task.cancelled():
            task.result()
            fetched()
            self._inbox.wake_up()

    def _end_opening(
        self, opened: Callable[[BaseException | None], None], task: asyncio.Task[Outcome]
    ) -> None:
        del self.steps[task]
        outcome = Failed(asyncio.CancelledError()) if task.cancelled() else task.result()
        try:
            opened(outcome.error if isinstance(outcome, Failed) else None)
        finally:
            del outcome  # the traceback of an error may have this frame: they would be a cycle

    def names(self) -> list[str]:
        """Return the names of the calls under way."""
        return [step.job.name for step in self.steps.values()]

    def cancel_all(self) -> None:
        """End the calls under way."""
        for task, step in self.steps.items():
            step.cancel(task)

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
        self._inbox.complete(step.job, outcome)

    def _cancelled(self, job: Job) -> Outcome:
        outcome = Failed(asyncio.CancelledError())
        return outcome if job.told else self.ends.end(job, outcome)


def _needs_nothing(job: Job) -> bool:
    """Tell whether no policy of a call has to do with how it is made."""
    return is_just_called(job.policies)


def takes_slot_first(policies: Policies) -> bool:
    """Tell whether a call takes its slot before it starts: not if it waits for more, or may turn out to be no call."""
    return policies.constraints is None and policies.cache is None
