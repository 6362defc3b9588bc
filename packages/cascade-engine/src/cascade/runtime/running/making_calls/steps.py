"""Steps: one call with its policies, in an asyncio task of its own.

Slots, timeout and resources of scope `task` cover one attempt; all are given back before the next one, and before a
returned tree starts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade.adapters.call_facts import CallFacts, asking, facts_in_context
from cascade.adapters.executors.worker_slots import rank_of_call
from cascade.graph.nodes import Node
from cascade.runtime.exceptions import RouteNotFoundError, TaskTimeoutError
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.programs.call_sites import makes_calls
from cascade.runtime.programs.plain_values import AWAITABLE, value_of
from cascade.runtime.resource_manager import ResourceStack, note_others
from cascade.runtime.running.making_calls.before_calls import (
    adopt_context,
    confirm_call,
    key_of,
    pack_for,
    take_lease,
    tell_at_timeout,
    tell_if_waited_for,
)
from cascade.runtime.running.making_calls.call_ends import CallEnds
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.capacity import Lease, held
from cascade.runtime.sharing.single_flight import Computation
from cascade.spec.calls.error_text import is_error
from cascade.spec.common import IDEMPOTENCY_KEY, INPUTS
from cascade.spec.errors import UncacheableError
from cascade.spec.protocols import CachedCall, Hit

if TYPE_CHECKING:
    pass


class PlainStep:
    """A coroutine of the user's that needs nothing but to be run."""

    __slots__ = ("_ends", "_reports", "_run_id", "_values", "job", "settled")

    def __init__(self, services: Services, ends: CallEnds, job: Job) -> None:
        self._ends = ends
        self._reports = services.reports
        self._run_id = services.run_id
        self._values = services.resources.values
        self.job = job
        # How it has ended: an asyncio task that is cancelled in its last turn loses what it returns.
        self.settled: Outcome | None = None

    @property
    def facts(self) -> CallFacts:
        """What the call's own code may know of it."""
        return self.job.facts(self._run_id)

    @makes_calls(lambda names: names["self"].facts)
    async def perform(self) -> Outcome:
        """Make the call; whatever happens is in the outcome."""
        job = self.job
        self._reports.started(job)
        if asking.is_expected:
            facts_in_context.set(self.facts)
        outcome: Outcome
        try:
            args, kwargs = job.arguments(self._values)
            value = await job.task.func(*args, **kwargs)
            outcome = Returned(await value_of(value) if AWAITABLE[type(value)] else value)
        except BaseException as error:  # noqa: BLE001 - the run decides what a failure means
            outcome = Failed(error)
        job.ended = time.monotonic()
        if self._ends.has_value_store:
            await self._ends.put_ahead(job, outcome)
        try:
            self.settled = self._ends.end(job, outcome)
            return self.settled
        finally:
            del outcome  # the traceback of an error has this frame: they would be a cycle

    def cancel(self, task: asyncio.Task[Outcome]) -> None:
        """End the call, which is made in `task`."""
        task.cancel()

    def give_back(self) -> None:
        """Nothing was given."""


class Opening:
    """Opens the resources that calls of one kind take, for the whole run. `job` is the first of these calls."""

    __slots__ = ("_services", "job", "settled")

    def __init__(self, services: Services, job: Job) -> None:
        self._services = services
        self.job = job
        self.settled: Outcome | None = None

    async def perform(self) -> Outcome:
        """Open them; whatever happens is in the outcome."""
        services = self._services
        try:
            stack = ResourceStack({}, services.reports.resource)
            await services.resources.provide(self.job.resources, stack, services.context)
        except BaseException as error:  # noqa: BLE001 - it fails the calls, and the run decides what that means
            return Failed(error)
        return Returned(None)

    def cancel(self, task: asyncio.Task[Outcome]) -> None:
        """Wait no longer for what is opened in `task`."""
        task.cancel()

    def give_back(self) -> None:
        """Nothing was given."""


class Fetching:
    """Reads the large values that a call of a run which goes on takes, before the call has its turn."""

    __slots__ = ("_fetch", "job", "settled")

    def __init__(self, job: Job, fetch: Callable[[], Awaitable[None]]) -> None:
        self._fetch = fetch
        self.job = job
        self.settled: Outcome | None = None

    async def perform(self) -> Outcome:
        """Read them. What can't be read is an error of the call that looks at it."""
        await self._fetch()
        return Returned(None)

    def cancel(self, task: asyncio.Task[Outcome]) -> None:
        """Wait no longer for what is read in `task`."""
        task.cancel()

    def give_back(self) -> None:
        """Nothing was given."""


