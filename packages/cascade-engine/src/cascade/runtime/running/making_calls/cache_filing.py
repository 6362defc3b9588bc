"""Cache filing: values that calls have given are put into the cache beside the run, and before its end."""

from __future__ import annotations

import asyncio

from cascade.adapters.spawning import spawn
from cascade.runtime.exceptions import ProvisionalValueError
from cascade.runtime.frames.frame import Job
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.single_flight import Computation


class CacheFiling:
    """Puts values into the cache. `under_way` are the asyncio tasks that do so; the run waits for them."""

    __slots__ = ("_reports", "under_way")

    def __init__(self, services: Services) -> None:
        self._reports = services.reports
        self.under_way: set[asyncio.Task[None]] = set()

    def file(self, computation: Computation[Job], value: object) -> bool:
        """Put a value into the cache; return True if that goes on beside the run.

        One that depends on an atomic resource is not put there: a failure of the run may undo what it stands for.
        """
        if computation.atomic:
            computation.give_up()
            self._reports.uncached(
                computation.owner, ProvisionalValueError(computation.owner.name, computation.atomic)
            )
            return False
        if computation.keeps_at_once:
            try:
                computation.keep(value)
            except Exception as error:  # noqa: BLE001 - as below
                self._reports.uncached(computation.owner, error)
            return False
        filing = spawn(self._put(computation, value))
        self.under_way.add(filing)
        filing.add_done_callback(self.under_way.discard)
        return True

    async def _put(self, computation: Computation[Job], value: object) -> None:
        try:
            await computation.succeed(value)
        except Exception as error:  # noqa: BLE001 - a cache that can't keep a value costs time, not the value
            self._reports.uncached(computation.owner, error)


def note_atomic(job: Job, atomic: str) -> None:
    """Note that a call, and all in whose place it stands, depend on an atomic resource: they fill no cache key."""
    each: Job | None = job if atomic else None
    while each is not None:
        for computation in (each.computation, each.frame.loop.computation):
            if computation is not None:
                computation.atomic = atomic
        each = each.outer
