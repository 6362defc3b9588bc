"""The timeline record: a run's timeline in its store, written along with commits, so that others can show the run.

It costs a commit nothing but a look at the clock: parts are made a few times a second at most. While calls are under
way and nothing is committed, a timer sees to it that the store learns of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from cascade.runtime.events import Status
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.storing.timeline_saving import TimelineSaving

KeepTimeline = Callable[[int, int, bytes], None]
"""Notes a part of a timeline for the next commit: the number of the drive, that of the part, and its bytes."""

FIRST_SECONDS: Final = 0.25
"""A run that takes no longer writes its timeline once, at its end."""
SECONDS: Final = 0.5
"""So long after a part the next one may be written, unless there are many calls."""
LOOK_SECONDS: Final = 1.0
"""How often is looked for something that no commit has written."""
MANY_CALLS: Final = 5_000
"""So many calls are written at once: to write them takes about a millisecond."""


class TimelineRecord:
    """The timeline of one drive of a run, as its store gets it.

    `ask` asks the run for a commit. `timeline` returns what the run tells its timeline, `None` until it has begun.
    """

    def __init__(
        self, keep: KeepTimeline, timeline: Callable[[], RunTimeline | None], ask: Callable[[], None]
    ) -> None:
        self._keep = keep
        self._timeline = timeline
        self._ask = ask
        self._saving: TimelineSaving | None = None
        self._drive = 0
        self._due = 0.0
        self._known: bytes | None = b""  # what the store knows of the run, but for the time of that
        self._timer: asyncio.TimerHandle | None = None

    def before_commit(self) -> None:
        """Put into the next commit what is to be written by now."""
        # Once per step of a recorded chain: watched by observatory/benchmarks/bench_durability.py.
        saving = self._saving
        if saving is None:
            run = self._timeline()
            if run is not None:
                self._begin(run)
                self._look_later(FIRST_SECONDS)
        elif time.monotonic() >= self._due or saving.waiting > MANY_CALLS:
            self._put(saving, None)

    def finish(self, status: Status) -> None:
        """Put what is left into the last commit, and how the run has ended."""
        run = self._timeline()
        if self._saving is None and run is not None:
            self._begin(run)
        if self._saving is not None:
            self._put(self._saving, status)

    def stop(self) -> None:
        """Look no more: the run has ended, well or not."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self, run: RunTimeline) -> None:
        self._saving = TimelineSaving(run)
        self._drive = int(run.began_at.timestamp() * 1e6)
        self._due = run.began + FIRST_SECONDS

    def _put(self, saving: TimelineSaving, status: Status | None) -> None:
        now = time.monotonic()
        piece = saving.take_piece()
        if piece is not None:
            self._keep(self._drive, saving.pieces, piece)
        self._keep(self._drive, 0, saving.sum(now, status))
        self._due = now + SECONDS
        self._known = None

    def _look_later(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Ask for a commit if the store does not know how the run stands."""
        saving = self._saving
        if saving is not None:
            now = saving.sum(saving.began, None)
            if saving.waiting or (self._known is not None and now != self._known):
                self._ask()
            self._known = now
        self._look_later(LOOK_SECONDS)
