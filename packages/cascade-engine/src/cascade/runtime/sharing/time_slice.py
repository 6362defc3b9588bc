"""Time slices: for how long a run may make calls in the event loop before others get their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from cascade.graph.small_steps import Steps
from cascade.runtime.sharing.placement import Way
from cascade.spec.task import Task

T = TypeVar("T")

SLICE_SECONDS = 0.01
"""For how long inline calls may follow each other before the event loop gets its turn."""

Watch = Callable[[Task[Any], float], None]
"""Is told for how many seconds a task has held the event loop."""


async def in_slices(steps: Steps[T]) -> T:
    """Do work that comes in small steps, and give the event loop its turn whenever a time slice is over.

    Where that was so once, it has its turn behind the last step too: what follows may be long as well.
    """
    ends = time.monotonic() + SLICE_SECONDS
    is_long = False
    while True:
        try:
            next(steps)
        except StopIteration as end:
            if is_long:
                await asyncio.sleep(0)
            value: T = end.value
            return value
        if time.monotonic() > ends:
            is_long = True
            await asyncio.sleep(0)
            ends = time.monotonic() + SLICE_SECONDS


class TimeSlice:
    """The time slice that a run is in, and how its calls may be made meanwhile.

    `ends` is in seconds of `time.monotonic`; 0 cuts the slice short. `direct` says whether inline calls may be made
    without the scheduler, `bounded` whether `max_concurrency` bounds the calls, `watched`
    whether somebody wants to know of each call, which is asked once a slice.
    """

    __slots__ = ("_began", "_is_watched", "_watch", "bounded", "direct", "ends", "watched")

    def __init__(self, direct: bool, bounded: bool, is_watched: Callable[[], bool], watch: Watch) -> None:
        self.direct = direct
        self.bounded = bounded
        self._is_watched = is_watched
        self._watch = watch
        self._began = self.ends = 0.0
        self.watched = False

    def begin(self) -> None:
        """Begin a slice of full length now."""
        self._began = time.monotonic()
        self.ends = self._began + SLICE_SECONDS
        self.watched = self._is_watched()

    def allowed(self, way: Way) -> Way:
        """Return the way that a tree takes now that could be run in this way.

        The scheduler runs everything where executor or state are not built in, and coroutines where something bounds
        the calls.
        """
        if not self.direct or (way is Way.ON_LOOP and self.bounded):
            return Way.SCHEDULED
        return way

    def is_over(self) -> bool:
        """Tell whether the event loop is to get its turn."""
        return time.monotonic() > self.ends

    def cut(self) -> None:
        """End the slice as soon as the call under way has ended."""
        self.ends = 0.0

    def note_overrun(self, task: Task[Any], ended: float) -> None:
        """Note that this task's call ended at a time when the slice was over."""
        self._watch(task, ended - self._began)

    def note_held(self, task: Task[Any], seconds: float) -> None:
        """Note for how long this task's call has held the event loop."""
        self._watch(task, seconds)
