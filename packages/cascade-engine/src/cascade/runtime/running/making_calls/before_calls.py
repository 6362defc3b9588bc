"""What a call waits for, or is given, before it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from typing import TYPE_CHECKING

from cascade.adapters.executors.call_places import Interruption
from cascade.adapters.travelling.what_travels import Travelling, travelling_in_context
from cascade.runtime.frames.frame import Job
from cascade.runtime.running.call_needs import needs_of
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.capacity import Lease, waits_for
from cascade.spec.lazy_types import Lazy

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


async def take_lease(services: Services, job: Job) -> Lease | None:
    """Wait for the amounts that a call needs; `None` if it needs nothing."""
    capacity = services.capacity
    needs = needs_of(job, capacity)
    if not needs:
        return None

    def report_blocked() -> None:
        services.reports.blocked(job, waits_for(needs))

    try:
        return await capacity.acquire(needs, services.options.lender, report_blocked)
    finally:
        services.reports.waits_no_more(job)


async def confirm_call(services: Services, recording: Recorder) -> None:
    """Make sure, before a call that has waited is made, that it may be made and that the run is still our own.

    If it is not, the run ends, and the call with it.
    """
    try:
        await recording.commits.make_room()
        await recording.confirm()
    except Exception as error:  # noqa: BLE001 - of the store: the run's error, and not that of the call
        services.ending.stop(error)
        services.inbox.wake_up()
        await asyncio.get_running_loop().create_future()  # until the end of the run cancels it


def pack_for(services: Services, lazy: Lazy, names: Sequence[str], values: dict[str, object]) -> bool:
    """Prepare a call of another process: put what stands for its resources into `values`; say what travels with it.

    Returns whether the call is made in another process.
    """
    if not services.placement.place_of(lazy).is_elsewhere:
        return False
    modules = services.resources.take_along(names, values)
    if modules or services.carried:
        travelling_in_context.set(Travelling(services.carried, modules))
    return True


def tell_if_waited_for(services: Services, job: Job) -> None:
    """Tell that the run waits for a call that was cancelled, if it can't be interrupted where it is made."""
    if job.started and services.placement.place_of(job.lazy).cancellation is Interruption.WAITS:
        services.reports.not_interrupted(
            job, "cancelled, but it can't be interrupted: the run waits for its end"
        )


def tell_at_timeout(services: Services, job: Job, limit: asyncio.Timeout) -> asyncio.TimerHandle | None:
    """Tell, when its time is over, that the run waits for a call that can't be interrupted where it is made."""
    end = limit.when()
    if end is None or services.placement.place_of(job.lazy).timeout is not Interruption.WAITS:
        return None
    reason = "its time is over, but it can't be interrupted: the run waits for its end"
    return asyncio.get_running_loop().call_at(end, services.reports.not_interrupted, job, reason)


def adopt_context(known: Context, now: Context) -> None:
    """Take over the context variables that providers of the run have set: `known` is what its context was before."""
    for variable, value in now.items():
        if variable not in known or known[variable] is not value:
            variable.set(value)


def key_of(job: Job, services: Services) -> str:
    """Return the idempotency key of a call, made before its first attempt: that may change what it was given.

    Raises:
        IdempotencyKeyError: If an argument has no canonical form.
    """
    if job.idempotency_key is None:
        from cascade.runtime.running.making_calls.idempotency import (  # noqa: PLC0415 - brings hashing and encoding
            idempotency_key,
        )

        job.idempotency_key = idempotency_key(job, services.identity)
    return job.idempotency_key
