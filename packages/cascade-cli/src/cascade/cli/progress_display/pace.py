"""Pace: how fast the tasks of a run go, from snapshots of its progress that follow each other."""

from __future__ import annotations

from collections import deque

from cascade.runtime.progress.run_progress import RunProgress, TaskProgress

WINDOW_SECONDS = 20.0
"""A rate is that of so many seconds: older ones say little of what is to come."""

_APART = 1.0
"""Snapshots are kept that are so many seconds apart."""


class Pace:
    """Keeps what a run had done in the last seconds. Rates are in calls per second."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, dict[str, int]]] = deque()
        self._now = 0.0

    def note(self, progress: RunProgress) -> None:
        """Take in how far the run has come now."""
        kept = self._kept
        self._now = progress.elapsed
        if not kept or progress.elapsed - kept[-1][0] >= _APART:
            kept.append((progress.elapsed, {task.task: task.done for task in progress.tasks}))
        while len(kept) > 1 and progress.elapsed - kept[1][0] >= WINDOW_SECONDS:
            kept.popleft()

    def rate(self, *tasks: TaskProgress) -> float | None:
        """Return how many calls of these tasks end in a second; `None` if that is not known yet."""
        since, before = self._kept[0] if self._kept else (0.0, {})
        if self._now - since < _APART:  # it has only begun: all that it has done counts
            since, before = 0.0, {}
        if self._now <= since:
            return None
        return sum(task.done - before.get(task.task, 0) for task in tasks) / (self._now - since)

    def left(self, *tasks: TaskProgress) -> float | None:
        """Return how many seconds the calls that are known of will take at this rate; `None` if nobody can tell."""
        rate = self.rate(*tasks)
        if not rate or any(task.total is None for task in tasks):
            return None
        missing = sum((task.total or 0) - task.done for task in tasks)
        return missing / rate if missing else None
