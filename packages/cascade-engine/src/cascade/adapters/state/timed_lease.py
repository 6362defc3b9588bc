"""Leases that time out: who drives a run in a store that many hosts share.

The holder's process renews its lease, by a `LeaseKeeper`. Whoever finds the lease run out takes the run, and becomes
its owner. The owner stays when its lease has ended: so a process that wakes up late finds out who has taken its run.
"""

from __future__ import annotations

import asyncio
import time
from secrets import token_hex
from typing import Protocol

from cascade.adapters.state.lease import this_process
from cascade.spec.errors import PolicyError, RunActiveError, RunLostError, StoreError
from cascade.spec.late_dataclasses import dataclass

LEASE_SECONDS = 10.0
"""How long a run stays taken whose driver does not renew its lease any more."""

RENEWALS = 3
"""How often a lease is renewed in its time."""

_LOOKS = 20
"""How often a newcomer looks in the time of a lease whether it is free."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A lease that another one holds, and the seconds until it ends unless it is renewed."""

    holder: bytes
    left: float


class LeaseTable(Protocol):
    """Where a store keeps the lease and the owner of a run. A holder is a token of its own, a space and a name."""

    async def take(self, holder: bytes) -> Refusal | None:
        """Take the lease and become the owner, or tell who holds it.

        Raises:
            StoreError: If the store can't be asked.
        """

    async def renew(self, holder: bytes) -> bytes | None:
        """Renew the lease, also one that has ended, if the holder is the owner still; if not, return the owner.

        Raises:
            StoreError: If the store can't be asked.
        """


class TimedLease:
    """The lease of one run.

    Raises:
        PolicyError: If it is to last no time.
    """

    def __init__(self, table: LeaseTable, run_id: str, store: str, seconds: float = LEASE_SECONDS) -> None:
        if not seconds > 0:
            raise PolicyError(f"lease_seconds={seconds!r}", "give the seconds of a lease, such as 10.0")
        self.seconds = seconds
        self.holder = f"{token_hex(16)} {this_process()}".encode()
        self._table = table
        self._run_id = run_id
        self._store = store
        self._held_until = 0.0

    async def take(self) -> None:
        """Take the lease; if somebody holds it, wait until it ends.

        Raises:
            RunActiveError: If it is renewed meanwhile.
            StoreError: If the store can't be asked.
        """
        self._confirming = asyncio.Lock()
        clock = asyncio.get_running_loop().time
        ends: float | None = None
        while True:
            began = now()
            refusal = await self._table.take(self.holder)
            if refusal is None:
                break
            left = max(0.0, refusal.left)
            if ends is None:
                ends = clock() + left + self.seconds / _LOOKS
            if clock() >= ends:
                raise RunActiveError(self._run_id, self._store, name_of(refusal.holder))
            await asyncio.sleep(min(left, self.seconds / _LOOKS) + 0.001)
        self.note(began)

    def note(self, began: float) -> None:
        """Note that the store has granted the lease at that time, by `now`, or later."""
        self._held_until = max(self._held_until, began + self.seconds)

    def is_held(self) -> bool:
        """Tell whether the lease has not ended yet, by the clock of this process."""
        return now() < self._held_until

    def left(self) -> float:
        """Return the seconds until the lease ends, by the clock of this process."""
        return self._held_until - now()

    async def is_renewed(self) -> bool:
        """Renew the lease, unless somebody else has taken the run; return whether it is renewed.

        Raises:
            StoreError: If the store can't be asked.
        """
        return await self._renewed() is None

    async def confirm(self) -> None:
        """Renew a lease that may have ended, as it has for a process that was suspended.

        Raises:
            RunLostError: If somebody else has taken the run meanwhile.
            StoreError: If the store can't be asked.
        """
        async with self._confirming:  # many calls may want to know it at once
            if not self.is_held():
                owner = await self._renewed()
                if owner is not None:
                    raise self.lost_to(owner)

    def lost_to(self, owner: bytes) -> StoreError:
        """Return the error for a run that has another owner, or none."""
        if owner:
            driver = name_of(owner)
            problem = f"the run '{self._run_id}' has been taken over by {driver}"
            return RunLostError(self._store, problem, self._run_id, driver)
        problem = (
            f"it does not know any more who drives the run '{self._run_id}': its data was deleted or lost"
        )
        return StoreError(self._store, problem)

    async def _renewed(self) -> bytes | None:
        began = now()
        owner = await self._table.renew(self.holder)
        if owner is None:
            self.note(began)
        return owner


def name_of(holder: bytes) -> str:
    """Return the name of a lease's holder, to be shown."""
    return holder.partition(b" ")[2].decode("utf-8", "replace")


def now() -> float:
    """Return seconds of a clock that goes on while the host is suspended."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
