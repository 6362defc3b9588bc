"""The keeper of leases: one timer renews the leases of all runs that a process drives in a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from cascade.adapters.spawning import spawn
from cascade.adapters.state.timed_lease import RENEWALS, TimedLease, now
from cascade.spec.errors import StoreError

RenewAll = Callable[[Sequence[TimedLease]], Awaitable[set[TimedLease]]]
"""Renews leases at once; returns those that are renewed for sure."""


class LeaseKeeper:
    """Renews leases of so many `seconds` from `keep` to `let_go`, in one event loop."""

    def __init__(self, seconds: float, renew_all: RenewAll) -> None:
        self._seconds = seconds
        self._renew_all = renew_all
        self._leases: set[TimedLease] = set()
        self._renewing: asyncio.Task[None] | None = None

    def keep(self, lease: TimedLease) -> None:
        """Renew a lease that has just been taken."""
        self._leases.add(lease)
        if self._renewing is None or self._renewing.done():
            self._renewing = spawn(self._keep())

    async def let_go(self, lease: TimedLease) -> None:
        """Renew a lease no more."""
        self._leases.discard(lease)
        if not self._leases and self._renewing is not None:
            renewing, self._renewing = self._renewing, None
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _keep(self) -> None:
        # Not only until it is cancelled: in Python 3.11 a cancellation may get lost inside `asyncio.wait_for`.
        while self._leases:
            await asyncio.sleep(self._seconds / RENEWALS)
            # What a write has renewed a moment ago is left to the next time.
            due = [lease for lease in self._leases if lease.left() < self._seconds * (1 - 0.5 / RENEWALS)]
            if due:
                with suppress(StoreError):  # then the next write raises an error
                    await self._renew(due)

    async def _renew(self, due: list[TimedLease]) -> None:
        began = now()
        renewed = await self._renew_all(due)
        for lease in due:
            if lease in renewed:
                lease.note(began)
            elif lease in self._leases and not await lease.is_renewed():
                self._leases.discard(lease)
