"""Displays: who shows the progress of runs. A higher wheel declares one, which is looked up when it is first wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Protocol, runtime_checkable

from cascade.runtime.bus import log_failure
from cascade.runtime.progress.run_progress import RunProgress
from cascade.runtime.progress.timeline_progress import progress_of
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.timeline_of_runs import KeepsRuns, Timeline
from cascade.spec.errors import MissingWheelError

GROUP = "cascade.progress"
"""The entry-point group of what shows progress: a `Display`."""

ReadProgress = Callable[[], RunProgress]
"""Gives how far a run has come now; may be called in any thread, also after the run has ended."""

_logger = logging.getLogger(__name__)


@runtime_checkable
class Display(Protocol):
    """Shows how far runs have come."""

    def __call__(self, read: ReadProgress, /) -> Callable[[], None]:
        """Begin to show a run that has begun; return what is called when it has ended.

        Both are called in the thread of the run, which waits for them. What they raise is logged, and costs the
        display and not the run.
        """


@cache
def installed_display() -> Display:
    """Return the display of the wheel that has one.

    Raises:
        MissingWheelError: If no wheel has one.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - brings much, and only a display needs it

    for point in entry_points(group=GROUP):
        display: Display = point.load()
        return display
    raise MissingWheelError("run(..., progress=True)", "cascade-cli")


class ShownRuns:
    """Keeps runs in a timeline, and lets a display show each of them from its beginning to its end.

    Without a timeline it has one of its own that counts and keeps no calls.
    """

    def __init__(self, timeline: KeepsRuns | None, display: Display) -> None:
        self._timeline = Timeline(timed=False, max_calls=0) if timeline is None else timeline
        self._display = display
        self._ends: list[Callable[[], None]] = []
        self.timed = self._timeline.timed

    def begin_run(self, run_id: str, began: float, inputs: tuple[str, ...] = ()) -> RunTimeline:
        """Return what a run writes into that begins now, and begin to show it."""
        run = self._timeline.begin_run(run_id, began, inputs)
        end = _guarded(partial(self._display, partial(progress_of, run)))
        if callable(end):
            self._ends.append(end)
        return run

    def end(self) -> None:
        """End what is shown: the run has ended."""
        while self._ends:
            _guarded(self._ends.pop())


def _guarded(act: Callable[[], Any]) -> Any:
    """Call a part of a display; log what it raises, which is no fault of the run."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - a display is code of others
        log_failure(_logger, "the display of progress failed", error)
        return None