class Begun(NamedTuple):
    """What a call has already when its step is made: a slot, and the error or the awaitable of a first plain call."""

    lease: Lease | None = None
    failed: Exception | None = None
    awaited: Awaitable[Any] | None = None


class Step:
    """Makes one call with all its policies: cache, slots, resources, timeout, retries, and the executor."""

    __slots__ = (
        "_awaited",
        "_ends",
        "_failed",
        "_inline",
        "_known",
        "_lease",
        "_releasing",
        "_services",
        "_stopped",
        "job",
        "settled",
    )

    def __init__(self, services: Services, ends: CallEnds, job: Job, begun: Begun) -> None:
        self._services = services
        self._ends = ends
        self._lease, self._failed, self._awaited = begun
        self._inline = services.placement.is_inline(job.lazy) and not job.frame.hands_on(job.position)
        self.job = job
        self.settled: Outcome | None = None
        self._releasing = False
        self._stopped = False
        # The run's context as this call's own copy has it; without resources nothing can become newer.
        self._known = services.context.copy() if job.resources and not self._inline else None

    async def perform(self) -> Outcome:
        """Make the call; whatever happens is in the outcome."""
        outcome: Outcome
        try:
            hit = await self._look_up()
            outcome = Returned(await self._attempts()) if hit is None else Known(hit.value)
        except BaseException as error:  # noqa: BLE001 - the run decides what a failure means
            outcome = Failed(error)
        self._failed = None
        if self._ends.has_value_store:
            await self._ends.put_ahead(self.job, outcome)
        try:
            self.settled = self._ends.end(self.job, outcome)
            return self.settled
        finally:
            del outcome  # as above

    def cancel(self, task: asyncio.Task[Outcome]) -> None:
        """End the call, which is made in `task`; a release that it is in is never left half done."""
        self._stopped = True
        if not self._releasing:
            task.cancel()
            if self.job.ended == 0.0:
                tell_if_waited_for(self._services, self.job)

    def give_back(self) -> None:
        """Release the slot that the call came with, and a coroutine that it gave, if they never got to be used."""
        if self._lease is not None:
            self._lease.release()
        if isinstance(self._awaited, Coroutine):
            self._awaited.close()

    @property
    def facts(self) -> CallFacts:
        """What the call's own code may know of the attempt that is made now."""
        return self.job.facts(self._services.run_id)

    async def _look_up(self) -> Hit | None:
        policy = self.job.policies.cache
        if policy is None or self.job.computation is not None:  # the latter: it was asked before a plain call
            return None
        args, kwargs = self.job.arguments(None)
        call = CachedCall(self.job.task, args, kwargs)
        reports = self._services.reports
        reports.waits(self.job, self.job.name, "waits for the cache, or for a call with the same key")
        try:
            found = await self._services.cache.find(policy, call, self.job, self.job.is_inside)
        except UncacheableError as problem:
            reports.uncached(self.job, problem)
            return None
        finally:
            reports.waits_no_more(self.job)
        if isinstance(found, Computation):
            self.job.computation = found
            if found.problem is not None:
                reports.uncached(self.job, found.problem)
            return None
        return found

    async def _attempts(self) -> Any:
        retry = self.job.policies.retry
        if retry is None:
            return await self._first_attempt()
        attempt = 0
        while True:
            try:
                return await (self._attempt() if attempt else self._first_attempt())
            except retry.on as error:
                attempt += 1
                hopeless = self._stopped or is_error(error, RouteNotFoundError)
                if attempt > retry.max_attempts or hopeless:
                    raise
                wait = retry.wait_before(attempt, random.random)
                self._services.reports.retrying(self.job, attempt, retry.max_attempts, wait, error)
            await asyncio.sleep(wait)

    async def _first_attempt(self) -> Any:
        """Make the first attempt, or go on with it if it was a plain call."""
        if self._failed is not None:
            raise self._failed
        if self._awaited is None:
            return await self._attempt()
        facts_in_context.set(self.facts)
        if self._services.tracing is not None:
            self._services.tracing.enter(self.job)
        (lease, self._lease), (awaited, self._awaited) = (self._lease, None), (self._awaited, None)
        try:
            return await value_of(awaited)
        finally:
            self.job.ended = time.monotonic()
            if lease is not None:
                lease.release()

    async def _attempt(self) -> Any:
        job, services = self.job, self._services
        lease = await self._take_lease()
        given = {INPUTS: services.resources.values[INPUTS]}
        if IDEMPOTENCY_KEY in job.resources:
            given[IDEMPOTENCY_KEY] = key_of(job, services)
        stack = ResourceStack(given, services.reports.resource)
        recording = services.recording
        job.ended = 0.0
        if not self._inline:  # the context is that of the call alone
            facts_in_context.set(self.facts)
        try:
            if lease is not None and not self._inline:
                held.set(lease)  # one that needs nothing passes on what is held around it
            if not self._inline and not job.task.is_async:
                rank_of_call.set((services.run_id, (job.frame.serial, job.frame.program.rank[job.position])))
            try:
                node = job.node  # made once for the attempt: it pictures all policies each time
                async with services.placement.admission(node):
                    if recording is not None:
                        await confirm_call(services, recording)
                    value = await self._in_time(node, stack)
            except BaseException as error:
                others = await self._release(stack, error)
                if others and not self._stopped and is_error(error, asyncio.CancelledError):
                    # A task group of a resource has cancelled the call, and tells here why.
                    error = others.pop(0)
                note_others(error, others)
                del others
                raise error
            if failures := await self._release(stack, None):
                first = failures.pop(0)
                note_others(first, failures)
                del failures
                try:
                    raise first
                finally:
                    del first  # its traceback has this frame: they would be a cycle
            return value
        finally:
            if lease is not None:
                lease.release()
            if recording is not None:
                recording.commits.let_in()

    async def _release(self, stack: ResourceStack, failure: BaseException | None) -> list[BaseException]:
        self._releasing = True
        try:
            return await stack.close(failure)
        finally:
            self._releasing = False

    async def _take_lease(self) -> Lease | None:
        """Return the lease that the call came with, or wait for one; `None` if it needs nothing."""
        lease, self._lease = self._lease, None
        if lease is not None:
            return lease
        return await take_lease(self._services, self.job)

    async def _in_time(self, node: Node, stack: ResourceStack) -> Any:
        """Open what the call takes and make it; end both when its time is over."""
        seconds = self.job.policies.timeout
        if seconds is None:
            return await self._call(node, stack)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                telling = tell_at_timeout(self._services, self.job, limit)
                try:
                    value = await self._call(node, stack)
                finally:
                    if telling is not None:
                        telling.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
        # A call that can't be interrupted may have given its value too late, and no limit expires while something holds
        # the loop. `limit` and the context that an error has above lead to this asyncio task, and so back to the error.
        end = limit.when()
        is_late = limit.expired() or (end is not None and asyncio.get_running_loop().time() >= end)
        del limit
        if is_late:
            raise TaskTimeoutError(self.job.name, seconds)
        return value

    async def _call(self, node: Node, stack: ResourceStack) -> Any:
        job, services = self.job, self._services
        if self._inline or not pack_for(services, job.lazy, job.resources, stack.values):
            await services.resources.provide(job.resources, stack, services.context)
            if self._stopped:  # a provider has swallowed the cancellation
                raise asyncio.CancelledError
        if self._known is not None:
            known, self._known = self._known, services.context.copy()
            adopt_context(known, self._known)
        handles = services.handles
        if handles is not None and not handles.concerns(job):
            handles = None
        args, kwargs = ((), {}) if handles is not None else job.arguments(stack.values)
        if not self._inline:
            job.worker = services.placement.worker_of(job.lazy)
        if not job.started:
            services.reports.started(job)
        if services.tracing is not None and not self._inline:
            services.tracing.enter(job)
            facts_in_context.set(job.facts(services.run_id, services.tracing.carrier()))
        if handles is None:
            work = services.placement.executor_of(job.lazy).execute(node, args, kwargs)
        else:
            work = handles.execute(job, node, stack.values)
        try:
            value = await (self._watched(work) if self._inline else work)
            return await value_of(value) if AWAITABLE[type(value)] else value
        finally:
            job.ended = time.monotonic()

    @makes_calls(lambda names: names["self"].facts)
    async def _watched(self, work: Awaitable[Any]) -> Any:
        """Make an inline call, which holds the loop until it is done."""
        began, tracing = time.monotonic(), self._services.tracing
        entered = None if tracing is None else tracing.enter(self.job)
        try:
            return await work
        finally:
            if tracing is not None:
                tracing.leave(entered)
            self._services.time_slice.note_held(self.job.task, time.monotonic() - began)
