"""What a call needs of the engine's capacity: its amounts, and a slot where the number of calls is bounded."""

from __future__ import annotations

from cascade.runtime.frames.frame import Job
from cascade.runtime.resolvers import resolve_needs
from cascade.runtime.sharing.capacity import Capacity, Needs


def amounts_of(job: Job, capacity: Capacity) -> Needs:
    """Return the amounts of `with_constraints` that a call holds while it is made; see `resolve_needs`."""
    call = job.frame.program.call(job.position)
    return resolve_needs(job.lazy, call, job.frame.flow.value, capacity.totals)


def needs_of(job: Job, capacity: Capacity) -> Needs:
    """Return the amounts that a call holds, and the slot among them if `max_concurrency` bounds the calls."""
    return capacity.with_slot(amounts_of(job, capacity))
