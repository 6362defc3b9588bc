"""WorkerSlots: which calls may use the workers of a pool, first come first served.

The runs that wait take turns. When a run has its turn, that of its calls with the lowest rank gets the slot: a call
that frees values may rank before one that makes more of them.

A call that has a slot may start a run of its own and wait for it. The calls of that run may borrow its slot, one at a
time. So they never wait for a worker that waits for them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from contextvars import ContextVar
from heapq import heappop, heappush
from itertools import count

Rank = tuple[object, tuple[int, ...]]

rank_of_call: ContextVar[Rank | None] = ContextVar("cascade_rank", default=None)
"""The run that the call belongs to in whose context we are, and its rank there."""


class WorkerSlot:
    """The right to use one worker; `used` is true if a call has begun in it.

    `lender` is the slot that this one is borrowed from, and `borrower` the slot that is borrowed from this one.
    """

    __slots__ = ("borrower", "is_over", "lender", "used", "waiting")

    def __init__(self, lender: WorkerSlot | None = None) -> None:
        self.lender = lender
        self.borrower: WorkerSlot | None = None
        self.waiting = WaitingLine()
        self.used = False
        self.is_over = False


class Request(Future[WorkerSlot]):
    """A request for a slot: a future of threads, since the pool may serve several event loops."""


class WaitingLine:
    """Requests that wait. Each of them is a turn for its run, in the order of their coming."""

    __slots__ = ("_of_runs", "_ties", "_turns")

    def __init__(self) -> None:
        self._turns: deque[object] = deque()
        self._of_runs: dict[object, list[tuple[tuple[int, ...], int, Request]]] = {}
        self._ties = count()

    def join(self, request: Request, rank: Rank | None) -> None:
        """Add a request; one without a rank is a run by itself."""
        run, position = (request, ()) if rank is None else rank
        self._turns.append(run)
        heappush(self._of_runs.setdefault(run, []), (position, next(self._ties), request))

    def next(self) -> Request | None:
        """Return the next request that is neither cancelled nor granted by another line."""
        while self._turns:
            run = self._turns.popleft()
            requests = self._of_runs.get(run, [])
            while requests:
                request = heappop(requests)[2]
                if not requests:
                    del self._of_runs[run]
                if not (request.done() or request.running()) and request.set_running_or_notify_cancel():
                    return request
        return None


class WorkerSlots:
    """The slots of one pool."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size  # below zero where there have become fewer than are in use
        self._waiting = WaitingLine()
        self._lock = threading.Lock()

    def resize(self, size: int) -> None:
        """Let there be another number of slots from now on."""
        granted = []
        with self._lock:
            self._free += size - self._size
            self._size = size
            while self._free > 0 and (request := self._waiting.next()) is not None:
                self._free -= 1
                granted.append(request)
        for request in granted:
            request.set_result(WorkerSlot())

    async def take(self, lender: WorkerSlot | None = None) -> WorkerSlot:
        """Wait for a slot; `lender` is the slot of the call that the caller is a part of, in this pool."""
        with self._lock:
            slot = self._find(lender)
            if slot is not None:
                return slot
            request = Request()
            rank = rank_of_call.get()
            self._waiting.join(request, rank)
            if lender is not None:
                lender.waiting.join(request, rank)
        try:
            return await asyncio.wrap_future(request)
        except asyncio.CancelledError:
            if not request.cancel():  # it was granted at the same moment
                self.give_back(request.result())
            raise

    def give_back(self, slot: WorkerSlot) -> None:
        """Give a slot to the next request."""
        with self._lock:
            request, granted = self._pass_on(slot)
        if request is not None:
            request.set_result(granted)  # wakes an event loop, so not under the lock

    def _find(self, lender: WorkerSlot | None) -> WorkerSlot | None:
        if self._free > 0:
            self._free -= 1
            return WorkerSlot()
        if lender is None or lender.borrower is not None or lender.is_over:
            return None
        lender.borrower = WorkerSlot(lender)
        return lender.borrower

    def _pass_on(self, slot: WorkerSlot) -> tuple[Request | None, WorkerSlot]:
        """Return the request that gets the slot next, and the slot for it."""
        slot.is_over = True
        lender, borrower = slot.lender, slot.borrower
        if borrower is not None:
            # The call ends before one that it has started: that one stands in its slot from now on.
            borrower.lender = lender
            if lender is not None:
                lender.borrower = borrower
            return None, borrower
        if lender is None and self._free < 0:
            self._free += 1
            return None, slot
        request = (self._waiting if lender is None else lender.waiting).next()
        granted = WorkerSlot(lender)
        if lender is not None:
            lender.borrower = None if request is None else granted
        elif request is None:
            self._free += 1
        return request, granted
