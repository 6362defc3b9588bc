"""The concurrency slot: the part of `max_concurrency` that a run holds for its next call.

A run asks for it before it begins a call, and hands it over to that call, which releases it.
"""

from __future__ import annotations

from collections.abc import Callable

from cascade.runtime.sharing.capacity import CONCURRENCY, Capacity, Lease


class ConcurrencySlot:
    """At most one slot of a run: asked for when a call is ready, given back when none is.

    `wake_up` is called when a slot comes that the run has waited for.
    """

    __slots__ = ("_capacity", "_lease", "_lender", "_wake_up", "_withdraw")

    def __init__(self, capacity: Capacity, lender: Lease | None, wake_up: Callable[[], None]) -> None:
        self._capacity = capacity
        self._lender = lender
        self._wake_up = wake_up
        self._lease: Lease | None = None
        self._withdraw: Callable[[], None] | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether the run waits for a slot."""
        return self._withdraw is not None

    def is_there(self) -> bool:
        """Tell whether the run has a slot; if not, ask for one, which wakes the run when it comes."""
        if self._lease is None and self._withdraw is None:
            withdraw = self._capacity.request({CONCURRENCY: 1}, self._lender, self._granted)
            self._withdraw = None if self._lease is not None else withdraw
        return self._lease is not None

    def take(self) -> Lease | None:
        """Hand the slot over to a call, if there is one."""
        lease, self._lease = self._lease, None
        return lease

    def give_back(self) -> None:
        """Release the slot, if there is one."""
        lease = self.take()
        if lease is not None:
            lease.release()

    def close(self) -> None:
        """Release the slot, and wait for none any more: the run ends."""
        self.give_back()
        if self._withdraw is not None:
            self._withdraw()
            self._withdraw = None

    def _granted(self, lease: Lease) -> None:
        self._lease = lease
        self._withdraw = None
        self._wake_up()
