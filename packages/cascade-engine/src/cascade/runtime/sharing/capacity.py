"""Capacity: the amounts that an engine shares among its calls, taken all or nothing, first come first served.

A call takes all its amounts at once, so that two calls never hold one half each and wait for the other. A large request
does not starve: later ones for the same thing don't overtake it.

A run that is started inside a task borrows: its calls may use what that task holds, and come before others for what
else they need. What fits for a borrower is granted whoever else waits, since one before it may be waiting for just what
its lenders hold, and they end only after it. So a large borrower may be overtaken, but not for ever: only tasks that
hold something already start borrowers, and nobody else gets what it waits for.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from fractions import (
        Fraction,
    )  # whoever gives a fraction has it; importing it takes as long as ten modules here

Amount: TypeAlias = "int | Fraction"


class Slots(Enum):
    """The names of the engine's own amounts, which no name that a user declares can equal."""

    CONCURRENCY = "max_concurrency"


CONCURRENCY: Final = Slots.CONCURRENCY
Name = str | Slots
Needs = Mapping[Name, Amount]


class Lease:
    """Amounts of a capacity that a call holds, and lends to runs that are started inside it. Released once.

    `free` is what of it is not lent. What is lent when it is released goes back as soon as the borrower releases it.
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
        """Take the amounts, from its lenders first and then from the pool. They must fit."""
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
        """Get back what was lent; it goes on to where it came from if this lease is released already."""
        self.free[name] += amount
        if self._released:
            self._give_back()

    def _give_back(self) -> None:
        """Return what is free to where it was taken from; remember what is still lent."""
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
"""What the task that runs in this context holds; a run that is started here borrows from it."""


class _Request:
    """Amounts that somebody waits for, the lease to borrow from, and what to call with the lease."""

    __slots__ = ("grant", "needs", "parent")

    def __init__(self, needs: Needs, parent: Lease | None, grant: Callable[[Lease], None]) -> None:
        self.needs = needs
        self.parent = parent
        self.grant = grant


def waits_for(needs: Needs) -> str:
    """Say what a call with these needs waits for."""
    wanted = ", ".join(f"{name}={amount}" for name, amount in needs.items() if isinstance(name, str))
    return f"waits for {wanted or 'a slot of max_concurrency'}"


_Line = tuple[Lease | None, frozenset[Name]]
"""What the requests of one line have in common: the lease that they borrow from, if any, and the names."""


class Capacity:
    """The amounts of one engine, and who waits for a part of them.

    `totals` are the amounts by name. `bounds_calls` tells whether the number of calls is bounded.

    Used from the thread of the event loop only.
    """

    def __init__(self, totals: Needs) -> None:
        self.totals = dict(totals)
        self.bounds_calls = CONCURRENCY in totals
        self._pool: dict[Name, Amount] = dict(totals)
        self._tickets = itertools.count()
        # In the order of coming. Where the first of a line can't be served, none behind it may be: they have the same
        # lenders and want the same. So only the first ones are looked at, however many wait.
        self._lines: dict[_Line, OrderedDict[int, _Request]] = {}

    def with_slot(self, amounts: Needs) -> Needs:
        """Return what a call with these amounts takes: its slot as well, where the number of calls is bounded."""
        return {**amounts, CONCURRENCY: 1} if self.bounds_calls else amounts

    def request(
        self, needs: Needs, parent: Lease | None, grant: Callable[[Lease], None]
    ) -> Callable[[], None]:
        """Call `grant` with a lease as soon as the amounts are there, maybe at once; return what withdraws the request.

        `parent` is the lease to borrow from. `needs` must not be more than `totals`.
        """
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

    def is_free(self, needs: Needs, parent: Lease | None) -> bool:
        """Tell whether a request for these amounts would be granted at once, as in `serve`. Takes O(lines)."""
        if not self._fits(needs, parent):
            return False
        lender = self._lender(parent)
        if lender is not None:
            return (lender, frozenset(needs)) not in self._lines
        return all(names.isdisjoint(needs) for _, names in self._lines)

    def take_now(self, needs: Needs, parent: Lease | None) -> Lease:
        """Return a lease of amounts that are free."""
        lease = Lease(self, parent, needs)
        lease.take(needs, self._pool)
        return lease

    def _lender(self, lease: Lease | None) -> Lease | None:
        """Return the nearest lease of this capacity; those of other engines may lie between."""
        while lease is not None and lease.capacity is not self:
            lease = lease.parent
        return lease

    def take_back(self, name: Name, amount: Amount) -> None:
        """Put back into the pool what a lease held. `serve` then grants it to those who wait."""
        self._pool[name] += amount

    async def acquire(self, needs: Needs, parent: Lease | None, blocked: Callable[[], None]) -> Lease:
        """Wait for a lease; `blocked` is called if it is not there at once.

        Who is cancelled meanwhile holds nothing, and is not in anybody's way.
        """
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
        """Grant what fits, to borrowers first. Takes O(lines + grants).

        Of those who don't borrow, nobody overtakes one who came before and waits for the same thing, borrower or not.
        """
        contended: set[Name] = set()  # names of amounts that somebody before waits for
        first = [(line[0] is None, next(iter(requests)), line) for line, requests in self._lines.items()]
        heapq.heapify(first)  # no two tickets are equal
        while first:
            others, ticket, line = heapq.heappop(first)
            requests = self._lines[line]
            request = requests[ticket]
            if (others and not contended.isdisjoint(request.needs)) or not self._fits(
                request.needs, request.parent
            ):
                contended.update(request.needs)
                continue
            del requests[ticket]
            if requests:
                heapq.heappush(first, (others, next(iter(requests)), line))
            else:
                del self._lines[line]
            request.grant(self.take_now(request.needs, request.parent))

    def _fits(self, needs: Needs, parent: Lease | None) -> bool:
        return all(
            amount <= self._pool[name] + sum(lender.free[name] for lender in _lenders(parent, name, self))
            for name, amount in needs.items()
        )


def _lenders(lease: Lease | None, name: Name, capacity: Capacity) -> list[Lease]:
    found = []
    while lease is not None:
        if lease.capacity is capacity and lease.free.get(name):
            found.append(lease)
        lease = lease.parent
    return found
