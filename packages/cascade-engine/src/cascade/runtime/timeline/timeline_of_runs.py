"""The timeline: what runs did and when, for whoever shows or measures them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cascade.runtime.timeline.figures import FiguresOfTasks, TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Skip, TreeView
from cascade.spec.errors import SpecError

if TYPE_CHECKING:  # a run does without pictures
    from cascade.graph.drawing.picture import Picture
    from cascade.graph.drawing.sketches import Mark


class KeepsRuns(Protocol):
    """Keeps what runs do. `timed` says whether it wants to know when each call ended."""

    timed: bool

    def begin_run(self, run_id: str, began: float, inputs: tuple[str, ...] = ()) -> RunTimeline:
        """Return what a run writes into that begins now."""


class Timeline:
    """Keeps which calls runs have made and when, which they skipped, and how their trees hang together.

    It is given to an engine, `Engine(timeline=...)`, or to a run, `cs.run(..., timeline=...)`, and may take several
    runs, also at the same time. It holds names and times, and no value or task. Everything in it may be read while
    runs go on, also in another thread.

    It is bounded. After `max_calls` calls, skips and retries no more of them are kept, but the figures of each task
    still count all: how many calls, how long they took, quantiles. With more than `max_runs` runs the oldest that has
    ended is forgotten, but for its figures. With `timed=False` it keeps the figures alone, and looks at the clock once
    for many calls: for a progress display that has to cost nothing per call.
    """

    def __init__(self, *, max_calls: int = 100_000, max_runs: int = 1_000, timed: bool = True) -> None:
        _check_count("max_calls", max_calls, 0)
        _check_count("max_runs", max_runs, 1)
        self.max_calls = max_calls
        self.max_runs = max_runs
        self.timed = timed
        self._lock = threading.Lock()
        self._room = max_calls
        self._runs: list[RunTimeline] = []
        self._past = FiguresOfTasks(timed)

    @property
    def runs(self) -> tuple[RunTimeline, ...]:
        """The runs, the first one first."""
        return tuple(self._runs)

    def calls(self) -> Iterator[Call]:
        """Give the calls of all runs that have ended so far."""
        return chain.from_iterable(run.calls() for run in self.runs)

    def skips(self) -> Iterator[Skip]:
        """Give the calls of all runs that were not made, and why."""
        return chain.from_iterable(run.skips() for run in self.runs)

    def trees(self) -> Iterator[TreeView]:
        """Give the trees of all runs."""
        return chain.from_iterable(run.trees() for run in self.runs)

    def tasks(self) -> dict[str, TaskFigures]:
        """Return the figures of all tasks by their names, over all runs; also over those that are forgotten."""
        with self._lock:
            figures, runs = FiguresOfTasks(self.timed), self._runs[:]
            figures.add_all(self._past)
        for run in runs:
            figures.add_all(run.figures)
        return figures.snapshots([call.task for run in runs for call in run.running()])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, as `docs/reference/timeline-json.md` describes it; it has no values."""
        from cascade.runtime.timeline.exports.timeline_dict import timeline_dict  # noqa: PLC0415 - for who writes files

        return timeline_dict(self.runs)

    def draw(self) -> Picture:
        """Return a chart of the last run: a row for each task, with its calls, waits and failed attempts.

        Notebooks show it for the timeline itself, also while the run goes on. It has names and times, and no values.
        """
        from cascade.runtime.timeline.exports.timeline_pictures import chart_picture  # noqa: PLC0415 - for who wants pictures

        return chart_picture(self._runs[-1] if self._runs else None)

    def draw_graph(self) -> Picture:
        """Return the graph of the last run; colours show how each call ended, and numbers how long it took.

        The timeline knows names alone. `cs.draw(target, timeline.marks())` gives the same colours to a picture that
        has arguments, routers and policies too.

        Raises:
            SpecError: If there is no run in the timeline, or no tree of it is kept.
        """
        from cascade.runtime.timeline.exports.timeline_pictures import graph_picture  # noqa: PLC0415 - for who wants pictures

        return graph_picture(self._last_run())

    def marks(self) -> dict[str, Mark]:
        """Return what became of the calls of the last run's target, by node id: the colours for `cs.draw`.

        A call that returned other calls has ended when these have, and as they did.

        Raises:
            SpecError: If there is no run in the timeline.
        """
        from cascade.runtime.timeline.exports.timeline_pictures import run_marks  # noqa: PLC0415 - for who wants pictures

        return run_marks(self._last_run())

    def to_chrome_trace(self, path: str | Path) -> Path:
        """Write a trace that Perfetto and `chrome://tracing` open, and return its path. It has names and no values."""
        from cascade.runtime.timeline.exports.chrome_trace import chrome_trace  # noqa: PLC0415 - for who writes files

        path = Path(path)
        path.write_text(chrome_trace(self.runs), encoding="utf-8")
        return path

    def to_html(self, path: str | Path) -> Path:
        """Write the report of the last run as one HTML file, and return its path.

        It opens offline and needs nothing else. It has names and times, and no values. Of more than 100,000 calls it
        shows those that took longest.

        Raises:
            SpecError: If there is no run in the timeline.
        """
        from cascade.runtime.timeline.exports.report_page import report_page  # noqa: PLC0415 - for who writes files

        page = report_page(self._last_run())
        path = Path(path)
        path.write_text(page, encoding="utf-8")
        return path

    def _last_run(self) -> RunTimeline:
        if not self._runs:
            raise SpecError(
                "the timeline has no run", "give it to a run first: cs.run(target, timeline=timeline)"
            )
        return self._runs[-1]

    def __repr__(self) -> str:
        calls = sum(figures.calls for figures in self.tasks().values())
        return f"<Timeline with {calls:,} calls in {len(self._runs):,} {'run' if len(self._runs) == 1 else 'runs'}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return what a notebook shows: the chart of the last run, and a line of text."""
        return {**self.draw()._repr_mimebundle_(), "text/plain": repr(self)}

    def begin_run(self, run_id: str, began: float, inputs: tuple[str, ...] = ()) -> RunTimeline:
        """Return what a run writes into that began at this moment, and was given inputs of these names; for engines."""
        run = RunTimeline(run_id, began, self.timed, self._take_room)
        run.inputs = inputs
        with self._lock:
            self._runs.append(run)
            if len(self._runs) > self.max_runs:
                self._forget_oldest()
        return run

    def _forget_oldest(self) -> None:
        for index, run in enumerate(self._runs):
            if run.ended is not None:
                self._past.add_all(run.figures)
                self._room += run.kept
                del self._runs[index]
                return

    def _take_room(self, size: int) -> bool:
        """Take room for so many calls; return whether there was enough."""
        with self._lock:  # runs may go on in several threads
            if size > self._room:
                return False
            self._room -= size
            return True


def _check_count(name: str, given: object, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise SpecError(f"{name}={given!r}", f"give a whole number, {least} or more")
