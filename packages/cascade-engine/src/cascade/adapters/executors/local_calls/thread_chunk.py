"""A chunk of calls in a thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context

from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.adapters.executors.waiting import outcome_of


class ThreadChunk:
    """The calls of one chunk: those that have not begun, and the ends that nobody has taken yet.

    A thread runs it while the event loop looks into it. Both take from deques, of which each operation is atomic.
    """

    def __init__(self, func: Callable[..., object], calls: Sequence[ChunkCall], context: Context) -> None:
        self._func = func
        self._context = context
        self._left = deque(enumerate(calls))
        self._under_way: int | None = None
        self.has_begun = False
        self._ends: deque[CallEnd] = deque()

    def run(self, report: Callable[[Progress], None]) -> None:
        """Make the calls that nobody takes back, one after the other, and then report what was not taken yet."""
        # Once per item of every map in threads: watched by observatory/rows/pools.py.
        left, ends, func, context = self._left, self._ends, self._func, self._context
        worker, now = threading.current_thread().name, time.monotonic
        while True:
            try:
                index, (args, kwargs, facts) = left.popleft()
            except IndexError:
                break
            self._under_way, self.has_begun = index, True
            began = now()
            # A context that was entered can't be entered again by a run that is started inside it, so each has a copy.
            succeeded, result = context.copy().run(outcome_of, func, args, kwargs, facts)
            if succeeded:
                ends.append(CallEnd(index, result, None, began, now(), worker))
            else:
                ends.append(CallEnd(index, None, result, began, now(), worker))
            del args, kwargs, result  # nothing of a call is kept until the next one ends
        self._under_way = None
        report(self.take_back())

    def take_back(self, kept: int = 0) -> Progress:
        """Let no other call begin but the first ones that are `kept`; return what has ended and what is not made."""
        given_back = []
        while len(self._left) > kept:
            with suppress(IndexError):
                given_back.append(self._left.pop()[0])
        ends = []
        while True:
            try:
                ends.append(self._ends.popleft())
            except IndexError:
                return Progress(ends, self._under_way, given_back)
