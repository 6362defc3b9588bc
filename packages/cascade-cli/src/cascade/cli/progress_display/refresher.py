"""The refresher: draws the runs that are shown again and again, in a thread that only reads.

A thread, as an inline call may hold the event loop for as long as it takes. It takes at most a fiftieth of the
processor's time, however long a drawing takes.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from cascade.cli.progress_display.pace import Pace
from cascade.runtime.bus import log_failure
from cascade.runtime.progress.run_progress import RunProgress

_SHARE = 50
"""A drawing that took so long is followed by a pause so many times as long."""

_logger = logging.getLogger(__name__)


class ShownRun:
    """A run that is shown: how to read its progress, and how fast it goes."""

    def __init__(self, read: Callable[[], RunProgress]) -> None:
        self.read = read
        self.pace = Pace()

    def look(self) -> RunProgress:
        """Return how far it has come now."""
        progress = self.read()
        self.pace.note(progress)
        return progress


class Canvas(Protocol):
    """What runs are drawn on. `interval` is how many seconds apart drawings are at least.

    One of its methods is called at a time, but in more than one thread.
    """

    interval: float

    def open(self) -> None:
        """Prepare for runs: the first one begins."""

    def draw(self, runs: Sequence[ShownRun]) -> None:
        """Draw how far these runs have come."""

    def finish(self, run: ShownRun, others: Sequence[ShownRun]) -> None:
        """Sum up a run that has ended, while these others go on."""

    def close(self) -> None:
        """Leave everything as it was before; it may be drawn on again."""


class Refresher:
    """Shows runs on a canvas: all of them on one, also those inside of tasks of others."""

    def __init__(self, make_canvas: Callable[[Refresher], Canvas]) -> None:
        self._lock = threading.RLock()
        self._runs: list[ShownRun] = []
        self._drawer: _Drawer | None = None
        self._canvas = make_canvas(self)

    def show(self, read: Callable[[], RunProgress]) -> Callable[[], None]:
        """Begin to show a run; return what is to be called when it has ended."""
        run = ShownRun(read)
        with self._lock:
            self._runs.append(run)
            if self._drawer is None:
                self._canvas.open()
                self._drawer = _Drawer(self._draw, self._canvas.interval)
                self._drawer.start()
        return partial(self._end, run)

    def wake(self) -> None:
        """Draw soon."""
        drawer = self._drawer
        if drawer is not None:
            drawer.woken.set()

    def draw_now(self) -> None:
        """Draw at once, in this thread."""
        with self._lock:
            if self._runs:
                self._canvas.draw(self._runs)

    def leave(self, seconds: float) -> None:
        """Leave the canvas for good, if it is free within so many seconds: the program ends."""
        if self._lock.acquire(timeout=seconds):
            self._runs.clear()
            self._canvas.close()  # the lock is kept: nobody else is to draw

    def _end(self, run: ShownRun) -> None:
        drawer = None
        try:
            with self._lock:
                self._runs.remove(run)
                if not self._runs:
                    drawer, self._drawer = self._drawer, None
                    self._canvas.close()
                self._canvas.finish(run, self._runs)
        finally:
            if drawer is not None:
                drawer.stop()

    def _draw(self) -> None:
        """Draw, in the thread of a drawer."""
        with self._lock:
            if not self._runs:
                return
            try:
                self._canvas.draw(self._runs)
            except Exception as error:
                self._canvas.close()
                log_failure(_logger, "the display of progress failed", error)
                raise


class _Drawer:
    """A thread that draws again and again until it is stopped, or a drawing has failed."""

    def __init__(self, draw: Callable[[], None], interval: float) -> None:
        self.woken = threading.Event()
        self._stopped = threading.Event()
        self._draw = draw
        self._interval = interval
        # A notebook knows by context variables which cell a drawing belongs to.
        work = partial(contextvars.copy_context().run, self._work)
        self._thread = threading.Thread(target=work, name="cascade-progress", daemon=True)

    def start(self) -> None:
        """Begin to draw, for the first time when an interval is over."""
        self._thread.start()

    def stop(self) -> None:
        """Draw no more; wait until the thread has ended."""
        self._stopped.set()
        self.woken.set()
        self._thread.join()

    def _work(self) -> None:
        pause = self._interval
        with suppress(Exception):  # it has been logged
            while not self._stopped.is_set():
                if self.woken.wait(pause):
                    self._stopped.wait(self._interval)  # what woke it may come again and again
                if self._stopped.is_set():
                    return
                self.woken.clear()
                began = time.thread_time()
                self._draw()
                pause = max(self._interval, _SHARE * (time.thread_time() - began))
