"""Capacity: what an engine shares among its calls, taken all or nothing, first come first served.

A call of a run that itself runs inside a task may use what that task holds, and comes first for the rest: others
may be waiting for just that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import Enum
from fractions import Fraction
from typing import Final

Amount = int | Fraction


class Slots(Enum):
    """The names of capacity that are the engine's own, apart from all that a user may declare."""

    CONCURRENCY = "max_concurrency"


CONCURRENCY: Final = Slots.CONCURRENCY
Name = str | Slots
Needs = Mapping[Name, Amount]


class Lease:
    """Amounts of a capacity that are held, and lent on to runs inside the holder; released once."""

    __slots__ = ("_taken", "capacity", "free", "parent")

    def __init__(self, capacity: Capacity, parent: Lease | None, needs: Needs) -> None:
        self.capacity = capacity
        self.parent = parent
        self.free: dict[Name, Amount] = dict(needs)
        self._taken: list[tuple[dict[Name, Amount], Name, Amount]] = []

    def release(self) -> None:
        """Give everything back; those who wait for it go on."""
        taken, self._taken = self._taken, []
        for source, name, amount in taken:
            source[name] += amount
        if taken:
            self.capacity.serve()

    def take(self, needs: Needs, pool: dict[Name, Amount]) -> None:
        """Fill this lease from its holders' leases first and from the pool then; the caller knows that it fits."""
        for name, amount in needs.items():
            left = amount
            for source in (*_lenders(self.parent, name), pool):
                part = min(left, source.get(name, 0))
                if part:
                    source[name] -= part
                    self._taken.append((source, name, part))
                    left -= part


held: ContextVar[Lease | None] = ContextVar("cascade_held", default=None)
"""What the task holds in whose context we are; a run begun here borrows from it."""


class _Request:
    __slots__ = ("grant", "needs", "parent")

    def __init__(self, needs: Needs, parent: Lease | None, grant: Callable[[Lease], None]) -> None:
        self.needs = needs
        self.parent = parent
        self.grant = grant


class Capacity:
    """The totals of one engine and who waits for a part of them."""

    def __init__(self, totals: Needs) -> None:
        self.totals = dict(totals)
        self._pool: dict[Name, Amount] = dict(totals)
        self._borrowers: deque[_Request] = deque()
        self._others: deque[_Request] = deque()

    def request(
        self, needs: Needs, parent: Lease | None, grant: Callable[[Lease], None]
    ) -> Callable[[], None]:
        """Call `grant` with a lease as soon as there is one, perhaps at once; return what withdraws the request."""
        if parent is not None and parent.capacity is not self:
            parent = None
        request = _Request(needs, parent, grant)
        queue = self._others if parent is None else self._borrowers
        queue.append(request)
        self.serve()

        def withdraw() -> None:
            if request in queue:
                queue.remove(request)
                self.serve()

        return withdraw

    async def acquire(self, needs: Needs, parent: Lease | None, blocked: Callable[[], None]) -> Lease:
        """Wait for a lease; `blocked` is called if it is not there at once."""
        granted: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        withdraw = self.request(needs, parent, granted.set_result)
        if not granted.done():
            blocked()
        try:
            return await asyncio.shield(granted)
        except asyncio.CancelledError:
            if granted.done():
                granted.result().release()
            else:
                granted.cancel()
                withdraw()
            raise

    def serve(self) -> None:
        """Grant what fits; nobody overtakes one who came before for the same thing."""
        # Names that somebody waits for; when all are, no later request can be granted.
        contended: set[Name] = set()
        for queue in (self._borrowers, self._others):
            waiting: list[_Request] = []
            while queue and len(contended) < len(self.totals):
                request = queue.popleft()
                if contended.isdisjoint(request.needs) and self._fits(request):
                    lease = Lease(self, request.parent, request.needs)
                    lease.take(request.needs, self._pool)
                    request.grant(lease)
                else:
                    contended.update(request.needs)
                    waiting.append(request)
            queue.extendleft(reversed(waiting))

    def _fits(self, request: _Request) -> bool:
        return all(
            amount <= self._pool[name] + sum(source[name] for source in _lenders(request.parent, name))
            for name, amount in request.needs.items()
        )


def _lenders(lease: Lease | None, name: Name) -> list[dict[Name, Amount]]:
    found = []
    while lease is not None:
        if lease.free.get(name):
            found.append(lease.free)
        lease = lease.parent
    return found
