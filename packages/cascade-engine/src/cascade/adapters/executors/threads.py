"""Calls in threads, in a pool of their own."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from cascade.adapters.executors.places import Place, Places
from cascade.adapters.executors.waiting import outcome_of, wait_until_done

_BORROWERS = 10_000
"""No bound: a call that borrows its place has a thread beside the one that lends it, and waits."""


class Admission:
    """Holds a place in a `with` block; a `call` inside the block uses it."""

    # No generator with a decorator, which sets the traceback of what passes through: a frozen exception refuses that.

    __slots__ = ("_place", "_places", "_shown", "_token")

    def __init__(self, places: Places, shown: ContextVar[Place | None]) -> None:
        self._places = places
        self._shown = shown

    async def __aenter__(self) -> Place:
        self._place = await self._places.take(self._shown.get())
        self._token = self._shown.set(self._place)
        return self._place

    async def __aexit__(self, *_: object) -> None:
        self._shown.reset(self._token)
        self._places.give_back(self._place)


class ThreadCalls:
    """Makes calls in `size` threads. May serve several event loops at once."""

    def __init__(self, size: int | None = None) -> None:
        size = size or min(32, (os.cpu_count() or 1) + 4)  # what `ThreadPoolExecutor` takes
        self._places = Places(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="cascade")
        self._more: ThreadPoolExecutor | None = None  # for calls in borrowed places
        # The place of the call that the current code is a part of: threads get a copy of their caller's context.
        self._place: ContextVar[Place | None] = ContextVar("cascade_thread", default=None)

    def admission(self) -> Admission:
        """Wait for a thread; the next `call` in this context uses it."""
        return Admission(self._places, self._place)

    async def call(
        self, func: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Call a function in a thread, with a copy of this context; when cancelled, return after it has ended."""
        place = self._place.get()
        if place is None or place.used:
            async with self.admission() as place:
                return await self._call(place, func, args, kwargs)
        return await self._call(place, func, args, kwargs)

    async def _call(
        self, place: Place, func: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        place.used = True
        context = contextvars.copy_context()
        threads = self._threads if place.lender is None else self._extra()
        return await wait_until_done(threads.submit(context.run, outcome_of, func, args, kwargs), late=True)

    def _extra(self) -> ThreadPoolExecutor:
        if self._more is None:
            self._more = ThreadPoolExecutor(_BORROWERS, thread_name_prefix="cascade-nested")
        return self._more

    def close(self) -> None:
        """End the threads, all calls of which have ended."""
        self._threads.shutdown()
        if self._more is not None:
            self._more.shutdown()
