"""Steps: one call with its policies, in an asyncio task of its own.

Slots, timeout and resources of scope `task` cover one attempt; all are given back before the next one, and before a
returned tree starts.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from cascade.runtime.caching import Lead
from cascade.runtime.capacity import CONCURRENCY, Lease, held
from cascade.runtime.events import TaskBlocked, TaskRetrying
from cascade.runtime.exceptions import RouteNotFoundError, TaskTimeoutError
from cascade.runtime.jobs import Job
from cascade.runtime.outcomes import Failed, Known, Outcome, Returned
from cascade.runtime.resolvers import resolve_needs
from cascade.runtime.resource_manager import ResourceStack
from cascade.spec.common import INPUTS
from cascade.spec.encoding import UncacheableError
from cascade.spec.protocols import CachedCall, Hit

if TYPE_CHECKING:
    from cascade.runtime.run import Run


class Step:
    """One call on its way: cache, slots, resources, timeout, retries, and the executor."""

    __slots__ = ("_lease", "_run", "job")

    def __init__(self, run: Run, job: Job, lease: Lease | None) -> None:
        self._run = run
        self.job = job
        self._lease = lease

    async def perform(self) -> Outcome:
        """Make the call; whatever happens is in the outcome."""
        try:
            hit = await self._look_up()
            return Returned(await self._attempts()) if hit is None else Known(hit.value)
        except BaseException as error:  # noqa: BLE001 - the run decides what a failure means
            return Failed(error)

    def give_back(self) -> None:
        """Release the slot that the call came with, if it never got to use it."""
        if self._lease is not None:
            self._lease.release()

    async def _look_up(self) -> Hit | None:
        policy = self.job.policies.cache
        if policy is None:
            return None
        args, kwargs = self.job.arguments(None)
        call = CachedCall(self.job.task, args, kwargs)
        try:
            found = await self._run.engine.cache.find(policy, call, self.job, self._run.is_inside(self.job))
        except UncacheableError as problem:
            self._run.reports.uncached(self.job, str(problem))
            return None
        if isinstance(found, Lead):
            self.job.lead = found
            return None
        return found

    async def _attempts(self) -> Any:
        retry = self.job.policies.retry
        if retry is None:
            return await self._attempt()
        attempt = 0
        while True:
            try:
                return await self._attempt()
            except retry.on as error:
                attempt += 1
                if attempt > retry.max_attempts or isinstance(error, RouteNotFoundError):
                    raise
                wait = retry.wait_before(attempt, random.random)
                self._report_retry(attempt, retry.max_attempts, wait, error)
            await asyncio.sleep(wait)

    async def _attempt(self) -> Any:
        job, run = self.job, self._run
        lease = await self._take_lease()
        stack = ResourceStack({INPUTS: run.resources.values[INPUTS]}, run.reports.resource)
        try:
            if not job.started:
                run.reports.started(job)
            if not run.engine.is_inline(job.lazy):
                held.set(lease)
            try:
                await run.resources.provide(job.resources, stack, run.context)
                args, kwargs = job.arguments(stack.values)
                value = await self._execute(args, kwargs)
            except BaseException as error:
                for other in await stack.close(error):
                    error.add_note(f"and then: {other!r} {''.join(getattr(other, '__notes__', ()))}")
                raise
            for failure in await stack.close(None):
                raise failure
            return value
        finally:
            if lease is not None:
                lease.release()

    async def _take_lease(self) -> Lease | None:
        """Return the lease that the call came with, or wait for one; `None` if it needs nothing."""
        lease, self._lease = self._lease, None
        if lease is not None:
            return lease
        job, run = self.job, self._run
        totals = run.engine.capacity.totals
        call = job.frame.program.calls[job.position]
        needs = resolve_needs(job.lazy, call, job.frame.flow.value, totals)
        if CONCURRENCY in totals:
            needs[CONCURRENCY] = 1
        if not needs:
            return None
        wanted = ", ".join(f"{name}={amount}" for name, amount in needs.items() if isinstance(name, str))
        return await run.engine.capacity.acquire(needs, run.lender, lambda: self._report_blocked(wanted))

    async def _execute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        job = self.job
        work = self._run.engine.executor.execute(job.node, args, kwargs)
        seconds = job.policies.timeout
        if seconds is None:
            return await work
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise TaskTimeoutError(job.name, seconds) from None

    def _report_retry(self, attempt: int, max_attempts: int, wait: float, error: Exception) -> None:
        job, run = self.job, self._run
        if run.bus.hears(TaskRetrying):
            told = f"{type(error).__name__}: {error}"
            run.bus.publish(
                TaskRetrying(run.run_id, job.task_id, job.name, attempt, max_attempts, wait, told)
            )

    def _report_blocked(self, wanted: str) -> None:
        job, run = self.job, self._run
        if run.bus.hears(TaskBlocked):
            reason = f"waits for {wanted or 'a slot of max_concurrency'}"
            run.bus.publish(TaskBlocked(run.run_id, job.task_id, job.name, reason))
