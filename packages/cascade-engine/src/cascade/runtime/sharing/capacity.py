"""Capacity: what an engine shares among its calls, taken all or nothing, first come first served.

A call of a run that itself runs inside a task borrows: it may use what that task holds, and comes before others for the
rest. What fits for a borrower is granted whoever else waits: one before it may be waiting for just what this one's
lenders hold, and they end only after it. A large borrower can be overtaken so, but not for ever: only tasks that hold
something already start borrowers, and nobody else gets what it waits for.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import OrderedDict
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
    """Amounts of a capacity that are held, and lent on to runs inside the holder; released once.

    What is lent on when it is released goes back as soon as the borrower is done with it.
    """

    __slots__ = ("_released", "_taken", "capacity", "free", "parent")

    def __init__(self, capacity: Capacity, parent: Lease | None, needs: Needs) -> None:
        self.capacity = capacity
        self.parent = parent
        self.free: dict[Name, Amount] = dict(needs)
        self._taken: list[tuple[Lease | None, Name, Amount]] = []
        self._released = False

    def release(self) -> None:
        """Give everything back; those who wait for it go on."""
        if not self._released:
            self._released = True
            self._give_back()
            self.capacity.serve()

    def take(self, needs: Needs, pool: dict[Name, Amount]) -> None:
        """Fill this lease from its holders' leases first and from the pool then; the caller knows that it fits."""
        for name, amount in needs.items():
            left = amount
            for lender in (*_lenders(self.parent, name, self.capacity), None):
                source = pool if lender is None else lender.free
                part = min(left, source.get(name, 0))
                if part:
                    source[name] -= part
                    self._taken.append((lender, name, part))
                    left -= part

    def take_back(self, name: Name, amount: Amount) -> None:
        """Have what was lent on back; it goes further back if this lease is released itself."""
        self.free[name] += amount
        if self._released:
            self._give_back()

    def _give_back(self) -> None:
        """Return what is free to where it was taken from."""
        kept = []
        for lender, name, amount in self._taken:
            part = min(amount, self.free[name])
            self.free[name] -= part
            if lender is None:
                self.capacity.take_back(name, part)
            else:
                lender.take_back(name, part)
            if part < amount:
                kept.append((lender, name, amount - part))
        self._taken = kept


held: ContextVar[Lease | None] = ContextVar("cascade_held", default=None)
"""What the task holds in whose context we are; a run begun here borrows from it."""


class _Request:
    __slots__ = ("grant", "needs", "parent")

    def __init__(self, needs: Needs, parent: Lease | None, grant: Callable[[Lease], None]) -> None:
        self.needs = needs
        self.parent = parent
        self.grant = grant


_Line = tuple[Lease | None, frozenset[Name]]
"""Requests for amounts of the same names: of all who borrow from one lease, or (`None`) of all who don't borrow."""


class Capacity:
    """The totals of one engine and who waits for a part of them."""

    def __init__(self, totals: Needs) -> None:
        self.totals = dict(totals)
        self._pool: dict[Name, Amount] = dict(totals)
        self._tickets = itertools.count()
        # By the order of coming. Where the first of a line can't be served, none behind it can: its lenders are the
        # same, and so are the names. So only the first ones are looked at.
        self._lines: dict[_Line, OrderedDict[int, _Request]] = {}

    def request(
        self, needs: Needs, parent: Lease | None, grant: Callable[[Lease], None]
    ) -> Callable[[], None]:
        """Call `grant` with a lease as soon as there is one, perhaps at once; return what withdraws the request."""
        ticket = next(self._tickets)
        kind = (self._lender(parent), frozenset(needs))
        self._lines.setdefault(kind, OrderedDict())[ticket] = _Request(needs, parent, grant)
        self.serve()

        def withdraw() -> None:
            line = self._lines.get(kind)
            if line is not None and line.pop(ticket, None) is not None:
                if not line:
                    del self._lines[kind]
                self.serve()

        return withdraw

    def _lender(self, lease: Lease | None) -> Lease | None:
        """Return the nearest holder's lease of this capacity, with other engines' in between or not."""
        while lease is not None and lease.capacity is not self:
            lease = lease.parent
        return lease

    def take_back(self, name: Name, amount: Amount) -> None:
        """Put into the pool what a lease held; `serve` hands it on."""
        self._pool[name] += amount

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
        """Grant what fits. Takes O(lines + grants).

        Borrowers come first, and each that fits is served. Of the others nobody overtakes one who came before for the
        same thing, borrower or not.
        """
        contended: set[Name] = set()  # names that somebody waits for
        first = [(line[0] is None, next(iter(requests)), line) for line, requests in self._lines.items()]
        heapq.heapify(first)  # no two tickets are equal
        while first:
            others, ticket, line = heapq.heappop(first)
            requests = self._lines[line]
            request = requests[ticket]
            if (others and not contended.isdisjoint(request.needs)) or not self._fits(request):
                contended.update(request.needs)
                continue
            del requests[ticket]
            if requests:
                heapq.heappush(first, (others, next(iter(requests)), line))
            else:
                del self._lines[line]
            lease = Lease(self, request.parent, request.needs)
            lease.take(request.needs, self._pool)
            request.grant(lease)

    def _fits(self, request: _Request) -> bool:
        return all(
            amount
            <= self._pool[name] + sum(lender.free[name] for lender in _lenders(request.parent, name, self))
            for name, amount in request.needs.items()
        )


def _lenders(lease: Lease | None, name: Name, capacity: Capacity) -> list[Lease]:
    found = []
    while lease is not None:
        if lease.capacity is capacity and lease.free.get(name):
            found.append(lease)
        lease = lease.parent
    return found
