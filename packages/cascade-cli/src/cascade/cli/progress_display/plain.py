"""Progress as a few plain lines, for logs and pipes: the first after a while, the others ever further apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cascade.cli.progress_display.progress_lines import progress_sentence
from cascade.cli.progress_display.refresher import ShownRun
from cascade.cli.progress_display.summary_lines import summary_lines
from cascade.runtime.progress.run_progress import RunProgress

FIRST = 10.0
"""After so many seconds the first line is written."""

_LONGEST = 600.0
"""Lines are at most so many seconds apart."""

_WIDTH = 200
_MOST_TASKS = 5


class Say(Protocol):
    """Writes what there is to say of a run: `lines` for people, and the snapshot that they were made of."""

    def __call__(self, lines: Sequence[str], progress: RunProgress, /) -> None: ...


class PlainCanvas:
    """Writes lines one below the other, by `say`; of runs that took less than `least` seconds none."""

    interval = 0.5

    def __init__(self, say: Say, least: float = 0.0) -> None:
        self._say = say
        self._least = least
        self._next: dict[ShownRun, float] = {}

    def open(self) -> None:
        """Do nothing: nothing stands here before there is something to say."""

    def draw(self, runs: Sequence[ShownRun]) -> None:
        """Write a line for each run whose time has come."""
        for run in runs:
            progress = run.look()
            due = self._next.setdefault(run, FIRST)
            if progress.elapsed >= due:
                self._next[run] = progress.elapsed + min(progress.elapsed, _LONGEST)
                self._say([progress_sentence(progress, run.pace)], progress)

    def finish(self, run: ShownRun, others: Sequence[ShownRun]) -> None:
        """Write the summary of a run."""
        self._next.pop(run, None)
        progress = run.look()
        if progress.elapsed >= self._least:
            self._say([line.plain for line in summary_lines(progress, _WIDTH, _MOST_TASKS)], progress)

    def close(self) -> None:
        """Do nothing: lines stay as they are."""
